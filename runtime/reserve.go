package runtime

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// weights give each slice its share when all want the processor or the disk: one-off jobs half of what apps
// get, builds a quarter of the processors, when they are not idle altogether (see tempo), and next to nothing
// of the disk.
func weights(v2 bool, slice string) []setting {
	weight := map[string]int{appsGroup: usualWeight, jobsGroup: 50, buildsGroup: buildsWeight}[slice]
	s := []setting{{"cpu", "cpu.shares", strconv.Itoa(weight * usualShares / usualWeight), true, weight == usualWeight}}
	if v2 {
		s = []setting{
			{"cpu", "cpu.weight", strconv.Itoa(weight), true, weight == usualWeight},
			{"io", "io.weight", "default " + strconv.Itoa(weight), true, weight == usualWeight},
		}
	}
	if slice == buildsGroup && v2 {
		s[1].value = "default 2"
	}
	return s
}

// The platform's own reserve: all containers together leave that much of the host's memory alone, a
// twentieth, so that the daemon, sshd and the kernel go on when every app takes all it may.
const (
	leastReserve = 96 << 20
	mostReserve  = 1 << 30
)

func memoryReserve(total int64) int64 {
	return min(max(total/20, leastReserve), mostReserve, total/4)
}

// reserveSettings bound the top group. On a host that runs now with less the kernel may say EBUSY on v1:
// then it holds from a quieter start of the daemon on.
func reserveSettings(v2 bool, total int64) []setting {
	if total <= 0 {
		return nil
	}
	most := number(total - memoryReserve(total))
	if v2 {
		return []setting{{"memory", "memory.max", most, true, false}}
	}
	return []setting{
		{"memory", "memory.limit_in_bytes", most, true, false},
		{"memory", "memory.kmem.tcp.limit_in_bytes", most, true, false},
	}
}

// hostMemory is the host's memory in bytes; 0 if it cannot be read.
func hostMemory() int64 { return memoryField("MemTotal:") }

// memoryField is a line of proc_meminfo(5) in bytes; 0 if there is none.
func memoryField(name string) int64 {
	for line := range strings.Lines(controlText("/proc/meminfo")) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] == name {
			kib, _ := strconv.ParseInt(fields[1], 10, 64)
			return kib << 10
		}
	}
	return 0
}

// oomScores say whom the kernel takes first when the host runs out of memory (proc_pid_oom_score_adj(5)):
// builds before jobs before apps, and all of them before the daemon and everything else on the host.
func oomScore(slice string) int {
	return map[string]int{appsGroup: 300, jobsGroup: 450, buildsGroup: 600}[slice]
}

const daemonOOMScore = -900

// KeepDaemon makes the calling process, the daemon, the last that the kernel takes. Where systemd runs
// the unit file does it; elsewhere the process gets a lower score, if it may, and on cgroup v2 a group of
// its own whose memory is not taken back.
func (r *Runtime) KeepDaemon() {
	if exists("/run/systemd/system") {
		return // one writer a tree: the unit's group is systemd's (systemd, CGROUP_DELEGATION.md)
	}
	_ = writeControl("/proc/self/oom_score_adj", strconv.Itoa(daemonOOMScore)) // not without CAP_SYS_RESOURCE
	if r.groups.v2 {
		r.groups.keep(os.Getpid())
	}
}

// keep moves the daemon to a group of its own beside those of containers, with the reserve for itself.
func (c *cgroups) keep(pid int) {
	top := c.dirOf("")
	own := filepath.Join(top, platformGroup)
	if makeGroup(own) != nil {
		return
	}
	reserve := number(memoryReserve(hostMemory()))
	_ = writeControl(filepath.Join(top, "memory.min"), reserve)
	_ = writeControl(filepath.Join(own, "memory.min"), reserve)
	_ = writeControl(filepath.Join(own, "cpu.weight"), strconv.Itoa(4*usualWeight))
	_ = writeControl(filepath.Join(own, "cgroup.procs"), strconv.Itoa(pid))
}
