package runtime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"paas/platform"
	"paas/runtime/runtimetest/sandbox"

	"golang.org/x/sys/unix"
)

// limited is an instance with limits.
func limited(script string, l platform.Limits) platform.InstanceSpec {
	s := spec(script)
	s.Limits = l
	return s
}

func (b *bench) begin(s platform.InstanceSpec) platform.Instance {
	b.t.Helper()
	i, err := b.Start(context.Background(), s)
	check(b.t, err)
	return i
}

// oom waits for the next kill for want of memory.
func (b *bench) oom() platform.OOMKill {
	b.t.Helper()
	select {
	case k := <-b.OOMKills():
		return k
	case <-time.After(20 * time.Second):
		b.t.Fatal("no kill was seen")
		return platform.OOMKill{}
	}
}

func (b *bench) consumed(i platform.Instance) platform.Consumption {
	b.t.Helper()
	c, err := b.Consumed(context.Background(), i.ID)
	check(b.t, err)
	return c
}

// execIn is what a command beside the app prints.
func (b *bench) execIn(i platform.Instance, script string) string {
	b.t.Helper()
	var out sandbox.Buffer
	_, err := b.Exec(context.Background(), i.ID, []string{"/bin/sh", "-c", script}, &out)
	check(b.t, err)
	return strings.TrimSpace(out.String())
}

const eat = `tail -c 300000000 /dev/zero`

// A process that eats more memory than it may is killed, and its end says how much it had.
func TestMemoryLimitIsExplained(t *testing.T) {
	b := newBench(t)
	b.begin(limited("exec "+eat, platform.Limits{Memory: 32 << 20}))
	exit := b.ends().Exit
	if !exit.OOM || exit.MemoryLimit != 32<<20 || exit.MemoryPeak < 28<<20 || exit.MemoryPeak > 32<<20 {
		t.Errorf("exit %+v", exit)
	}
	equal(t, "sentence", exit.String(), "was killed: it used 32 MiB of its 32 MiB memory limit")
	k := b.oom()
	equal(t, "kills", k.Kills, 1)
	equal(t, "type", k.Instance.Type, platform.Web)
	equal(t, "limit", k.Limit, int64(32<<20))
}

// A kill in an instance that goes on is seen while it does, and counted.
func TestKillOfAChildIsSeen(t *testing.T) {
	b := newBench(t)
	i := b.begin(limited("for n in 1 2; do "+eat+"; sleep 0.3; done; echo went on; exec sleep 1000", platform.Limits{Memory: 32 << 20}))
	k := b.oom()
	equal(t, "instance", k.Instance.ID, i.ID)
	kills := k.Kills
	for kills < 2 {
		kills += b.oom().Kills
	}
	equal(t, "kills", kills, 2)
	equal(t, "counted", b.consumed(i).OOMKills, 2)
	eventually(t, "it goes on", func() bool { return strings.Contains(strings.Join(b.lines(), " "), "went on") })
	check(t, b.Stop(context.Background(), i.ID, 0))
}

// An end long after a kill of something else in the container is not for want of memory.
func TestLaterEndIsNoOOM(t *testing.T) {
	b := newBench(t)
	b.begin(limited("("+eat+"); sleep 2.5; exit 3", platform.Limits{Memory: 32 << 20}))
	b.oom()
	exit := b.ends().Exit
	if exit.OOM || exit.Code != 3 {
		t.Errorf("exit %+v", exit)
	}
}

// Kills that happen while no daemon is there are told by the next one.
func TestKillWithoutDaemonIsTold(t *testing.T) {
	b := newBench(t)
	i := b.begin(limited("sleep 1; ("+eat+"); exec sleep 1000", platform.Limits{Memory: 32 << 20}))
	group := *mustRunning(b, i).group
	check(t, b.Close())
	eventually(t, "the kill", func() bool { return group.oomKills() > 0 })
	b.open()
	equal(t, "kills", b.oom().Kills, 1)
	b.reopen()
	select {
	case k := <-b.OOMKills():
		t.Errorf("told again: %+v", k)
	case <-time.After(200 * time.Millisecond):
	}
}

