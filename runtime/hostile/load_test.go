package hostile_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"paas/platform"
	"paas/runtime/runtimetest"
	"paas/runtime/runtimetest/sandbox"
)

// What one container may do to others at most.
const (
	slowest      = 5 * time.Second // for the neighbour's page, on a machine that does other things too
	hostMemory   = 512 << 20       // that an attack may take from the host beside its own limit
	daemonMemory = 96 << 20        // that the daemon may grow by
)

// flood is an attack that uses something up.
type flood struct {
	words  []string
	limits platform.Limits
	oom    bool             // it must be killed for want of memory
	most   map[string]int64 // what it may reach
	least  map[string]int64 // what it must reach, or nothing was tried
}

const mebibyte = 1 << 20

func floods() map[string]flood {
	small := platform.Limits{Memory: 64 * mebibyte, Processes: 64}
	wide := platform.Limits{Memory: 256 * mebibyte, Processes: 64}
	return map[string]flood{
		"fork bomb":         {[]string{"forkbomb", "1s"}, small, false, map[string]int64{"forked": 64}, map[string]int64{"refused": 1}},
		"thread bomb":       {[]string{"threadbomb", "500ms"}, small, false, map[string]int64{"threads": 64}, map[string]int64{"threads": 1}},
		"descriptors":       {[]string{"files"}, small, false, map[string]int64{"files": 1 << 20}, map[string]int64{"files": 100}},
		"terminals":         {[]string{"terminals"}, wide, false, map[string]int64{"terminals": 64}, map[string]int64{"terminals": 16}},
		"memory":            {[]string{"memory"}, small, true, nil, nil},
		"shared memory":     {[]string{"tmpfs", "/dev/shm/x"}, wide, false, map[string]int64{"bytes": 64 * mebibyte}, map[string]int64{"bytes": mebibyte}},
		"memory files":      {[]string{"memfd"}, small, true, nil, nil},
		"System V memory":   {[]string{"sysv"}, small, true, nil, nil},
		"page cache":        {[]string{"pagecache", "/tmp/x"}, small, false, nil, map[string]int64{"bytes": 128 * mebibyte}},
		"pipes":             {[]string{"pipes"}, small, false, map[string]int64{"bytes": 128 * mebibyte}, nil},
		"socket buffers":    {[]string{"socketbuf"}, small, false, map[string]int64{"bytes": 128 * mebibyte}, nil},
		"connections":       {[]string{"connections"}, small, false, map[string]int64{"bytes": 256 * mebibyte}, map[string]int64{"bytes": mebibyte}},
		"files of no size":  {[]string{"inodes", "/tmp", "2000"}, small, false, nil, map[string]int64{"inodes": 1000}},
		"inodes of a tmpfs": {[]string{"inodes", "/dev/shm", "100000"}, small, false, nil, nil},
		"watches":           {[]string{"watches"}, small, false, map[string]int64{"instances": 20000}, nil},
		"names not there":   {[]string{"dentries", "1s"}, small, false, nil, map[string]int64{"names": 1000}},
		"epolls of epolls":  {[]string{"epolls"}, small, false, nil, map[string]int64{"instances": 100}},
		"System V messages": {[]string{"queues"}, small, false, map[string]int64{"bytes": 128 * mebibyte}, nil},
		"spinning":          {[]string{"spin", "1s"}, small, false, nil, nil},
	}
}

// Whatever a container uses up, it meets its own bounds, and the neighbour answers all the time.
func TestFloods(t *testing.T) {
	a := newArena(t)
	for name, f := range floods() {
		asBoth(t, name, func(t *testing.T, root bool) { a.in(t).endure(f, root) })
	}
}

