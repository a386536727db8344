package runtime

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"paas/platform"
	"paas/runtime/runtimetest/sandbox"

	"golang.org/x/sys/unix"
)

// ticking is an instance that writes a line every 20 ms.
const ticking = `trap 'echo stopping; exit 0' TERM; n=0; while :; do n=$((n+1)); echo tick $n; sleep 0.02; done`

// standsStill tells whether the log grows no more.
func (b *bench) standsStill() bool {
	b.t.Helper()
	time.Sleep(60 * time.Millisecond) // what is in the pipe
	before := len(b.lines())
	time.Sleep(150 * time.Millisecond)
	return len(b.lines()) == before
}

func TestPause(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	i := b.start(ticking)
	b.awaitLine("tick 3")
	check(t, b.Pause(ctx, i.ID))
	check(t, b.Pause(ctx, i.ID))
	if !b.standsStill() {
		t.Error("a paused instance writes")
	}
	all, err := b.Instances(ctx)
	check(t, err)
	equal(t, "paused", all[0].Paused, true)
	_, err = b.Exec(ctx, i.ID, []string{"true"}, &sandbox.Buffer{})
	equal(t, "exec while paused", platform.KindOf(err), platform.Conflict)
	s, err := b.Stats(ctx, i.ID)
	check(t, err)
	if s.Memory <= 0 || s.Processes <= 0 {
		t.Errorf("stats of a paused instance: %+v", s)
	}
	check(t, b.Resume(ctx, i.ID))
	check(t, b.Resume(ctx, i.ID))
	if b.standsStill() {
		t.Error("a resumed instance does not write")
	}
	_, err = b.Exec(ctx, i.ID, []string{"true"}, &sandbox.Buffer{})
	check(t, err)
}

func TestPauseOfNobody(t *testing.T) {
	b := newBench(t)
	for _, do := range []func(context.Context, platform.InstanceID) error{b.Pause, b.Resume} {
		equal(t, "kind", platform.KindOf(do(context.Background(), "hello-nobody")), platform.NotFound)
	}
	b.start("exit 3")
	i := b.ends()
	equal(t, "ended", platform.KindOf(b.Pause(context.Background(), i.ID)), platform.NotFound)
}

// A server keeps its connections and its memory while it stands still.
func TestPausedServerAnswersAfterwards(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	i := b.start(`echo page > index.html; exec httpd -f -p $PORT`)
	url := "http://" + i.Addr.String() + "/index.html"
	eventually(t, "it serves", func() bool { return answers(url, time.Second) })
	check(t, b.Pause(ctx, i.ID))
	if answers(url, 200*time.Millisecond) {
		t.Error("a paused server answers")
	}
	check(t, b.Resume(ctx, i.ID))
	equal(t, "answers", answers(url, 5*time.Second), true)
}

func answers(url string, patience time.Duration) bool {
	c := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := c.Get(url)
	if err != nil {
		return false
	}
	_ = r.Body.Close()
	return r.StatusCode == http.StatusOK
}

func TestStopOfPausedIsGraceful(t *testing.T) {
	b := newBench(t)
	i := b.start(ticking)
	b.awaitLine("tick 3")
	check(t, b.Pause(context.Background(), i.ID))
	begin := time.Now()
	check(t, b.Stop(context.Background(), i.ID, 10*time.Second))
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	b.awaitLine("stopping")
}

func TestKillOfPaused(t *testing.T) {
	b := newBench(t)
	i := b.start(`trap '' TERM; ` + ticking)
	b.awaitLine("tick 3")
	check(t, b.Pause(context.Background(), i.ID))
	check(t, b.Stop(context.Background(), i.ID, 0))
	all, err := b.Instances(context.Background())
	check(t, err)
	equal(t, "instances", len(all), 0)
}

// The end of a paused instance by a signal from outside is seen, where the kernel lets it end at all.
func TestPausedIsKilledFromOutside(t *testing.T) {
	b := newBench(t)
	i := b.start(ticking)
	check(t, b.Pause(context.Background(), i.ID))
	c, err := b.running(i.ID)
	check(t, err)
	f, err := c.freezer()
	check(t, err)
	if !f.v2 {
		t.Skip("v1 holds a SIGKILL back until the group is thawed")
	}
	check(t, unix.Kill(c.init.pid, unix.SIGKILL))
	equal(t, "signal", b.ends().Exit.Signal, "SIGKILL")
}

func TestPauseOutlivesTheDaemon(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	id := platform.InstanceID(b.doomed("pause", ticking, 0))
	if !b.standsStill() {
		t.Error("the daemon's end let it go on")
	}
	b.open()
	all, err := b.Instances(ctx)
	check(t, err)
	if len(all) != 1 || all[0].ID != id || !all[0].Paused {
		t.Fatalf("instances: %+v", all)
	}
	if !b.standsStill() {
		t.Error("adoption let it go on")
	}
	check(t, b.Resume(ctx, id))
	equal(t, "still", b.standsStill(), false)
	b.reopen()
	all, err = b.Instances(ctx)
	check(t, err)
	equal(t, "paused after a resume", all[0].Paused, false)
}

// Wherever between noting and freezing the daemon dies, the successor does what the record says.
func TestDaemonDiesWhileItPauses(t *testing.T) {
	b := newBench(t)
	for round := range 5 {
		id := platform.InstanceID(b.doomed("pause and resume", ticking, time.Duration(30+11*round)*time.Millisecond))
		b.open()
		all, err := b.Instances(context.Background())
		check(t, err)
		if len(all) != 1 || all[0].ID != id {
			t.Fatalf("instances: %+v", all)
		}
		equal(t, "stands still as it is listed", b.standsStill(), all[0].Paused)
		check(t, b.Stop(context.Background(), id, 0))
	}
}