func mustRunning(b *bench, i platform.Instance) *container {
	b.t.Helper()
	c, err := b.running(i.ID)
	check(b.t, err)
	return c
}

func TestProcessLimitIsCounted(t *testing.T) {
	b := newBench(t)
	i := b.begin(limited(`(while :; do sleep 100 & done) 2>/dev/null; exec sleep 100`, platform.Limits{Processes: 20}))
	eventually(t, "a fork is refused", func() bool { return b.consumed(i).ProcessRefusals > 0 })
	c := b.consumed(i)
	equal(t, "limit", c.ProcessLimit, 20)
	if c.Processes > 20 {
		t.Errorf("%d processes", c.Processes)
	}
}

func TestProcessorLimitBites(t *testing.T) {
	b := newBench(t)
	i := b.begin(limited(`while :; do :; done`, platform.Limits{CPUs: 0.1}))
	eventually(t, "it waits", func() bool { return b.consumed(i).Throttled > 300*time.Millisecond })
	c := b.consumed(i)
	if life := time.Since(i.StartedAt); c.CPU > life/4 || c.ThrottledPeriod < 0.3 {
		t.Errorf("after %v: %+v", life, c)
	}
}

func TestProcessorSetHolds(t *testing.T) {
	b := newBench(t)
	const allowed = `grep Cpus_allowed_list: /proc/self/status | cut -f2`
	equal(t, "processors", b.output(limited(allowed, platform.Limits{CPUSet: "0"})), "0")
	_, err := b.Start(context.Background(), limited(`true`, platform.Limits{CPUSet: "4000"}))
	equal(t, "kind", platform.KindOf(err), platform.Failed)
}

func TestDiskRateHolds(t *testing.T) {
	b := newBench(t)
	if why := b.lack("io-read"); why != "" {
		t.Fatalf("this test needs throttling of disks: %s", why)
	}
	const read = `dd if=/app/file of=/dev/null bs=64k iflag=direct 2>/dev/null`
	script := `dd if=/dev/zero of=/app/file bs=64k count=16 conv=fsync 2>/dev/null; start=$(date +%s%N); ` + read + `; echo $(( ($(date +%s%N) - start) / 1000000 ))`
	script = strings.ReplaceAll(script, "date +%s%N", "awk '{print int($1*1000)*1000000}' /proc/uptime")
	slow := b.output(limited(script, platform.Limits{Read: platform.Rate{Bytes: 1 << 20}}))
	var took int
	_, err := fmt.Sscan(slow, &took)
	check(t, err)
	if took < 700 || took > 10_000 {
		t.Errorf("1 MiB at 1 MiB/s took %d ms", took)
	}
}

// Limits of a running instance move, and one that does not fit is refused without harm.
func TestLimitsChangeWhileItRuns(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	i := b.begin(limited(`head -c 20000000 /dev/zero >/dev/shm/x; echo full; exec sleep 1000`, platform.Limits{Memory: 128 << 20, Processes: 64}))
	eventually(t, "it is full", func() bool { return len(b.lines()) == 1 })
	check(t, b.SetLimits(ctx, i.ID, platform.Limits{Memory: 256 << 20, Swap: 16 << 20, Processes: 32, CPUs: 0.5, CPUSet: "0", Reserve: platform.Guarantee{Memory: 16 << 20, CPUs: 2}}))
	c := b.consumed(i)
	equal(t, "memory", c.MemoryLimit, int64(256<<20))
	equal(t, "processes", c.ProcessLimit, 32)
	equal(t, "processors", b.allowedOf(i), "0")
	err := b.SetLimits(ctx, i.ID, platform.Limits{Memory: 8 << 20})
	equal(t, "kind", platform.KindOf(err), platform.Conflict)
	equal(t, "memory after a refusal", b.consumed(i).MemoryLimit, int64(256<<20))
	check(t, b.SetLimits(ctx, i.ID, platform.Limits{Memory: 96 << 20}))
	equal(t, "less memory", b.consumed(i).MemoryLimit, int64(96<<20))
	equal(t, "usual processes", b.consumed(i).ProcessLimit, defaultPIDs)
	if runtime.NumCPU() > 1 {
		equal(t, "all processors again", b.allowedOf(i) != "0", true)
	}
	equal(t, "nobody was killed", b.consumed(i).OOMKills, 0)
	if err := b.SetLimits(ctx, "nobody", platform.Limits{}); platform.KindOf(err) != platform.NotFound {
		t.Errorf("of nobody: %v", err)
	}
}

