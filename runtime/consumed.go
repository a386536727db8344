package runtime

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"paas/platform"
	"paas/runtime/quota"
)

// Consumed implements platform.Resources. It reads a dozen files of the kernel; none of them waits.
func (r *Runtime) Consumed(_ context.Context, id platform.InstanceID) (platform.Consumption, error) {
	c, err := r.running(id)
	if err != nil {
		return platform.Consumption{}, err
	}
	u := c.group.consumed()
	usage, err := r.DiskUsage(id)
	switch {
	case err == nil:
		u.Disk, u.DiskLimit = usage.Bytes, usage.Limits.Bytes
	case !errors.Is(err, quota.ErrUnsupported):
		return u, err
	}
	return u, nil
}

func (g cgroup) consumed() platform.Consumption {
	u := platform.Consumption{
		OOMKills: g.oomKills(), Throttled: uncounted, Read: uncounted, Written: uncounted, Disk: uncounted, DiskLimit: uncounted,
		CPU: uncounted, Swap: uncounted,
	}
	u.Memory, u.MemoryPeak, u.MemoryLimit = g.memory()
	u.Swap = g.swap()
	pids, _ := g.dir("pids")
	u.Processes, u.ProcessLimit = controlNumber(filepath.Join(pids, "pids.current")), controlNumber(filepath.Join(pids, "pids.max"))
	u.ProcessRefusals = controlField(filepath.Join(pids, "pids.events"), "max")
	g.processor(&u)
	g.traffic(&u)
	u.Pressure = g.pressure()
	return u
}

// memory is what is used, the most that was, and the limit. Kernels before 5.19 do not know the peak on v2.
func (g cgroup) memory() (used, peak, limit int64) {
	dir, ok := g.dir("memory")
	if !ok {
		return uncounted, uncounted, uncounted
	}
	names := []string{"memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.limit_in_bytes"}
	if g.of.v2 {
		names = []string{"memory.current", "memory.peak", "memory.max"}
	}
	return controlNumber(filepath.Join(dir, names[0])), controlNumber(filepath.Join(dir, names[1])), controlNumber(filepath.Join(dir, names[2]))
}

func (g cgroup) swap() int64 {
	dir, _ := g.dir("memory")
	if g.of.v2 {
		return controlNumber(filepath.Join(dir, "memory.swap.current"))
	}
	return controlField(filepath.Join(dir, "memory.stat"), "total_swap")
}

// oomKills counts the processes of the group that the kernel has killed for want of memory.
func (g cgroup) oomKills() int64 {
	dir, ok := g.dir("memory")
	if !ok {
		return 0
	}
	file := "memory.oom_control"
	if g.of.v2 {
		file = "memory.events"
	}
	return max(controlField(filepath.Join(dir, file), "oom_kill"), 0)
}

// processor reads cpu.stat: v2 counts in microseconds, v1 in nanoseconds and the time used elsewhere.
func (g cgroup) processor(u *platform.Consumption) {
	dir, ok := g.dir("cpu")
	if !ok {
		return
	}
	file, unit, throttled := filepath.Join(dir, "cpu.stat"), time.Microsecond, "throttled_usec"
	if g.of.v2 {
		if n := controlField(file, "usage_usec"); n >= 0 {
			u.CPU = time.Duration(n) * time.Microsecond
		}
	} else {
		unit, throttled = time.Nanosecond, "throttled_time"
		u.CPU = g.processTimes()
	}
	if n := controlField(file, throttled); n >= 0 {
		u.Throttled = time.Duration(n) * unit
	}
	if periods := controlField(file, "nr_periods"); periods > 0 {
		u.ThrottledPeriod = float64(controlField(file, "nr_throttled")) / float64(periods)
	}
}

// userTicks is USER_HZ, 100 for every x86 program whatever the kernel itself uses (time(7)).
const userTicks = 100

// processTimes adds up what the live processes, and the children they waited for, have used: on v1 a group
// counts that in one more hierarchy, cpuacct, in which containers are not.
func (g cgroup) processTimes() (sum time.Duration) {
	for _, pid := range processesIn(g.dirs()[0]) {
		stat := controlText("/proc/" + strconv.Itoa(pid) + "/stat")
		fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
		if len(fields) < 15 {
			continue
		}
		for _, f := range fields[11:15] { // utime, stime, cutime, cstime (proc_pid_stat(5))
			n, _ := strconv.ParseInt(f, 10, 64)
			sum += time.Duration(n) * time.Second / userTicks
		}
	}
	return sum
}

// traffic reads "8:0 rbytes=1 wbytes=2 …" (cgroup-v2.rst). On v1 containers have no group that counts it.
func (g cgroup) traffic(u *platform.Consumption) {
	dir, ok := g.dir("io")
	if !ok || !g.of.v2 || !exists(filepath.Join(dir, "io.stat")) {
		return
	}
	u.Read, u.Written = 0, 0
	for field := range strings.FieldsSeq(controlText(filepath.Join(dir, "io.stat"))) {
		key, value, _ := strings.Cut(field, "=")
		n, _ := strconv.ParseInt(value, 10, 64)
		switch key {
		case "rbytes":
			u.Read += n
		case "wbytes":
			u.Written += n
		}
	}
}

// pressure reads "some avg10=0.00 avg60=0.00 avg300=0.00 total=0" and the same for full, of v2 only.
func (g cgroup) pressure() (list []platform.Pressure) {
	if !g.of.v2 {
		return nil
	}
	for _, of := range []string{"cpu", "memory", "io"} {
		text := controlText(filepath.Join(g.dirs()[0], of+".pressure"))
		if text == "" {
			continue
		}
		p := platform.Pressure{Of: of}
		for line := range strings.Lines(text) {
			fields := strings.Fields(line)
			if len(fields) < 3 {
				continue
			}
			ten, sixty := share(fields[1]), share(fields[2])
			if fields[0] == "some" {
				p.Some10, p.Some60 = ten, sixty
			} else {
				p.Full10, p.Full60 = ten, sixty
			}
		}
		list = append(list, p)
	}
	return list
}

func share(field string) float64 {
	_, value, _ := strings.Cut(field, "=")
	f, _ := strconv.ParseFloat(value, 64)
	return f
}

// SetLimits implements platform.Resources.
func (r *Runtime) SetLimits(_ context.Context, id platform.InstanceID, l platform.Limits) error {
	c, err := r.running(id)
	if err != nil {
		return err
	}
	l = limitsOr(l, defaultMemory, defaultPIDs)
	if err := c.group.change(l); err != nil {
		return err
	}
	return c.changeDisk(l)
}

// changeDisk moves the bound of what the instance writes; one that has none yet gets it at its next start,
// since files that are being written cannot be counted after the fact.
func (c *container) changeDisk(l platform.Limits) error {
	dir := c.writes
	if _, limited := quota.In(dir); !limited {
		if ok, _ := c.runtime.Quota(); ok && l.Disk > 0 {
			return platform.Errorf(platform.Conflict, "its disk limit cannot be set while it writes; the others are in force")
		}
		return nil
	}
	project, err := quota.Of(dir)
	if err != nil {
		return err
	}
	return quota.Change(dir, project, quota.Limits{Bytes: min(l.Disk, math.MaxInt64)})
}
