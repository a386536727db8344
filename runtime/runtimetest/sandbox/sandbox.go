// Package sandbox is a machine of its own for a package's tests, as far as namespaces go, and what tells
// whether they left something on it.
package sandbox

import (
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"paas/runtime/runtimetest/program"
)

// sandboxEnv names the sandbox's directory, which holds the programs. Children inherit it.
const sandboxEnv = "RUNTIME_TEST_SANDBOX"

// Main runs a package's tests in new network and mount namespaces with an empty /run, and returns the
// exit status. The init and the named programs of this module are built for them.
func Main(m *testing.M, programs ...string) int {
	if os.Getenv(sandboxEnv) == "" {
		return rerun(append(programs, program.Init))
	}
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "prepare sandbox:", err)
		return 1
	}
	return m.Run()
}

// Program is the path of a program that Main built.
func Program(pkg string) string { return program.Path(os.Getenv(sandboxEnv), pkg) }

// ID tells the platforms of test binaries that run at the same time apart.
func ID() string {
	return "test-" + strings.TrimPrefix(filepath.Base(os.Getenv(sandboxEnv)), sandboxPrefix)
}

const sandboxPrefix = "paas-runtimetest-"

// App is the n-th app id of this test binary, n below 8: nobody else on the machine uses its uid
// range, most likely.
func App(n int) int64 { return 25_000 + 8*int64(crc32.ChecksumIEEE([]byte(ID()))%450) + int64(n) }

func rerun(programs []string) int {
	dir, err := os.MkdirTemp("", sandboxPrefix)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	for _, pkg := range programs {
		if err := program.Build(dir, pkg); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), sandboxEnv+"="+dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	runtime.LockOSThread() // Pdeathsig means the thread
	err = cmd.Run()
	sweepGroups("paas-test-" + strings.TrimPrefix(filepath.Base(dir), sandboxPrefix))
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(exit.ExitCode(), 1)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "these tests need root and Linux:", err)
		return 1
	}
	return 0
}

func prepare() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

// Groups lists the cgroup directories of this test binary's platform, deepest first.
func Groups() []string { return groups("paas-" + ID()) }

func groups(top string) (dirs []string) {
	for _, pattern := range []string{"/sys/fs/cgroup/" + top, "/sys/fs/cgroup/*/" + top, "/sys/fs/cgroup/" + top + "-builds", "/sys/fs/cgroup/*/" + top + "-builds"} {
		tops, _ := filepath.Glob(pattern)
		for _, dir := range tops {
			_ = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
				if err == nil && e.IsDir() {
					dirs = append([]string{path}, dirs...)
				}
				return nil
			})
		}
	}
	return dirs
}

// KillGroups ends every process in the platform's groups, as the end of the machine would.
func KillGroups() {
	for _, dir := range Groups() {
		killGroup(dir)
	}
}

func killGroup(dir string) {
	text, _ := os.ReadFile(dir + "/cgroup.procs")
	for field := range strings.FieldsSeq(string(text)) {
		var pid int
		if _, err := fmt.Sscan(field, &pid); err == nil && pid > 1 {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// sweepGroups removes what a test binary that panicked left. The rest ends with its namespaces.
func sweepGroups(top string) {
	for range 50 {
		dirs := groups(top)
		if len(dirs) == 0 {
			return
		}
		for _, dir := range dirs {
			killGroup(dir)
			_ = unix.Rmdir(dir)
		}
		time.Sleep(20 * time.Millisecond)
	}
	fmt.Fprintln(os.Stderr, "cgroups are left:", groups(top))
}
