package runtime

import (
	"os"
	goruntime "runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A signal while a limit is written does not end the write: cgroup v1 says EINTR when one is pending, and Go's
// scheduler sends them at any time.
func TestLimitsAreWrittenThroughSignals(t *testing.T) {
	b := newBench(t)
	i := b.start("exec sleep 1000")
	dir, ok := b.containers[i.ID].group.dir("memory")
	if !ok {
		t.Fatal("this host has no memory controller")
	}
	file := dir + "/memory.limit_in_bytes"
	if b.groups.v2 {
		file = dir + "/memory.max"
	}
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	thread, quiet := unix.Gettid(), make(chan struct{})
	defer close(quiet)
	go func() {
		for {
			select {
			case <-quiet:
				return
			default:
				_ = unix.Tgkill(os.Getpid(), thread, unix.SIGURG)
			}
		}
	}()
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		check(t, writeControl(file, "536870912"))
	}
}
