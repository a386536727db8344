package runtime

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"paas/platform"
)

func (b *bench) awaitLine(text string) {
	b.t.Helper()
	eventually(b.t, "line "+text, func() bool { return slices.Contains(b.lines(), text) })
}

func TestStopIsGraceful(t *testing.T) {
	b := newBench(t)
	i := b.start(`trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.1; done`)
	b.awaitLine("ready")
	begin := time.Now()
	check(t, b.Stop(context.Background(), i.ID, 10*time.Second))
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	b.awaitLine("bye")
	select {
	case i := <-b.Exits():
		t.Errorf("a stopped instance was reported: %+v", i)
	case <-time.After(200 * time.Millisecond):
	}
}

func TestStopSignalOfTheImageReachesTheGroup(t *testing.T) {
	b := newBench(t)
	s := spec(`trap 'echo parent' INT; sh -c 'trap "echo child; exit" INT; echo ready; while :; do sleep 0.05; done'; exit 0`)
	s.Image.StopSignal = "SIGINT"
	i, err := b.Start(context.Background(), s)
	check(t, err)
	b.awaitLine("ready")
	check(t, b.Stop(context.Background(), i.ID, 10*time.Second))
	b.awaitLine("child")
	b.awaitLine("parent")
}

func TestStopKillsTheStubborn(t *testing.T) {
	b := newBench(t)
	i := b.start(`trap '' TERM; echo ready; while :; do sleep 0.1; done`)
	b.awaitLine("ready")
	begin := time.Now()
	check(t, b.Stop(context.Background(), i.ID, 300*time.Millisecond))
	if took := time.Since(begin); took < 300*time.Millisecond || took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestStopWithoutPatience(t *testing.T) {
	b := newBench(t)
	i := b.start(`trap '' TERM; echo ready; while :; do sleep 0.1; done`)
	b.awaitLine("ready")
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	begin := time.Now()
	check(t, b.Stop(ctx, i.ID, time.Hour))
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestStopOfUnknownAndEnded(t *testing.T) {
	b := newBench(t)
	check(t, b.Stop(context.Background(), "hello-nobody", time.Second))
	i := b.start("exit 3")
	equal(t, "exit", b.ends().Exit.Code, 3)
	all, err := b.Instances(context.Background())
	check(t, err)
	if len(all) != 1 || all[0].Exit == nil || all[0].Exit.Code != 3 {
		t.Errorf("an ended instance is not listed as such: %+v", all)
	}
	check(t, b.Stop(context.Background(), i.ID, time.Second))
	all, err = b.Instances(context.Background())
	check(t, err)
	equal(t, "instances", len(all), 0)
}

// What the app leaves running ends with it, and its last words are kept.
func TestAppEndsBeforeItsChildren(t *testing.T) {
	b := newBench(t)
	b.start(`sleep 1000 & printf 'no newline'; echo trouble >&2; exit 1`)
	equal(t, "exit", b.ends().Exit.Code, 1)
	got := b.lines()
	slices.Sort(got)
	if !slices.Equal(got, []string{"no newline", "trouble"}) {
		t.Errorf("lines: %q", got)
	}
}

func TestForget(t *testing.T) {
	b := newBench(t)
	i := b.start("echo here; exec sleep 100")
	b.awaitLine("here")
	if err := b.Forget(context.Background(), "hello"); platform.KindOf(err) != platform.Conflict {
		t.Errorf("forget with an instance: %v", err)
	}
	check(t, b.Stop(context.Background(), i.ID, 0))
	check(t, b.Forget(context.Background(), "hello"))
	equal(t, "lines", len(b.lines()), 0)
}

// A Runtime that closes during a Stop neither hangs nor forgets what still runs.
func TestCloseDuringStop(t *testing.T) {
	b := newBench(t)
	i := b.start(`trap 'echo asked' TERM; echo ready; while :; do sleep 0.05; done`)
	b.awaitLine("ready")
	stopped := make(chan error, 1)
	go func(r *Runtime) { stopped <- r.Stop(context.Background(), i.ID, time.Hour) }(b.Runtime)
	b.awaitLine("asked")
	b.reopen()
	equal(t, "kind", platform.KindOf(<-stopped), platform.Interrupted)
	all, err := b.Instances(context.Background())
	check(t, err)
	if len(all) != 1 || all[0].ID != i.ID || all[0].Exit != nil {
		t.Errorf("instances: %+v", all)
	}
}

// Init must cost little: there is one per container.
func TestInitIsSmall(t *testing.T) {
	b := newBench(t)
	i := b.start("exec sleep 1000")
	c, err := b.running(i.ID)
	check(t, err)
	rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", c.init.pid))
	check(t, err)
	private := 0
	for line := range strings.Lines(string(rollup)) {
		var kib int
		if n, _ := fmt.Sscanf(line, "Private_Dirty: %d kB", &kib); n == 1 {
			private = kib
		}
	}
	t.Logf("init has %d KiB of its own", private)
	if private == 0 || private > 4096 {
		t.Errorf("init has %d KiB of its own", private)
	}
}
