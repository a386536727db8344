package runtime

import (
	"context"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"paas/runtime/runtimetest/sandbox"
)

// While an app is at work a build leaves it a processor; when the app has ended the build has all of them again.
func TestElbow(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Fatal("this needs two processors")
	}
	b := newBench(t)
	app := b.start(`while :; do :; done`)
	s, discard := b.step(`for n in $(seq 30); do grep Cpus_allowed_list /proc/self/status; sleep 0.5; done`)
	defer discard()
	var out sandbox.Buffer
	go func() {
		eventually(t, "the build leaves room", func() bool { return strings.Contains(out.String(), "\t"+allButOne()+"\n") })
		check(t, b.Stop(context.Background(), app.ID, 0))
	}()
	exit, err := b.Step(t.Context(), s, &out)
	check(t, err)
	equal(t, "exit", exit.Code, 0)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	status, err := os.ReadFile("/proc/self/status")
	check(t, err)
	if last := lines[len(lines)-1]; !strings.Contains(string(status), last+"\n") {
		t.Errorf("it ended on %q\n%s", last, out.String())
	}
}

// Who looks is told at once that apps work, and for some time after the last of it that they may again.
func TestElbowStays(t *testing.T) {
	var e elbow
	var used time.Duration
	now := time.Unix(1_000_000, 0)
	for _, c := range []struct {
		passes, uses time.Duration
		want         bool
	}{
		{time.Second, time.Hour, false}, // all that was before
		{time.Second, 10 * time.Millisecond, false},
		{time.Second, 100 * time.Millisecond, true},
		{time.Millisecond, 0, true},
		{elbowStay - time.Second, 0, true},
		{time.Second, 0, false},
	} {
		now, used = now.Add(c.passes), used+c.uses
		if got := e.wanted(now, func() time.Duration { return used }); got != c.want {
			t.Errorf("%v in %v: %v", c.uses, c.passes, got)
		}
	}
}
