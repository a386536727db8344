package runtime

import (
	"path/filepath"
	"sync"
	"time"
)

// tempo says how the slice of builds stands to all else on the host. A step that gets much of the processors
// is made idle: everybody who wakes up goes first, at once. But who is idle may get nothing while an app or
// something else on the host never sleeps, and a fix for that app would never be built; so a step that gets
// little is not idle, and has the slice's small weight.
type tempo struct {
	groups *cgroups

	mu    sync.Mutex
	steps map[*stepWatch]pace
	idle  bool
}

// pace is what a step got of the processors lately.
type pace int

const (
	moderate pace = iota
	starved
	greedy
)

// In processors' worth of time.
const (
	tempoWindow   = time.Second
	greedyShare   = 0.5
	starvedShare  = 0.15
	buildsWeight  = 25 // of usualWeight, when it is not idle
	buildsControl = "cpu.idle"
)

// note takes a step's pace; the end of the step is moderate.
func (t *tempo) note(w *stepWatch, p pace) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.steps == nil {
		t.steps = map[*stepWatch]pace{}
	}
	t.steps[w] = p
	if p == moderate {
		delete(t.steps, w)
	}
	idle := len(t.steps) > 0
	for _, p := range t.steps {
		idle = idle && p == greedy
	}
	if idle != t.idle {
		t.idle = idle
		t.groups.setIdle(idle)
	}
}

// setIdle does nothing on kernels before 5.15, which have the weight only. A group that is not idle any more
// has the usual weight (sched_group_set_idle in kernel/sched/fair.c), so its own is written again.
func (c *cgroups) setIdle(idle bool) {
	value := "0"
	if idle {
		value = "1"
	}
	g := cgroup{c, c.path(buildsGroup)}
	if dir, ok := g.dir("cpu"); ok {
		_ = writeControl(filepath.Join(dir, buildsControl), value)
	}
	if !idle {
		_ = c.apply(g.path, weights(c.v2, buildsGroup))
	}
}

// pace measures what the container got since the last time, once a window is over.
func (w *stepWatch) pace(c *container) (p pace, known bool) {
	took := time.Since(w.measured)
	if took < tempoWindow {
		return moderate, false
	}
	before := w.cpu
	w.cpu, w.measured = c.group.processorTime(), time.Now()
	switch share := float64(w.cpu-before) / float64(took); {
	case share >= greedyShare:
		return greedy, true
	case share < starvedShare:
		return starved, true
	default:
		return w.last, true
	}
}

// keepTempo makes a step that takes much make way, and one that gets little not.
func (w *stepWatch) keepTempo(c *container) {
	p, known := w.pace(c)
	if known && p != w.last {
		w.last = p
		w.runtime.tempo.note(w, p)
	}
}

// processorTime is what the group's processes have used.
func (g cgroup) processorTime() time.Duration {
	dir, ok := g.dir("cpu")
	if !ok || !g.of.v2 {
		return g.processTimes()
	}
	return time.Duration(max(controlField(filepath.Join(dir, "cpu.stat"), "usage_usec"), 0)) * time.Microsecond
}