func (a *arena) endure(f flood, root bool) {
	t := a.t
	w := a.watch()
	s := attacker(root)
	s.Command, s.Limits = append([]string{"/attack"}, f.words...), f.limits
	s.Image.WorkDir = "/tmp"
	exit, stdout, stderr := a.Job(t, s)
	w.stop()
	w.verdict(f.limits)
	killed := exit.Code == 137 || exit.Code == 2 // 2: the Go runtime gives up when it gets no memory or thread
	if f.oom && !exit.OOM {
		t.Errorf("it was not seen to be out of memory: %+v", exit)
	}
	if f.oom || (killed && exit.OOM) {
		return
	}
	r, err := parse(stdout)
	if err != nil {
		t.Fatalf("exit %+v: %v: %.200s\n%.500s", exit, err, stdout, stderr)
	}
	for what, most := range f.most {
		if r.Reached[what] > most {
			t.Errorf("%s: %d, more than %d", what, r.Reached[what], most)
		}
	}
	for what, least := range f.least {
		if r.Reached[what] < least {
			t.Errorf("%s: only %d", what, r.Reached[what])
		}
	}
	t.Logf("reached %v, the neighbour took %s at most", r.Reached, w.worst)
}

// watcher looks at the neighbour and the host while an attack goes on.
type watcher struct {
	a       *arena
	done    chan struct{}
	running sync.WaitGroup
	worst   time.Duration
	failed  error
	memory  [2]int64 // available on the host, bytes: at first, and the least
	daemon  [2]int64 // resident of this process, bytes: at first, and the most
	pids    int      // the most of the attacker
}

func (a *arena) watch() *watcher {
	memory, resident := hostFree(), residentSize()
	w := &watcher{a: a, done: make(chan struct{}), memory: [2]int64{memory, memory}, daemon: [2]int64{resident, resident}}
	w.running.Go(func() {
		for {
			select {
			case <-w.done:
				return
			case <-time.After(50 * time.Millisecond):
				w.look()
			}
		}
	})
	return w
}

func (w *watcher) look() {
	took, err := w.a.probe()
	w.worst = max(w.worst, took)
	if err != nil && w.failed == nil {
		w.failed = err
	}
	w.memory[1] = min(w.memory[1], hostFree())
	w.daemon[1] = max(w.daemon[1], residentSize())
	w.pids = max(w.pids, tasks())
}

func (w *watcher) stop() {
	close(w.done)
	w.running.Wait()
	w.look()
}

func (w *watcher) verdict(l platform.Limits) {
	t := w.a.t
	t.Helper()
	if w.failed != nil || w.worst > slowest {
		t.Errorf("the neighbour took %s: %v", w.worst, w.failed)
	}
	if took := w.memory[0] - w.memory[1]; took > l.Memory+hostMemory {
		t.Errorf("the host lost %d MiB", took/mebibyte)
	}
	if grew := w.daemon[1] - w.daemon[0]; grew > daemonMemory {
		t.Errorf("the daemon grew by %d MiB", grew/mebibyte)
	}
	if l.Processes > 0 && w.pids > l.Processes {
		t.Errorf("%d tasks, the limit is %d", w.pids, l.Processes)
	}
}

// tasks counts those of the attacker's group, the largest among builds; others may wait there for use.
func tasks() (n int) {
	files, _ := filepath.Glob("/sys/fs/cgroup/paas-" + sandbox.ID() + "-builds/*/pids.current")
	v1, _ := filepath.Glob("/sys/fs/cgroup/pids/paas-" + sandbox.ID() + "-builds/*/pids.current")
	for _, path := range append(files, v1...) {
		text, _ := os.ReadFile(path)
		var here int
		_, _ = fmt.Sscan(string(text), &here)
		n = max(n, here)
	}
	return n
}

func hostFree() int64 { return field("/proc/meminfo", "MemAvailable:") }

func residentSize() int64 { return field("/proc/self/status", "VmRSS:") }

// field reads a line of kilobytes.
func field(path, name string) (bytes int64) {
	text, _ := os.ReadFile(path)
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			_, _ = fmt.Sscan(rest, &bytes)
		}
	}
	return bytes << 10
}

// Children that take memory over and over are killed; nobody else is.
func TestMemoryBombWithChildren(t *testing.T) {
	a := newArena(t)
	w := a.watch()
	s := attacker(false)
	s.Command, s.Limits = []string{"/attack", "memory-tree", "1s"}, platform.Limits{Memory: 64 * mebibyte, Processes: 200}
	i, err := a.Start(context.Background(), s)
	sandbox.Check(t, err)
	ended := a.ends(i.ID)
	w.stop()
	w.verdict(s.Limits)
	if !ended.Exit.OOM {
		t.Errorf("it ended with %+v", *ended.Exit)
	}
	sandbox.Check(t, a.Stop(context.Background(), i.ID, 0))
}

