package runtime

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"paas/platform"
	"paas/runtime/runtimetest/sandbox"
)

// A step that takes too much of what the kernel does not bound by itself is killed, and its exit says of what.
func TestStepBounds(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct {
		name, script string
		set          func(*platform.StepSpec)
		over         platform.Resource
	}{
		{"silence", "echo once; sleep 1000", func(s *platform.StepSpec) { s.Silence = 2 * time.Second }, platform.SilenceResource},
		{"no silence", "for i in 1 2 3 4 5 6; do echo $i; sleep 0.5; done", func(s *platform.StepSpec) { s.Silence = 2 * time.Second }, ""},
		{"disk", "while :; do head -c 30000000 /dev/zero >> /var/fill; done", func(s *platform.StepSpec) { s.Limits.Disk = 100 << 20 }, platform.DiskResource},
		{"processes", "while :; do sleep 1000 & done 2>/dev/null; wait; while :; do sleep 1 || sleep 1; done", func(s *platform.StepSpec) { s.Limits.Processes = 32 }, platform.ProcessResource},
	} {
		s, discard := b.step(c.script)
		c.set(&s)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		var out sandbox.Buffer
		exit, err := b.Step(ctx, s, &out)
		if err != nil || exit.Over != c.over || (exit.Code == 0) != (c.over == "") {
			t.Errorf("%s: %+v, %v\n%s", c.name, exit, err, out.String())
		}
		if exit.MemoryPeak <= 0 {
			t.Errorf("%s: the peak of its memory is not known", c.name)
		}
		cancel()
		discard()
	}
}

// Builds are idle to everybody else, unless one of them gets less than it wants, and the weight comes back with that.
func TestTempo(t *testing.T) {
	b := newBench(t)
	dir, ok := cgroup{b.groups, b.groups.path(buildsGroup)}.dir("cpu")
	if !ok || !exists(filepath.Join(dir, buildsControl)) {
		t.Fatal("this kernel has no idle groups: it is older than 5.15")
	}
	weight := map[bool]string{true: "cpu.weight", false: "cpu.shares"}[b.groups.v2]
	usual := controlNumber(filepath.Join(dir, weight))
	one, two := &stepWatch{}, &stepWatch{}
	for _, c := range []struct {
		step *stepWatch
		pace pace
		idle string
	}{
		{one, content, "1"}, {two, starved, "0"}, {two, content, "1"}, {one, gone, "1"}, {two, gone, "0"},
	} {
		b.tempo.note(c.step, c.pace)
		if got := controlText(filepath.Join(dir, buildsControl)); got != c.idle {
			t.Errorf("pace %d: idle is %s", c.pace, got)
		}
	}
	if got := controlNumber(filepath.Join(dir, weight)); got != usual || usual >= usualShares/2 {
		t.Errorf("the weight is %d, was %d", got, usual)
	}
}

// A step that rests is not starved, and one that computes shows that it could run.
func TestStepsThatRestDoNotWait(t *testing.T) {
	b := newBench(t)
	for script, want := range map[string]bool{"exec sleep 1000": false, "while :; do :; done": true} {
		i := b.begin(spec(script))
		group := *b.containers[i.ID].group
		eventually(t, fmt.Sprintf("%s: whether it waits is %v", script, want), func() bool { return group.waits() == want })
	}
}

// A step gives way from its first moment, not after a look at what it takes.
func TestStepIsIdleAtOnce(t *testing.T) {
	b := newBench(t)
	dir, _ := cgroup{b.groups, b.groups.path(buildsGroup)}.dir("cpu")
	s, discard := b.step("sleep 1000")
	defer discard()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := b.Step(ctx, s, io.Discard)
		ended <- err
	}()
	eventually(t, "it is idle", func() bool { return controlText(filepath.Join(dir, buildsControl)) == "1" })
	cancel()
	<-ended
	equal(t, "idle after it", controlText(filepath.Join(dir, buildsControl)), "0")
}

func TestLoad(t *testing.T) {
	l := newBench(t).Load()
	if l.Processors < 1 || l.Memory < 64<<20 || l.MemoryFree <= 0 || l.MemoryFree > l.Memory || l.MemoryPressure < 0 {
		t.Errorf("%+v", l)
	}
}

// What builds may weigh, on both kinds of hierarchy.
func TestWeights(t *testing.T) {
	for v2, want := range map[bool]string{true: "cpu.weight=25 io.weight=default 2", false: "cpu.shares=256"} {
		var got []string
		for _, s := range weights(v2, buildsGroup) {
			got = append(got, s.file+"="+s.value)
		}
		equal(t, "weights", strings.Join(got, " "), want)
	}
}
