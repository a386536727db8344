package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
)

// FillBase puts the base layer's files into a directory.
func FillBase(dir string) error {
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return fmt.Errorf("these tests need /bin/busybox (apt package busybox-static): %w", err)
	}
	for _, name := range []string{"bin", "etc", "proc", "sys", "dev", "app", "root", "usr/bin", "var", "tmp"} {
		err = errors.Join(err, os.MkdirAll(filepath.Join(dir, name), 0o755))
	}
	err = errors.Join(err,
		os.Chmod(dir+"/tmp", 0o777|os.ModeSticky), os.Chown(dir+"/app", 1000, 1000),
		os.WriteFile(dir+"/bin/busybox", busybox, 0o755),
		os.WriteFile(dir+"/etc/passwd", []byte("root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/app:/bin/sh\n"), 0o644))
	if err != nil {
		return err
	}
	applets, err := exec.Command("/bin/busybox", "--list").Output()
	for applet := range strings.FieldsSeq(string(applets)) {
		if applet != "busybox" {
			err = errors.Join(err, os.Symlink("busybox", filepath.Join(dir, "bin", applet)))
		}
	}
	return err
}

// Patience is how long anything may take on a slow and busy machine.
const Patience = 2 * time.Minute

// LeavesNothing compares the machine with how it was before the host at dir.
func LeavesNothing(t testing.TB, dir, mounts string) {
	NothingMounted(t, mounts)
	left := append(Groups(), Processes(t)...)
	state, err := filepath.Glob(dir + "/state/*")
	Check(t, err)
	left = append(left, state...)
	left = append(left, Tables(t)...)
	if len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	Eventually(t, "interfaces are gone", func() bool { return len(Links(t)) == 0 })
}

// Mounts is the mount table.
func Mounts(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mounts")
	Check(t, err)
	return string(b)
}

// NothingMounted tells what is mounted that was not. Of what others unmount meanwhile it says nothing.
func NothingMounted(t testing.TB, before string) {
	t.Helper()
	old := strings.Split(before, "\n")
	for mount := range strings.SplitSeq(Mounts(t), "\n") {
		if !slices.Contains(old, mount) {
			t.Errorf("still mounted: %s", mount)
		}
	}
}

// Links are the interfaces but for the loopback.
func Links(t testing.TB) (names []string) {
	t.Helper()
	all, err := netlink.LinkList()
	for errors.Is(err, netlink.ErrDumpInterrupted) {
		all, err = netlink.LinkList()
	}
	Check(t, err)
	for _, l := range all {
		if l.Attrs().Name != "lo" {
			names = append(names, l.Attrs().Name)
		}
	}
	return names
}

// Tables are the names of the nftables tables.
func Tables(t testing.TB) (names []string) {
	t.Helper()
	c, err := nftables.New()
	Check(t, err)
	tables, err := c.ListTables()
	Check(t, err)
	for _, table := range tables {
		names = append(names, "table "+table.Name)
	}
	return names
}

// Processes are the /proc directories of living processes in the uid ranges of this test's apps.
func Processes(t testing.TB) (found []string) {
	t.Helper()
	const firstUID, rangeSize = 1 << 28, 1 << 16
	maps, err := filepath.Glob("/proc/[0-9]*/uid_map")
	Check(t, err)
	for _, path := range maps {
		text, err := os.ReadFile(path)
		var inside, outside, size int64
		if n, _ := fmt.Sscan(string(text), &inside, &outside, &size); err != nil || n != 3 {
			continue
		}
		app := (outside - firstUID) / rangeSize
		if app >= App(0) && app < App(8) && !IsZombie(filepath.Dir(path)) {
			found = append(found, filepath.Dir(path))
		}
	}
	return found
}

// IsZombie tells a process that ended from one that runs: orphans wait for the host's init to reap them.
func IsZombie(dir string) bool {
	stat, err := os.ReadFile(dir + "/stat")
	return err != nil || strings.Contains(string(stat), ") Z ")
}

// Eventually waits until a condition holds.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// Check ends the test at an error.
func Check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Buffer is a bytes.Buffer for several goroutines.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