// hoard starts an attacker that holds all it gets, until the test ends, and returns what it says then.
func (a *arena) hoard(number int, root bool, memory int64, attack string) string {
	a.t.Helper()
	s := attacker(root)
	s.Number, s.Limits = number, platform.Limits{Memory: memory}
	s.Command = runtimetest.Shell("/attack " + attack)
	i, err := a.Start(context.Background(), s)
	sandbox.Check(a.t, err)
	a.t.Cleanup(func() { sandbox.Check(a.t, a.Stop(context.Background(), i.ID, 0)) })
	sandbox.Eventually(a.t, "it has all it gets", func() bool { return strings.Contains(a.lastLine(i.ID), "held") })
	return a.lastLine(i.ID)
}

// After one app took all terminals it may have, others still get theirs.
func TestTerminalsAreLeftForOthers(t *testing.T) {
	a := newArena(t)
	for n := range 3 {
		t.Log(a.hoard(n+1, false, 512*mebibyte, "hoard-terminals"))
	}
	var out sandbox.Buffer
	job := platform.JobSpec{
		InstanceSpec: runtimetest.Spec(neighbourApp, runtimetest.Shell("tty")),
		Terminal:     &platform.Terminal{Cols: 80, Rows: 24},
	}
	exit, err := a.Run(context.Background(), job, nil, &out, nil)
	if err != nil || exit.Code != 0 || !strings.Contains(out.String(), "/dev/pts/") {
		t.Errorf("a neighbour's terminal: %+v, %v, %q", exit, err, out.String())
	}
}

// A flood of log lines fills its own two segments again and again.
func TestLogFlood(t *testing.T) {
	newArena(t).floodLog("log", "2s")
}

// Lines of one byte are a few times longer where they are kept.
func TestFloodOfTinyLines(t *testing.T) {
	newArena(t).floodLog("lines", "2s")
}

func (a *arena) floodLog(words ...string) {
	t := a.t
	t.Helper()
	w := a.watch()
	s := attacker(false)
	s.Command, s.Limits = append([]string{"/attack"}, words...), platform.Limits{Memory: 64 * mebibyte}
	i, err := a.Start(context.Background(), s)
	sandbox.Check(t, err)
	largest := int64(0)
	for range 40 {
		largest = max(largest, diskUse(t, a.Dir+"/state/logs/app0"))
		time.Sleep(50 * time.Millisecond)
	}
	ended := a.ends(i.ID)
	w.stop()
	w.verdict(s.Limits)
	if ended.Exit.Code != 0 || ended.Exit.OOM {
		t.Errorf("the flood ended with %+v", *ended.Exit)
	}
	if largest > 16*mebibyte {
		t.Errorf("its log took %d MiB", largest/mebibyte)
	}
	t.Logf("%s; the log had %d KiB, the daemon grew by %d KiB, the neighbour took %s at most",
		a.lastLine(i.ID), largest>>10, (w.daemon[1]-w.daemon[0])>>10, w.worst)
	sandbox.Check(t, a.Stop(context.Background(), i.ID, 0))
}

// A line that does not end costs no more memory than one that does.
func TestEndlessLine(t *testing.T) {
	a := newArena(t)
	w := a.watch()
	s := attacker(false)
	s.Command, s.Limits = []string{"/attack", "longline"}, platform.Limits{Memory: 32 * mebibyte}
	i, err := a.Start(context.Background(), s)
	sandbox.Check(t, err)
	ended := a.ends(i.ID)
	w.stop()
	w.verdict(s.Limits)
	if ended.Exit.Code != 0 || ended.Exit.OOM {
		t.Errorf("it ended with %+v", *ended.Exit)
	}
	if use := diskUse(t, a.Dir+"/state/logs/app0"); use > 16*mebibyte {
		t.Errorf("its log took %d MiB", use/mebibyte)
	}
	sandbox.Check(t, a.Stop(context.Background(), i.ID, 0))
}

func diskUse(t *testing.T, dir string) (bytes int64) {
	t.Helper()
	_ = filepath.WalkDir(dir, func(_ string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if info, err := e.Info(); err == nil {
				bytes += info.Size()
			}
		}
		return nil
	})
	return bytes
}
