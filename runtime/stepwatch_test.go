package runtime

import (
	"context"
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

// Builds that take much are idle to everybody else, those that get little are not, and the weight comes back
// with that.
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
		{one, greedy, "1"}, {two, starved, "0"}, {two, greedy, "1"}, {one, moderate, "1"}, {two, moderate, "0"},
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