// allowedOf is the processors of the app itself, which is not moved by what is run beside it.
func (b *bench) allowedOf(i platform.Instance) string {
	b.t.Helper()
	return b.execIn(i, `grep Cpus_allowed_list: /proc/2/status | cut -f2`)
}

// What a container is guaranteed is written where the kernel looks for it.
func TestReserveIsPassedUp(t *testing.T) {
	b := newBench(t)
	i := b.begin(limited(`exec sleep 100`, platform.Limits{Reserve: platform.Guarantee{Memory: 8 << 20}}))
	dir, _ := mustRunning(b, i).group.dir("memory")
	if !b.groups.v2 {
		equal(t, "soft limit", controlNumber(dir+"/memory.soft_limit_in_bytes"), 8<<20)
		return
	}
	for _, up := range []string{dir, filepath.Dir(dir), filepath.Dir(filepath.Dir(dir))} {
		equal(t, up, controlNumber(up+"/memory.low"), 8<<20)
	}
}

// All containers together leave the host something.
func TestPlatformKeepsAReserve(t *testing.T) {
	b := newBench(t)
	file := "memory.limit_in_bytes"
	if b.groups.v2 {
		file = "memory.max"
	}
	got := controlNumber(filepath.Join(b.groups.tops["memory"], file))
	total := hostMemory()
	if want := total - memoryReserve(total); got < want-1<<16 || got > want {
		t.Errorf("all containers may use %d of %d bytes, want %d", got, total, want)
	}
}

// The kernel takes builds first, then jobs, then apps, and no process inside can change that.
func TestWhoIsTakenFirst(t *testing.T) {
	b := newBench(t)
	const score = `cat /proc/self/oom_score_adj`
	i := b.begin(spec(`exec sleep 100`))
	equal(t, "app", b.execIn(i, `cat /proc/2/oom_score_adj`), "300")
	equal(t, "beside an app", b.execIn(i, score), "300")
	equal(t, "job", b.output(spec(score)), "450")
	var out bytes.Buffer
	step := stepSpec(b, score)
	_, err := b.Step(context.Background(), step, &out)
	check(t, err)
	equal(t, "build", strings.TrimSpace(out.String()), "600")
	lowered := b.output(spec(`(echo -900 >/proc/self/oom_score_adj) 2>/dev/null && echo lowered; true`))
	equal(t, "an app lowers its own", lowered, "")
	if mayRaise(t) {
		equal(t, "even a little", b.output(spec(`(echo 299 >/proc/self/oom_score_adj) 2>/dev/null && echo lowered; true`)), "")
	}
}

