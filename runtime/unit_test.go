package runtime

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"paas/platform"
	"paas/runtime/runtimetest/sandbox"

	"golang.org/x/sys/unix"
)

func TestParseHierarchies(t *testing.T) {
	const pure = `24 29 0:21 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate`
	const hybrid = `32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw shared:3 master:1 - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
nonsense`
	offer := func(controllers string) func(string) string { return func(string) string { return controllers } }
	for _, c := range []struct {
		what, table, offered, controller, mount string
	}{
		{"v2", pure, "cpuset cpu io memory pids\n", "memory", "/sys/fs/cgroup"},
		{"v2 lacks", pure, "cpu memory", "pids", ""},
		{"hybrid", hybrid, "hugetlb", "memory", "/sys/fs/cgroup/memory"},
		{"hybrid, joined", hybrid, "", "cpu", "/sys/fs/cgroup/cpu,cpuacct"},
		{"hybrid lacks", hybrid, "", "freezer", ""},
		{"v2 without controllers", pure, "", "memory", ""},
	} {
		got, found := parseHierarchies(c.table, offer(c.offered)).mount(c.controller)
		equal(t, c.what+" is found", found, c.mount != "")
		if found {
			equal(t, c.what, got, c.mount)
		}
	}
}

func TestLimitSettings(t *testing.T) {
	l := platform.Limits{Memory: 64 << 20, CPUs: 1.5, Processes: 9}
	text := func(v2, whole bool) string {
		var out []string
		slice := appsGroup
		if whole {
			slice = buildsGroup
		}
		for _, s := range limitSettings(&cgroups{v2: v2}, l, slice) {
			if !s.usual {
				out = append(out, s.file+"="+s.value)
			}
		}
		return strings.Join(out, " ")
	}
	equal(t, "v2", text(true, true), "memory.max=67108864 memory.swap.max=0 pids.max=9 cpu.max=150000 100000 memory.oom.group=1")
	equal(t, "v2 app", text(true, false), "memory.max=67108864 memory.swap.max=0 pids.max=9 cpu.max=150000 100000")
	equal(t, "v1", text(false, true), "memory.limit_in_bytes=67108864 memory.memsw.limit_in_bytes=67108864 memory.kmem.tcp.limit_in_bytes=67108864 pids.max=9 cpu.cfs_quota_us=150000")
}

// Every limit has its control file; what is usual is written only to take something back.
func TestLimitSettingsInFull(t *testing.T) {
	l := platform.Limits{
		Memory: 64 << 20, MemoryHigh: 48 << 20, Swap: 16 << 20, CPUs: 0.001, CPUSet: "0-1", Processes: 9,
		Read: platform.Rate{Bytes: 1, Operations: 2}, Write: platform.Rate{Bytes: 3}, Reserve: platform.Guarantee{Memory: 8, CPUs: 2, IO: 200},
	}
	text := func(v2 bool, l platform.Limits, usual bool) string {
		var out []string
		for _, s := range limitSettings(&cgroups{v2: v2, disk: blockDevice{id: "8:0"}}, l, appsGroup) {
			if s.usual == usual {
				out = append(out, s.file+"="+strings.TrimSpace(s.value))
			}
		}
		return strings.Join(out, "; ")
	}
	equal(t, "v2", text(true, l, false), "memory.max=67108864; memory.swap.max=16777216; memory.high=50331648; memory.low=8; pids.max=9; "+
		"cpu.max=1000 100000; cpu.weight=200; cpuset.cpus=0-1; io.weight=default 200; io.max=8:0 rbps=1 wbps=3 riops=2 wiops=max")
	equal(t, "v1", text(false, l, false), "memory.limit_in_bytes=67108864; memory.memsw.limit_in_bytes=83886080; memory.kmem.tcp.limit_in_bytes=67108864; memory.soft_limit_in_bytes=8; pids.max=9; "+
		"cpu.cfs_quota_us=1000; cpu.shares=2048; cpuset.cpus=0-1; blkio.bfq.weight=200; blkio.throttle.read_bps_device=8:0 1; "+
		"blkio.throttle.write_bps_device=8:0 3; blkio.throttle.read_iops_device=8:0 2")
	equal(t, "v2 taken back", text(true, platform.Limits{}, true), "memory.high=max; memory.low=0; cpu.max=max 100000; cpu.weight=100; cpuset.cpus=; "+
		"io.weight=default 100; io.max=8:0 rbps=max wbps=max riops=max wiops=max")
	equal(t, "v1 taken back", text(false, platform.Limits{}, true), "memory.soft_limit_in_bytes=-1; cpu.cfs_quota_us=-1; cpu.shares=1024; cpuset.cpus=; "+
		"blkio.bfq.weight=100; blkio.throttle.read_bps_device=8:0 0; blkio.throttle.write_bps_device=8:0 0; "+
		"blkio.throttle.read_iops_device=8:0 0; blkio.throttle.write_iops_device=8:0 0")
}

