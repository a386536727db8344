package runtime

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// tempo says how the slice of builds stands to all else on the host. A step is idle from its beginning: everybody
// who wakes up goes before it, at once, and alone on the host it loses nothing by that. But who is idle may get nothing
// while an app or something else on the host never sleeps, and a fix for that app would never be built; so a step that
// gets little and wants more is not idle, and has the slice's small weight.
type tempo struct {
	groups *cgroups

	mu    sync.Mutex
	steps map[*stepWatch]pace
	idle  bool
}

// pace is what a step got of the processors lately.
type pace int

const (
	gone    pace = iota // it has ended
	starved             // little, and it waits for more
	content             // all that it wants, or much
)

// In processors' worth of time.
const (
	tempoWindow   = time.Second
	contentShare  = 0.5
	starvedShare  = 0.15
	buildsWeight  = 25 // of usualWeight, when it is not idle
	buildsControl = "cpu.idle"
)

// note takes a step's pace.
func (t *tempo) note(w *stepWatch, p pace) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.steps == nil {
		t.steps = map[*stepWatch]pace{}
	}
	t.steps[w] = p
	if p == gone {
		delete(t.steps, w)
	}
	idle := len(t.steps) > 0
	for _, p := range t.steps {
		idle = idle && p == content
	}
	if idle != t.idle {
		t.idle = idle
		t.groups.setIdle(idle)
	}
}

// setIdle gives the slice the least weight on kernels before 5.15, which know no idle groups. A group that is not idle
// any more has the usual weight (sched_group_set_idle in kernel/sched/fair.c), so its own is written again.
func (c *cgroups) setIdle(idle bool) {
	g := cgroup{c, c.path(buildsGroup)}
	dir, ok := g.dir("cpu")
	if !ok {
		return
	}
	err := writeControl(filepath.Join(dir, buildsControl), map[bool]string{true: "1", false: "0"}[idle])
	switch {
	case !idle:
		_ = c.apply(g.path, weights(c.v2, buildsGroup))
	case err != nil:
		_ = c.apply(g.path, []setting{leastWeight(c.v2)})
	}
}

// leastWeight is what the kernel takes at least (cgroup-v2.rst; sched-design-CFS.rst for v1).
func leastWeight(v2 bool) setting {
	if v2 {
		return setting{"cpu", "cpu.weight", "1", true, false}
	}
	return setting{"cpu", "cpu.shares", "2", true, false}
}

// pace measures what the container got since the last time, once a window is over.
func (w *stepWatch) pace(c *container) (p pace, known bool) {
	took := time.Since(w.measured)
	if took < tempoWindow {
		return w.last, false
	}
	before := w.cpu
	w.cpu, w.measured = c.group.processorTime(), time.Now()
	share := float64(w.cpu-before) / float64(took)
	if contentShare > share && share >= starvedShare {
		return w.last, true
	}
	if share < starvedShare && c.group.waits() {
		return starved, true
	}
	return content, true
}

// waits tells whether a thread of the group could run at this moment. Without it a step that gets little wants no more:
// it sleeps, or waits for the network or the disk.
func (g cgroup) waits() bool {
	for _, pid := range processesIn(g.dirs()[0]) {
		task := "/proc/" + strconv.Itoa(pid) + "/task"
		threads, err := os.ReadDir(task)
		if err != nil {
			continue // it has ended
		}
		for _, t := range threads {
			stat := controlText(filepath.Join(task, t.Name(), "stat"))
			if _, state, ok := strings.Cut(stat, ") "); ok && strings.HasPrefix(state, "R") {
				return true
			}
		}
	}
	return false
}

// keepTempo makes a step give way as long as it gets what it wants.
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
