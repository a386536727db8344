package hostile_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"paas/runtime/runtimetest/sandbox"
)

// What the kernel counts for a user (inotify instances, pending signals, message queues, locked memory) it counts
// in the user namespaces around a container's too, for who made it. One container must not use up what its
// neighbours, and the host's root, may have.
func TestCountersAreNotShared(t *testing.T) {
	a := newArena(t)
	before := pendingSignals(t)
	for n, root := range []bool{false, true} {
		a.hoard(n+1, root, 256*mebibyte, "hoard-counted")
	}
	if grew := pendingSignals(t) - before; grew > 500 {
		t.Errorf("%d more signals are pending for the host's root", grew)
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err != nil {
		t.Errorf("the host gets no inotify instance: %v", err)
	}
	_ = unix.Close(fd)
	asBoth(t, "neighbour", func(t *testing.T, root bool) {
		s := attacker(root)
		s.AppID, s.App = sandbox.App(neighbourApp), "app1"
		r := a.in(t).attack(s, "counted")
		for _, what := range []string{"inotify instance", "pending signal", "timer", "message queue", "locked page", "shared memory that is locked"} {
			if r.Reached[what] == 0 {
				t.Errorf("a neighbour gets no %s", what)
			}
		}
	})
}

// pendingSignals are those of all processes of this test's user.
func pendingSignals(t *testing.T) (n int) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	sandbox.Check(t, err)
	_, line, _ := strings.Cut(string(b), "SigQ:")
	_, err = fmt.Sscanf(strings.TrimSpace(line), "%d/", &n)
	sandbox.Check(t, err)
	return n
}
