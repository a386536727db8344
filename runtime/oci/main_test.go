package oci

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The tests make containers of Debian's busybox-static, as root.

var builtInit = flag.String("init", "", "a built paas-init, for machines without a C compiler")

var program struct {
	sync.Once
	dir string
	err error
}

func TestMain(m *testing.M) {
	code := m.Run()
	_ = os.RemoveAll(program.dir)
	os.Exit(code)
}

// initProgram builds the program for the inside once.
func initProgram(t *testing.T) string {
	t.Helper()
	if *builtInit != "" {
		return *builtInit
	}
	program.Do(func() {
		if program.dir, program.err = os.MkdirTemp("", "paas-oci-"); program.err != nil {
			return
		}
		out, err := exec.Command("sh", "../../cmd/paas-init/build.sh", filepath.Join(program.dir, "paas-init")).CombinedOutput()
		if err != nil {
			program.err = fmt.Errorf("build paas-init: %w\n%s", err, out)
		}
	})
	check(t, program.err)
	return filepath.Join(program.dir, "paas-init")
}

// bench is a state directory, a bundle and the command line on them.
type bench struct {
	t      *testing.T
	state  string
	bundle string
	group  string // of containers that say nothing else
	stdout *os.File
	stderr *os.File
}

func newBench(t *testing.T) *bench {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("the tests make namespaces and mounts: run them as root")
	}
	dir := t.TempDir()
	b := &bench{t: t, state: filepath.Join(dir, "state"), bundle: filepath.Join(dir, "bundle")}
	b.group = fmt.Sprintf("/paas-oci-test-%d-%d", os.Getpid(), rand.Uint32())
	b.makeRoot()
	var err error
	b.stdout, err = os.CreateTemp(dir, "stdout")
	check(t, err)
	b.stderr, err = os.CreateTemp(dir, "stderr")
	check(t, err)
	t.Cleanup(b.clean)
	return b
}

func (b *bench) clean() {
	store, err := Open(b.state)
	check(b.t, err)
	ids, err := store.ids()
	check(b.t, err)
	for _, id := range ids {
		b.run("delete", "--force", id)
	}
	_ = b.stdout.Close()
	_ = b.stderr.Close()
	h, err := findHierarchies()
	check(b.t, err)
	for _, dir := range h.groups(b.group).dirs() {
		if _, err := os.Stat(dir); err == nil {
			b.t.Errorf("cgroup %s is left", dir)
		}
	}
}

func (b *bench) makeRoot() {
	for _, d := range []string{"bin", "proc", "sys", "dev", "tmp", "etc", "run"} {
		check(b.t, os.MkdirAll(b.inRoot(d), 0o755))
	}
	text, err := os.ReadFile("/bin/busybox")
	if err != nil {
		b.t.Fatalf("install Debian's package busybox-static: %v", err)
	}
	check(b.t, os.WriteFile(b.inRoot("bin/busybox"), text, 0o755))
	for _, applet := range strings.Fields("sh cat ls id sleep true false mount grep tty touch hostname echo pwd readlink kill stat ps head wc date") {
		check(b.t, os.Symlink("busybox", b.inRoot("bin/"+applet)))
	}
}

func (b *bench) inRoot(path string) string { return filepath.Join(b.bundle, "rootfs", path) }

// configure writes a configuration of a shell command.
func (b *bench) configure(command string, change func(*specs.Spec)) {
	b.t.Helper()
	text := configText(b.t, func(s *specs.Spec) {
		s.Process.Terminal, s.Process.Args, s.Root.Readonly = false, []string{"sh", "-c", command}, false
		s.Linux.CgroupsPath = b.group
		if change != nil {
			change(s)
		}
	})
	check(b.t, os.WriteFile(filepath.Join(b.bundle, "config.json"), text, 0o600))
}

// run executes one command line in this process and returns its exit status.
func (b *bench) run(args ...string) int {
	b.t.Helper()
	null, err := os.Open(os.DevNull)
	check(b.t, err)
	defer func() { _ = null.Close() }()
	c := &Command{Name: "paas oci", Version: "test", Program: initProgram(b.t), Stdio: [3]*os.File{null, b.stdout, b.stderr}}
	return c.Main(context.Background(), append([]string{"--root", b.state}, args...))
}

// output is what was printed since the last call, by us and by containers.
func (b *bench) output() string {
	b.t.Helper()
	var all string
	for _, f := range []*os.File{b.stdout, b.stderr} {
		text, err := os.ReadFile(f.Name())
		check(b.t, err)
		check(b.t, f.Truncate(0))
		_, err = f.Seek(0, 0)
		check(b.t, err)
		all += string(text)
	}
	return strings.TrimSpace(all)
}

// must runs a command line that has to succeed and returns what it printed.
func (b *bench) must(args ...string) string {
	b.t.Helper()
	if code := b.run(args...); code != 0 {
		b.t.Fatalf("%v: %d: %s", args, code, b.output())
	}
	return b.output()
}

// inContainer runs a configured command in a container that is gone afterwards.
func (b *bench) inContainer(command string, change func(*specs.Spec)) string {
	b.t.Helper()
	b.configure(command, change)
	return b.must("run", "--bundle", b.bundle, "once")
}

func (b *bench) status(id string) string {
	b.t.Helper()
	var s specs.State
	check(b.t, json.Unmarshal([]byte(b.must("state", id)), &s))
	return string(s.Status)
}

func (b *bench) until(id, status string) {
	b.t.Helper()
	for deadline := time.Now().Add(time.Minute); b.status(id) != status; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("%s is %s, not %s", id, b.status(id), status)
		}
	}
}

func (b *bench) pid(id string) int {
	b.t.Helper()
	var s specs.State
	check(b.t, json.Unmarshal([]byte(b.must("state", id)), &s))
	return s.Pid
}

// end removes a container whose creator this process is.
func (b *bench) end(id string) {
	b.t.Helper()
	pid := b.pid(id)
	b.must("delete", "--force", id)
	if pid != 0 {
		_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
	}
}

func contains(t *testing.T, what, got, want string) {
	t.Helper()
	if !strings.Contains(got, want) {
		t.Errorf("%s: %q lacks %q", what, got, want)
	}
}
