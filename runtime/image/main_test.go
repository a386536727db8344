package image

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The first id of the range that tests map containers to.
const (
	testBase = 1_000_000
	testSize = 65_536
)

// TestMain doubles as the inside of a test container, see inside, and as an importer that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("IMAGE_TEST_INSIDE"); dir != "" {
		fmt.Fprintln(os.Stderr, beInside(dir, os.Getenv("IMAGE_TEST_SCRIPT")))
		os.Exit(1)
	}
	if work := os.Getenv("IMAGE_TEST_IMPORT"); work != "" {
		store, layout, _ := strings.Cut(work, ":")
		fmt.Fprintln(os.Stderr, importAlone(store, layout))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// inside runs a shell script as root of a user namespace, its working directory being the mount, and
// returns what it printed. The mount is gone when it returns.
func inside(t *testing.T, mount *os.File, script string) string {
	t.Helper()
	out, err := tryInside(t, mount, script)
	if err != nil {
		t.Fatalf("inside: %v\n%s", err, out)
	}
	return out
}

func tryInside(t *testing.T, mount *os.File, script string) (string, error) {
	t.Helper()
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: testBase, Size: testSize}}
	cmd := exec.Command("/proc/self/exe") // the test binary's directory is closed to other ids
	cmd.Env = append(os.Environ(), "IMAGE_TEST_INSIDE="+openDir(t), "IMAGE_TEST_SCRIPT=set -e; umask 022; "+script)
	cmd.ExtraFiles = []*os.File{mount}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL,
		UidMappings: ids, GidMappings: ids, GidMappingsEnableSetgroups: true,
		Credential: &syscall.Credential{},
	}
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func beInside(dir, script string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.MoveMount(3, "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("attach: %w", err)
	}
	if err := os.Chdir(dir); err != nil {
		return err
	}
	unix.CloseOnExec(3)
	return syscall.Exec("/bin/sh", []string{"sh", "-c", script}, os.Environ())
}

// openDir is a temporary directory that other users may pass through.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "image-test-")
	check(t, err)
	t.Cleanup(func() { check(t, os.RemoveAll(dir)) })
	check(t, os.Chmod(dir, 0o755))
	return dir
}

func openStore(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(openDir(t), "store"))
	check(t, err)
	return s
}

func userns(t *testing.T) *os.File {
	t.Helper()
	f, err := UserNS(testBase, testSize)
	check(t, err)
	t.Cleanup(func() { check(t, f.Close()) })
	return f
}

// layer commits files, given as path and content; a path with a final slash is a directory.
func layer(t *testing.T, s *Store, name string, files ...string) string {
	t.Helper()
	d, err := s.Draft()
	check(t, err)
	for i := 0; i < len(files); i += 2 {
		write(t, filepath.Join(d.Dir, files[i])+files[i][len(strings.TrimSuffix(files[i], "/")):], files[i+1])
	}
	check(t, d.Commit(name))
	return s.Dir(name)
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if strings.HasSuffix(path, "/") {
		check(t, os.MkdirAll(path, 0o755))
		return
	}
	check(t, os.MkdirAll(filepath.Dir(path), 0o755))
	check(t, os.WriteFile(path, []byte(content), 0o644))
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}