// The v2 way of placing, on whatever cgroup2 tree the host has, with or without controllers.
func TestCgroupV2(t *testing.T) {
	h := v2Tree(t)
	c, err := openCgroups(h, sandbox.ID()+"v2")
	check(t, err)
	t.Cleanup(func() { check(t, c.destroy()) })
	g, err := c.create(appsGroup, "one")
	check(t, err)
	check(t, g.limit(limitsOr(platform.Limits{}, defaultMemory, defaultPIDs)))
	dir, err := g.open()
	check(t, err)
	pid := sleeper(t, dir)
	check(t, dir.Close())
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	check(t, err)
	if want := "0::/paas-" + sandbox.ID() + "v2/apps/one\n"; !strings.Contains(string(text), want) {
		t.Errorf("it was born in %q, want %q", text, want)
	}
	check(t, g.place(pid))
	equal(t, "kills", g.oomKills(), 0)
	equal(t, "known", c.names(appsGroup)["one"], true)
	check(t, c.sweep(func(name string) bool { return name == "one" }))
	equal(t, "after a sweep", c.names(appsGroup)["one"], true)
	go func() { _, _ = unix.Wait4(pid, nil, 0, nil) }()
	check(t, c.sweep(func(string) bool { return false }))
	equal(t, "after another", c.names(appsGroup)["one"], false)
}

// Where no systemd keeps the daemon it gets a group of its own, which goes with the others.
func TestDaemonIsKeptApart(t *testing.T) {
	c, err := openCgroups(v2Tree(t), sandbox.ID()+"keep")
	check(t, err)
	t.Cleanup(func() { check(t, c.destroy()) })
	g, err := c.create(appsGroup, "one")
	check(t, err)
	dir, err := g.open()
	check(t, err)
	pid := sleeper(t, dir)
	check(t, dir.Close())
	t.Cleanup(func() {
		check(t, unix.Kill(pid, unix.SIGKILL))
		_, err := unix.Wait4(pid, nil, 0, nil)
		check(t, err)
		check(t, g.remove())
	})
	c.keep(pid)
	if text := controlText(fmt.Sprintf("/proc/%d/cgroup", pid)); !strings.Contains(text, "0::/paas-"+sandbox.ID()+"keep/platform") {
		t.Errorf("it is in %q", text)
	}
	if file := c.dirOf(platformGroup) + "/memory.min"; exists(file) {
		equal(t, "its own", controlNumber(file) > leastReserve/2, true)
	}
}

// v2Tree is the host's cgroup2 mount, taken for the one in charge.
func v2Tree(t *testing.T) hierarchies {
	t.Helper()
	table, err := os.ReadFile("/proc/self/mountinfo")
	check(t, err)
	h := parseHierarchies(string(table), func(string) string { return "memory" })
	if h.v2 == "" {
		t.Fatal("this test needs a cgroup2 mount")
	}
	offered, err := os.ReadFile(h.v2 + "/cgroup.controllers")
	check(t, err)
	h.controllers = strings.Fields(string(offered))
	return h
}

// sleeper starts a process inside a cgroup.
func sleeper(t *testing.T, group *os.File) int {
	t.Helper()
	pid, err := syscall.ForkExec("/bin/sleep", []string{"sleep", "1000"}, &syscall.ProcAttr{
		Sys: &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Fd()), Pdeathsig: unix.SIGKILL},
	})
	check(t, err)
	return pid
}

func TestParseListening(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1
   1: 0100007F:0BB9 0100007F:0BB8 01 00000000:00000000 00:00000000 00000000  1000        0 2
   2: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 0 0 0
   3: 0000000000000000FFFF00000100007F:1F91 00000000000000000000000000000000:0000 0A 0 0 0
   4: nonsense 0 0A`
	got := fmt.Sprint(parseListening(table))
	equal(t, "sockets", got, "[127.0.0.1:3000 [::]:8080 127.0.0.1:8081]")
}

func TestParseSignal(t *testing.T) {
	for s, want := range map[string]unix.Signal{"": unix.SIGTERM, "SIGINT": unix.SIGINT, "quit": unix.SIGQUIT, "9": unix.SIGKILL} {
		got, err := parseSignal(s)
		check(t, err)
		equal(t, s, got, want)
	}
	for _, s := range []string{"SIGNOTHING", "0", "-1", "65"} {
		if _, err := parseSignal(s); err == nil {
			t.Errorf("%q is a signal", s)
		}
	}
}

func TestHostName(t *testing.T) {
	for in, want := range map[string]string{
		"web.1": "web-1", "Build app": "build-app", "..": "app", "": "app", "ünï.1": "n--1",
		strings.Repeat("x", 80): strings.Repeat("x", 63),
	} {
		equal(t, in, hostName(in), want)
	}
}

func TestUIDRange(t *testing.T) {
	base, err := uidBase(0)
	check(t, err)
	equal(t, "first", base, uint32(1<<28))
	base, err = uidBase(maxAppID)
	check(t, err)
	equal(t, "last", base, uint32(1<<31-rangeSize))
	for _, id := range []int64{-1, maxAppID + 1} {
		if _, err := uidBase(id); err == nil {
			t.Errorf("app %d has a range", id)
		}
	}
}

func TestReadStatus(t *testing.T) {
	path := t.TempDir() + "/status"
	for text, whole := range map[string]bool{"": false, "1 0": false, "1 0 5": false, "137 9 5000000000\n": true, "x 0 1\n": false} {
		check(t, os.WriteFile(path, []byte(text), 0o600))
		exit, ok := readStatus(path)
		equal(t, text, ok, whole)
		if ok && (exit.Code != 137 || exit.Signal != "SIGKILL" || !exit.At.Equal(time.Unix(5, 0))) {
			t.Errorf("%q: %+v", text, exit)
		}
	}
}
