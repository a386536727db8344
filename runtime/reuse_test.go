package runtime

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"paas/platform"
	"paas/runtime/runtimetest/sandbox"

	"golang.org/x/sys/unix"
)

// A pid that came to mean another process is never taken for the container's init: the other is neither
// watched nor stopped, frozen or entered.
func TestReusedPidIsNotMistaken(t *testing.T) {
	b := newBench(t)
	i := b.start(ticking)
	b.awaitLine("tick 2")
	check(t, b.Pause(context.Background(), i.ID))
	c, err := b.running(i.ID)
	check(t, err)
	pid := c.init.pid
	check(t, b.Close())

	bystander := exec.Command("/bin/busybox", "sleep", "1000")
	check(t, bystander.Start())
	t.Cleanup(func() { _ = bystander.Process.Kill(); _ = bystander.Wait() })
	rec, err := loadRecord(b.instanceDir(i.ID))
	check(t, err)
	rec.PID = bystander.Process.Pid // as if the init had ended and its number were given again
	check(t, rec.save(b.instanceDir(i.ID)))
	check(t, unix.Kill(pid, unix.SIGKILL))
	f := freezer{b.freezerDirs(string(i.ID))[0], true}
	if _, err := os.Stat(f.dir); err == nil {
		check(t, f.thaw())
	}
	eventually(t, "the init has ended", func() bool { return unix.Kill(pid, 0) != nil || sandbox.IsZombie(fmt.Sprintf("/proc/%d", pid)) })

	b.open()
	got := b.ends()
	equal(t, "id", string(got.ID), string(i.ID))
	if got.Exit == nil || got.Exit.Signal != "SIGKILL" {
		t.Errorf("exit: %+v", got.Exit)
	}
	equal(t, "pause of the dead", platform.KindOf(b.Pause(context.Background(), i.ID)), platform.NotFound)
	check(t, b.Stop(context.Background(), i.ID, time.Second))
	if err := unix.Kill(bystander.Process.Pid, 0); err != nil {
		t.Errorf("the bystander was hit: %v", err)
	}
}
