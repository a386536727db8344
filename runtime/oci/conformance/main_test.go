// Package conformance drives `paas oci` with other people's programs: the validation suite of
// opencontainers/runtime-tools, and Debian's podman. `go test` runs a part of both; `make conformance`
// runs all of it, side by side with crun and runc, and writes docs/conformance.md.
//
// It needs root and Debian's packages podman and busybox-static, and crun and runc for the whole of it. The
// validation programs are built from their Go module.
package conformance

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

var (
	all      = flag.Bool("all", false, "every program and every case, with crun and runc beside us")
	document = flag.String("document", "", "file whose section Runtime is written (with -all)")
	only     = flag.String("only", "", "with -all: the validation programs to run, separated by commas")
)

// The variables by which a stand-in knows what it stands for.
const (
	standInRuntime = "PAAS_CONFORMANCE_RUNTIME"
	standInRoot    = "PAAS_CONFORMANCE_ROOT"
	standInVersion = "PAAS_CONFORMANCE_VERSION"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(standInRuntime); path != "" {
		fmt.Fprintln(os.Stderr, standIn(path))
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(built.dir)
	if *document != "" { // what failed is in it too
		if err := writeReport(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// standIn becomes the runtime with a state directory of its own, which the validation programs have no way
// to ask for, and with the spec version that it knows: Debian's crun refuses what is newer than itself.
func standIn(path string) error {
	args := os.Args[1:]
	if version := os.Getenv(standInVersion); version != "" && len(args) > 0 && args[0] == "create" {
		if err := rewriteVersion(bundleOf(args), version); err != nil {
			return err
		}
	}
	argv := append([]string{path, "--root", os.Getenv(standInRoot)}, args...)
	return fmt.Errorf("%s: %w", path, unix.Exec(path, argv, os.Environ()))
}

func bundleOf(args []string) string {
	for i := 1; i < len(args); i++ {
		if args[i-1] == "--bundle" {
			return args[i]
		}
	}
	return "."
}

// rewriteVersion replaces a version that is one; a test of what is none shall see it.
func rewriteVersion(bundle, version string) error {
	path := filepath.Join(bundle, "config.json")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var config map[string]any
	if err := json.Unmarshal(text, &config); err != nil {
		return err
	}
	if v, ok := config["ociVersion"].(string); !ok || !strings.HasPrefix(v, "1.") {
		return nil
	}
	config["ociVersion"] = version
	if text, err = json.Marshal(config); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// built is what all tests of this run share; TestMain removes it.
var built struct {
	sync.Once
	dir string
	err error
}

// binary builds our program once and returns the path by which an engine calls its OCI command line.
func binary(t *testing.T) string {
	t.Helper()
	built.Do(func() { built.err = build() })
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, "paas-oci")
}

func build() (err error) {
	if built.dir, err = os.MkdirTemp("", "paas-oci-"); err != nil {
		return err
	}
	paas := filepath.Join(built.dir, "paas")
	if out, err := exec.Command("go", "build", "-o", paas, "paas/cmd/paas").CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	if out, err := exec.Command("sh", "../../../cmd/paas-init/build.sh", filepath.Join(built.dir, "paas-init")).CombinedOutput(); err != nil {
		return fmt.Errorf("build paas-init: %w\n%s", err, out)
	}
	return os.Symlink("paas", filepath.Join(built.dir, "paas-oci"))
}

// hideHybrid lets crun work on a host with cgroup v1 and a v2 tree that offers a controller, which it
// refuses: in the mount namespace of this goroutine's thread, from which it is started, the v2 tree offers
// none. The thread ends with the goroutine.
func hideHybrid(t *testing.T) {
	t.Helper()
	const controllers = "/sys/fs/cgroup/unified/cgroup.controllers"
	if _, err := os.Stat(controllers); err != nil {
		return
	}
	goruntime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("/dev/null", controllers, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
}