// mayRaise tells whether this process has CAP_SYS_RESOURCE. Without it the least score that an app can go
// back to is the daemon's own.
func mayRaise(t *testing.T) bool {
	t.Helper()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	check(t, unix.Capget(&header, &data[0]))
	return data[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0
}

func stepSpec(b *bench, script string) platform.StepSpec {
	return platform.StepSpec{
		AppID: sandbox.App(0), App: "hello", Name: "step", Layers: []string{baseLayer}, Upper: b.t.TempDir() + "/fs",
		Argv: []string{"/bin/sh", "-c", script}, UID: 1000, GID: 1000,
	}
}

// Notes of the platform's own stand in the app's log, by their source.
func TestNotes(t *testing.T) {
	b := newBench(t)
	check(t, b.Note("hello", "web.1", "was killed:\n32 MiB"))
	check(t, b.Note("hello", "worker.1", "was killed"))
	read := func(source string) (lines []string) {
		err := b.Logs(context.Background(), platform.LogQuery{App: "hello", Source: source, Lines: 10}, func(l platform.LogLine) error {
			lines = append(lines, l.Source+" "+l.Stream+" "+l.Text)
			return nil
		})
		check(t, err)
		return lines
	}
	equal(t, "all", strings.Join(read(""), "|"), "web.1 platform was killed: 32 MiB|worker.1 platform was killed")
	equal(t, "web", strings.Join(read("web"), "|"), "web.1 platform was killed: 32 MiB")
	b.reopen()
	check(t, b.Note("hello", "web.1", "again"))
	equal(t, "after a restart", strings.Join(read("web.1"), "|"), "web.1 platform was killed: 32 MiB|web.1 platform again")
	check(t, b.Forget(context.Background(), "hello"))
	equal(t, "forgotten", len(read("")), 0)
	check(t, b.Note("hello", "web.1", "new"))
	equal(t, "afterwards", strings.Join(read(""), "|"), "web.1 platform new")
}

// What this host cannot keep is known by name and reason.
func TestShortfalls(t *testing.T) {
	b := newBench(t)
	all := platform.Limits{
		Memory: 1, MemoryHigh: 1, Swap: 1, CPUs: 1, CPUSet: "0", Processes: 1, Disk: 1,
		Read: platform.Rate{Bytes: 1}, Write: platform.Rate{Bytes: 1}, Reserve: platform.Guarantee{Memory: 1, CPUs: 1, IO: 1},
	}
	missing := make(map[string]string)
	for _, s := range b.Shortfalls(all) {
		if s.Reason == "" {
			t.Errorf("%s without a reason", s.Limit)
		}
		missing[s.Limit] = s.Reason
	}
	for limit, absent := range map[string]bool{"memory": false, "pids": false, "cpu": false, "memory-high": !b.groups.v2, "pressure": !b.groups.v2} {
		if got := missing[limit] != ""; got != absent {
			t.Errorf("%s is missing: %v (%s)", limit, got, missing[limit])
		}
	}
	list := b.Inspect(context.Background())
	seen := make(map[string]bool)
	for _, f := range list {
		if f.Text == "" || f.Grade == "" || f.Grade == platform.Failing {
			t.Errorf("%+v", f)
		}
		if seen[f.Check] && f.Check != "firewall" {
			t.Errorf("%s is checked twice", f.Check)
		}
		seen[f.Check] = true
	}
}

// A host without the controllers for memory and pids is refused with a hint, one without others is not.
func TestMissingControllers(t *testing.T) {
	_, err := openCgroups(hierarchies{v1: map[string]string{"freezer": "/nowhere"}}, "x")
	var e *platform.Error
	if !errors.As(err, &e) || e.Hint == "" {
		t.Errorf("without controllers: %v", err)
	}
	mount := t.TempDir()
	for _, dir := range []string{"memory", "pids"} {
		check(t, os.Mkdir(mount+"/"+dir, 0o755))
	}
	c, err := openCgroups(hierarchies{v1: map[string]string{"memory": mount + "/memory", "pids": mount + "/pids"}}, "x")
	check(t, err)
	for _, limit := range []string{"cpu", "cpuset", "io-read", "device", "swap"} {
		if c.lacks[limit] == "" {
			t.Errorf("%s is not known to be missing: %v", limit, c.lacks)
		}
	}
}
