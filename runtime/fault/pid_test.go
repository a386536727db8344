package fault_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"paas/runtime/runtimetest"
	"paas/runtime/runtimetest/sandbox"
)

// A pid in a record that meanwhile means another process is not taken for the container's init: the
// other process lives on, and the container is told to have ended.
func TestReusedPid(t *testing.T) {
	h := runtimetest.New(t)
	i, err := h.Start(context.Background(), runtimetest.Spec(0, runtimetest.Shell("exec sleep 1000")))
	sandbox.Check(t, err)
	sandbox.Check(t, h.Close())
	innocent := exec.Command("sleep", "1000")
	sandbox.Check(t, innocent.Start())
	t.Cleanup(func() { _ = innocent.Process.Kill(); _ = innocent.Wait() })

	path := h.Dir + "/run/" + string(i.ID) + "/record.json"
	pid := reuse(t, path, innocent.Process.Pid)
	sandbox.Check(t, unix.Kill(pid, unix.SIGKILL))
	sandbox.Check(t, h.Reopen())
	select {
	case ended := <-h.Exits():
		if ended.ID != i.ID || ended.Exit == nil || ended.Exit.Code != 137 {
			t.Errorf("it was told as %+v", ended)
		}
	case <-time.After(20 * time.Second):
		t.Error("its end was not told")
	}
	sandbox.Check(t, h.Stop(context.Background(), i.ID, 0))
	if err := innocent.Process.Signal(unix.Signal(0)); err != nil {
		t.Errorf("the other process was ended: %v", err)
	}
}

// reuse puts another pid into a record and returns the one that was there.
func reuse(t *testing.T, path string, other int) (pid int) {
	t.Helper()
	b, err := os.ReadFile(path)
	sandbox.Check(t, err)
	record := make(map[string]any)
	sandbox.Check(t, json.Unmarshal(b, &record))
	was, ok := record["PID"].(float64)
	if !ok || was < 2 {
		t.Fatalf("the record has no pid: %s", b)
	}
	record["PID"] = other
	b, err = json.Marshal(record)
	sandbox.Check(t, err)
	sandbox.Check(t, os.WriteFile(path, b, 0o600))
	return int(was)
}
