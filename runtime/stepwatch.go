package runtime

import (
	"context"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"paas/platform"
)

// A build step is looked after while it runs, for what the kernel does not bound by itself:
//
//	disk       what was written since the step began to where it may write. Where there are project quotas the
//	           kernel keeps it (see stepQuota). Elsewhere asking the file system what is free costs nothing; only
//	           when that shrinks are the files looked at.
//	silence    how long nothing was printed
//	processes  a fork bomb that is at its limit goes on trying for ever
//	memory     on cgroup v1 the kernel kills one process of many, and the rest goes on for ever
type stepWatch struct {
	runtime *Runtime
	spec    platform.StepSpec
	began   time.Time
	heard   atomic.Int64 // when something was printed, in nanoseconds since began

	quota  *stepQuota // nil: the files are looked at
	free   int64      // of the file system, at the beginning
	looked time.Time
	rounds int // looks in a row that found it at its limit of processes

	cpu      time.Duration // used until measured
	measured time.Time
	last     pace
	gives    bool // it keeps off a processor
}

const (
	stepLook     = 500 * time.Millisecond
	diskLook     = time.Minute // between two looks at the files without need
	diskLookCost = 20          // and as many times what the last one took
	bombRounds   = 6           // looks
)

func (r *Runtime) watchStep(s platform.StepSpec) *stepWatch {
	w := &stepWatch{runtime: r, spec: s, began: time.Now()}
	w.looked, w.measured, w.free = w.began, w.began, freeBytes(s.Upper)
	return w
}

// hearing passes output on and notes when it came.
func (w *stepWatch) hearing(out io.Writer) io.Writer { return heard{w, out} }

type heard struct {
	watch *stepWatch
	out   io.Writer
}

func (h heard) Write(p []byte) (int, error) {
	h.watch.heard.Store(math.MaxInt64) // as long as the reader keeps it waiting
	n, err := h.out.Write(p)
	h.watch.heard.Store(int64(time.Since(h.watch.began)))
	return n, err
}

// run kills the container when it takes too much, and then returns of what and how much. It returns when the
// container has ended.
func (w *stepWatch) run(ctx context.Context, c *container) (over platform.Resource, used int64) {
	tick := time.NewTicker(stepLook)
	defer tick.Stop()
	w.last = content
	w.runtime.tempo.note(w, content)
	defer w.runtime.tempo.note(w, gone)
	for {
		select {
		case <-c.gone:
			return "", 0
		case <-ctx.Done():
			return "", 0
		case <-tick.C:
		}
		w.keepTempo(c)
		w.giveRoom(c)
		if over, used = w.look(c); over != "" {
			c.kill()
			return over, used
		}
		if !c.group.of.v2 && c.group.oomKills() > 0 {
			c.kill() // as memory.oom.group does
			return "", 0
		}
	}
}

func (w *stepWatch) look(c *container) (platform.Resource, int64) {
	if w.bomb(c) {
		return platform.ProcessResource, int64(w.spec.Limits.Processes)
	}
	if quiet := time.Since(w.began) - time.Duration(w.heard.Load()); w.spec.Silence > 0 && quiet > w.spec.Silence {
		return platform.SilenceResource, int64(quiet.Seconds())
	}
	if written, over := w.wrote(); over {
		return platform.DiskResource, written
	}
	return "", 0
}

// bomb tells whether the container was refused processes and stays at its limit of them.
func (w *stepWatch) bomb(c *container) bool {
	pids, ok := c.group.dir("pids")
	if !ok {
		return false
	}
	full := controlNumber(filepath.Join(pids, "pids.current")) >= controlNumber(filepath.Join(pids, "pids.max"))*9/10
	if !full || c.group.refusals() == 0 {
		w.rounds = 0
		return false
	}
	w.rounds++
	return w.rounds >= bombRounds
}

// refusals counts the forks that the limit of processes refused.
func (g cgroup) refusals() int64 {
	pids, ok := g.dir("pids")
	if !ok {
		return 0
	}
	return max(controlField(filepath.Join(pids, "pids.events"), "max"), 0)
}

// wrote looks at the files when the disk has lost as much as the step may write, and from time to time,
// since others may free what it takes.
func (w *stepWatch) wrote() (bytes int64, over bool) {
	limit := w.spec.Limits.Disk
	if limit <= 0 {
		return 0, false
	}
	if w.quota != nil {
		return w.quota.wrote()
	}
	lost := w.free - freeBytes(w.spec.Upper)
	if lost < limit && time.Since(w.looked) < diskLook {
		return 0, false
	}
	began := time.Now()
	if began.Before(w.looked) { // the last look took long
		return 0, false
	}
	bytes = writtenSince(w.began, w.spec.Upper)
	for _, dir := range writable(w.spec) {
		bytes += writtenSince(w.began, dir)
	}
	for _, m := range w.spec.Mounts {
		if m.Upper != "" && len(m.Layers) > 0 && !m.ReadOnly {
			bytes += writtenSince(w.began, m.Upper)
		}
	}
	w.looked = time.Now().Add(diskLookCost * time.Since(began))
	return bytes, bytes > limit
}

func freeBytes(dir string) int64 {
	var st unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(dir), &st); err != nil {
		return 0
	}
	return int64(st.Bavail) * st.Bsize
}

// writtenSince adds up the blocks of what changed below dir since a time. It is being written to meanwhile:
// what cannot be read is gone.
func writtenSince(at time.Time, dir string) (sum int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		st := info.Sys().(*syscall.Stat_t)
		if st.Ctim.Sec >= at.Unix()-1 {
			sum += st.Blocks * 512
		}
		return nil
	})
	return sum
}

// Load implements platform.Gauge.
func (r *Runtime) Load() platform.Load {
	l := platform.Load{Processors: processors(), Memory: memoryField("MemTotal:"), MemoryFree: memoryField("MemAvailable:")}
	l.MemoryPressure, l.IOPressure = stalled("memory"), stalled("io")
	return l
}

func processors() int {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return 1
	}
	return set.Count()
}

// stalled is the share of the last ten seconds in which everything stood still, in percent: the first field
// of the line "full avg10=0.00 avg60=0.00 avg300=0.00 total=0".
func stalled(of string) float64 {
	for line := range strings.Lines(controlText("/proc/pressure/" + of)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "full" {
			return share(fields[1])
		}
	}
	return 0
}