// A process that forks all the time is caught, too.
func TestPauseOfForking(t *testing.T) {
	b := newBench(t)
	i := b.start(`while :; do /bin/true; (sleep 0.01 &) ; echo x; done`)
	b.awaitLine("x")
	for range 5 {
		check(t, b.Pause(context.Background(), i.ID))
		equal(t, "still", b.standsStill(), true)
		check(t, b.Resume(context.Background(), i.ID))
	}
}

// v1's own freezer is what hosts without any v2 tree have.
func TestPauseWithV1Freezer(t *testing.T) {
	b := newBench(t)
	if _, ok := b.trees.find(v1Freezer); !ok {
		t.Skip("this host has no v1 freezer hierarchy")
	}
	list, err := b.trees.all()
	check(t, err)
	b.trees.list = slices.DeleteFunc(slices.Clone(list), func(g groupTree) bool { return g.names[0] == unified })
	i := b.start(ticking)
	b.awaitLine("tick 3")
	check(t, b.Pause(context.Background(), i.ID))
	equal(t, "still", b.standsStill(), true)
	check(t, b.Resume(context.Background(), i.ID))
	equal(t, "still", b.standsStill(), false)
	check(t, b.Pause(context.Background(), i.ID))
	check(t, b.Stop(context.Background(), i.ID, 0))
	eventually(t, "no freezer is left", func() bool { return len(glob(t, b.freezerDirs(string(i.ID))...)) == 0 })
}

func TestCheckpoint(t *testing.T) {
	b := newBench(t)
	i := b.start(`head -c 20000000 /dev/zero > /app/big; cat /app/big > /dev/null; echo ready; exec sleep 1000`)
	b.awaitLine("ready")
	point, err := b.Checkpoint(context.Background(), i.ID)
	check(t, err)
	t.Logf("%d KiB before, %d KiB after", point.Before>>10, point.After>>10)
	if point.Before <= 0 || point.After > point.Before {
		t.Errorf("checkpoint: %+v", point)
	}
	check(t, b.Resume(context.Background(), i.ID))
	exit, err := b.Exec(context.Background(), i.ID, []string{"true"}, &sandbox.Buffer{})
	check(t, err)
	equal(t, "exec", exit.Code, 0)
}

func TestStats(t *testing.T) {
	b := newBench(t)
	s := spec(`head -c 3000000 /dev/zero > /app/x; i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done; echo ready; exec sleep 1000`)
	s.Limits = platform.Limits{Memory: 64 << 20, Processes: 30}
	i, err := b.Start(context.Background(), s)
	check(t, err)
	b.awaitLine("ready")
	got, err := b.Stats(context.Background(), i.ID)
	check(t, err)
	t.Logf("%+v", got)
	if got.CPU < 20*time.Millisecond || got.CPU > time.Minute {
		t.Errorf("cpu %v", got.CPU)
	}
	if got.Memory <= 0 || got.MemoryPeak < got.Memory || got.MemoryLimit != 64<<20 {
		t.Errorf("memory %+v", got)
	}
	if got.Processes < 2 || got.ProcessLimit < 30 || got.Read < 0 || got.Written < 0 || got.Received < 0 || got.Sent < 0 {
		t.Errorf("the rest: %+v", got)
	}
}

func TestParseTrees(t *testing.T) {
	list := parseTrees(`25 24 0:23 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate
26 24 0:24 /docker/x /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
27 24 0:25 / /sys rw - sysfs sysfs rw`)
	equal(t, "trees", len(list), 2)
	p := places{}
	p.add(list, "cpuacct", "/docker/x/paas-1/apps/a")
	p.add(list, "", "/paas-1/apps/a")
	equal(t, "v1", p["cpuacct"], "/sys/fs/cgroup/cpu,cpuacct/paas-1/apps/a")
	equal(t, "v2", p[unified], "/sys/fs/cgroup/paas-1/apps/a")
}

func TestProcessTime(t *testing.T) {
	stat := "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 1 2 3 4 20 0 1 0 100 1 1"
	equal(t, "time", processTime(stat), 100*time.Millisecond)
	equal(t, "nothing", processTime(""), 0)
	equal(t, "sum", sumAfter("8:0 rbytes=10 wbytes=2\n8:16 rbytes=5", " rbytes="), 15)
}

func BenchmarkPauseResume(b *testing.B) {
	x := newBench(b)
	i := x.start("exec sleep 1000")
	check(b, x.Pause(context.Background(), i.ID))
	for b.Loop() {
		check(b, x.Resume(context.Background(), i.ID))
		check(b, x.Pause(context.Background(), i.ID))
	}
}

// The kernel's side of it alone, without the record.
func BenchmarkFreezeThaw(b *testing.B) {
	x := newBench(b)
	i := x.start("exec sleep 1000")
	check(b, x.Pause(context.Background(), i.ID))
	c, err := x.running(i.ID)
	check(b, err)
	f, err := c.freezer()
	check(b, err)
	for b.Loop() {
		check(b, f.thaw())
		check(b, f.freeze(context.Background()))
	}
}

func BenchmarkStats(b *testing.B) {
	x := newBench(b)
	i := x.start("exec sleep 1000")
	for b.Loop() {
		_, err := x.Stats(context.Background(), i.ID)
		check(b, err)
	}
}
