package devices

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func number(n int64) *int64 { return &n }

// group makes a group in any cgroup2 tree of the host; it needs no controllers.
func group(t *testing.T) string {
	t.Helper()
	table, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); f[2] == "cgroup2" {
			dir := filepath.Join(f[1], fmt.Sprintf("paas-devices-%d-%d", os.Getpid(), rand.Uint32()))
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.Remove(dir) })
			return dir
		}
	}
	t.Fatal("no cgroup2 is mounted")
	return ""
}

// in runs a shell command in the group.
func in(t *testing.T, group, command string) error {
	t.Helper()
	dir, err := os.Open(group)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dir.Close() }()
	cmd := exec.Command("sh", "-c", command)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	return cmd.Run()
}

func TestTheLastRuleThatFitsDecides(t *testing.T) {
	g := group(t)
	if err := Attach(g, []specs.LinuxDeviceCgroup{
		{Allow: false, Access: "rwm"},
		{Allow: true, Type: "c", Major: number(1), Access: "rw"},
		{Allow: false, Type: "c", Major: number(1), Minor: number(7), Access: "w"}, // full
		{Allow: true, Type: "c", Major: number(5), Minor: number(0), Access: "rwm"},
	}); err != nil {
		t.Fatal(err)
	}
	node := filepath.Join(t.TempDir(), "node")
	for command, allowed := range map[string]bool{
		"exec 3</dev/null":             true,
		"exec 3>/dev/null":             true,
		"exec 3<>/dev/zero":            true,
		"exec 3</dev/full":             true,
		"exec 3>/dev/full":             false,
		"exec 3<>/dev/full":            false,
		"mknod " + node + "1 c 1 3":    false,
		"mknod " + node + "2 c 5 0":    true,
		"mknod " + node + "3 b 7 0":    false,
		"exec 3</dev/ptmx":             false,
		"exec 3</dev/null 4</dev/zero": true,
	} {
		if err := in(t, g, command); (err == nil) != allowed {
			t.Errorf("%s: %v, allowed should be %v", command, err, allowed)
		}
	}
}

func TestNoRulesAllowNothing(t *testing.T) {
	g := group(t)
	if err := Attach(g, nil); err != nil {
		t.Fatal(err)
	}
	if in(t, g, "exec 3</dev/zero") == nil {
		t.Error("/dev/zero could be opened")
	}
}
