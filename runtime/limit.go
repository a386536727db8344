package runtime

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"paas/platform"
)

// setting is one control file with what is written into it.
type setting struct {
	controller, file, value string
	optional                bool // not on every kernel
	usual                   bool // what a fresh group has anyway
}

// The kernel's defaults (cgroup-v2.rst; for v1 sched-bwc.rst and the directory cgroup-v1).
const (
	quotaPeriod = 100_000 // microseconds
	usualWeight = 100
	usualShares = 1024
)

// limitSettings are the control files of one container.
func limitSettings(c *cgroups, l platform.Limits, slice string) []setting {
	if c.v2 {
		return limits2(c.disk, l, slice == buildsGroup)
	}
	return limits1(c.disk, l)
}

// limits2 are the control files of v2. When whole, the kernel that is out of memory kills all of the
// container and not one process of it: half a build is no build.
func limits2(disk blockDevice, l platform.Limits, whole bool) []setting {
	high, quota, weight := "max", "max", usualWeight
	if l.MemoryHigh > 0 {
		high = number(l.MemoryHigh)
	}
	if l.CPUs > 0 {
		quota = quotaOf(l.CPUs)
	}
	if l.Reserve.CPUs > 0 {
		weight = int(min(max(l.Reserve.CPUs*usualWeight, 1), 10_000))
	}
	s := []setting{
		{"memory", "memory.max", number(l.Memory), false, false},
		{"memory", "memory.swap.max", number(l.Swap), true, false}, // not without CONFIG_SWAP
		{"memory", "memory.high", high, false, l.MemoryHigh == 0},
		{"memory", "memory.low", number(l.Reserve.Memory), false, l.Reserve.Memory == 0},
		{"pids", "pids.max", strconv.Itoa(l.Processes), false, false},
		{"cpu", "cpu.max", quota + " " + strconv.Itoa(quotaPeriod), false, l.CPUs == 0},
		{"cpu", "cpu.weight", strconv.Itoa(weight), false, weight == usualWeight},
		{"cpuset", "cpuset.cpus", l.CPUSet, false, l.CPUSet == ""},
	}
	if whole {
		s = append(s, setting{"memory", "memory.oom.group", "1", true, false})
	}
	return append(s, disk2(disk, l)...)
}

func disk2(disk blockDevice, l platform.Limits) []setting {
	s := []setting{{"io", "io.weight", "default " + strconv.Itoa(ioWeight(l)), true, ioWeight(l) == usualWeight}}
	if !disk.known() {
		return s
	}
	value := fmt.Sprintf("%s rbps=%s wbps=%s riops=%s wiops=%s", disk.id,
		orMax(l.Read.Bytes), orMax(l.Write.Bytes), orMax(l.Read.Operations), orMax(l.Write.Operations))
	return append(s, setting{"io", "io.max", value, true, l.Read == platform.Rate{} && l.Write == platform.Rate{}})
}

// limits1 are the control files of v1. memsw counts memory and swap together.
func limits1(disk blockDevice, l platform.Limits) []setting {
	soft, quota, shares := "-1", "-1", usualShares
	if l.Reserve.Memory > 0 {
		soft = number(l.Reserve.Memory)
	}
	if l.CPUs > 0 {
		quota = quotaOf(l.CPUs)
	}
	if l.Reserve.CPUs > 0 {
		shares = int(min(max(l.Reserve.CPUs*usualShares, 2), 262_144))
	}
	s := []setting{
		{"memory", "memory.limit_in_bytes", number(l.Memory), false, false},
		{"memory", "memory.memsw.limit_in_bytes", number(l.Memory + l.Swap), true, false}, // not without swapaccount
		// Buffers of sockets, which v1 counts apart, and not at all before this is set. v2 counts them as memory.
		{"memory", "memory.kmem.tcp.limit_in_bytes", number(l.Memory), true, false},
		{"memory", "memory.soft_limit_in_bytes", soft, true, l.Reserve.Memory == 0},
		{"pids", "pids.max", strconv.Itoa(l.Processes), false, false},
		{"cpu", "cpu.cfs_quota_us", quota, false, l.CPUs == 0},
		{"cpu", "cpu.shares", strconv.Itoa(shares), false, shares == usualShares},
		{"cpuset", "cpuset.cpus", l.CPUSet, false, l.CPUSet == ""},
	}
	return append(s, disk1(disk, l)...)
}

func disk1(disk blockDevice, l platform.Limits) []setting {
	weight := strconv.Itoa(ioWeight(l))
	s := []setting{{"io", "blkio.bfq.weight", weight, true, ioWeight(l) == usualWeight}}
	if !disk.known() {
		return s
	}
	for _, f := range []struct {
		file  string
		value int64
	}{
		{"blkio.throttle.read_bps_device", l.Read.Bytes}, {"blkio.throttle.write_bps_device", l.Write.Bytes},
		{"blkio.throttle.read_iops_device", l.Read.Operations}, {"blkio.throttle.write_iops_device", l.Write.Operations},
	} {
		s = append(s, setting{"io", f.file, disk.id + " " + number(f.value), true, f.value == 0}) // 0 takes the bound away
	}
	return s
}

func number(n int64) string       { return strconv.FormatInt(n, 10) }
func quotaOf(cpus float64) string { return strconv.Itoa(max(int(cpus*quotaPeriod), 1000)) } // 1 ms is the least
func ioWeight(l platform.Limits) int {
	if l.Reserve.IO > 0 {
		return l.Reserve.IO
	}
	return usualWeight
}

func orMax(n int64) string {
	if n == 0 {
		return "max"
	}
	return number(n)
}

// slice is the name of the group that the container's group is in.
func (g cgroup) slice() string {
	for _, name := range sliceNames() {
		if filepath.Dir(g.path) == g.of.path(name) {
			return name
		}
	}
	return filepath.Dir(g.path)
}

// limit sets the limits of a fresh container's group.
func (g cgroup) limit(l platform.Limits) error {
	for _, s := range limitSettings(g.of, l, g.slice()) {
		if s.usual {
			continue
		}
		if err := g.write(s); err != nil {
			return err
		}
	}
	g.protect(l)
	return nil
}

// change sets the limits of a group that is in use. What cannot be kept is refused first.
func (g cgroup) change(l platform.Limits) error {
	if err := g.fits(l); err != nil {
		return err
	}
	var late []setting
	for _, s := range limitSettings(g.of, l, g.slice()) {
		err := g.write(s)
		if errors.Is(err, unix.EINVAL) && s.file == "memory.limit_in_bytes" { // above memsw, which comes next
			late = append(late, s)
			continue
		}
		if err := cause(err, l); err != nil {
			return err
		}
	}
	for _, s := range late {
		if err := cause(g.write(s), l); err != nil {
			return err
		}
	}
	g.protect(l)
	return nil
}

// fits refuses a memory limit below what processes hold: the kernel of v2 would kill them, and v1 says
// EBUSY after a try that takes seconds. Page cache is no obstacle.
func (g cgroup) fits(l platform.Limits) error {
	dir, ok := g.dir("memory")
	if !ok {
		return nil
	}
	var used int64
	for _, field := range []string{"anon", "shmem"} {
		if !g.of.v2 {
			field = map[string]string{"anon": "total_rss", "shmem": "total_shmem"}[field]
		}
		used += max(controlField(filepath.Join(dir, "memory.stat"), field), 0)
	}
	if used <= l.Memory+l.Swap {
		return nil
	}
	return tooSmall(used, l)
}

func tooSmall(used int64, l platform.Limits) error {
	return platform.Errorf(platform.Conflict, "it uses %s now, which does not fit into %s", platform.Bytes(used), platform.Bytes(l.Memory))
}

// cause gives the kernel's refusal of a memory limit a sentence.
func cause(err error, l platform.Limits) error {
	if errors.Is(err, unix.EBUSY) {
		return platform.Errorf(platform.Conflict, "it uses more than %s now and cannot give it back", platform.Bytes(l.Memory)).Because(err)
	}
	return err
}

// write writes one control file. On v1 the group is made where it does not exist yet.
func (g cgroup) write(s setting) error {
	dir, ok := g.dir(s.controller)
	if !ok {
		return nil
	}
	if !g.of.v2 && slices.Contains(laterControllers(), s.controller) && !exists(dir) {
		if s.usual {
			return nil
		}
		if err := g.extend(s.controller); err != nil {
			return err
		}
	}
	value := s.value
	if s.usual && s.file == "cpuset.cpus" {
		if value = g.allProcessors(dir); value == "" {
			return nil
		}
	}
	err := writeControl(filepath.Join(dir, s.file), value)
	switch {
	case err == nil, errors.Is(err, os.ErrNotExist): // Shortfalls tells of files that are not there
		return nil
	case s.optional && !errors.Is(err, unix.EBUSY):
		return nil
	case s.controller == "cpuset":
		return platform.Errorf(platform.Failed, "this host cannot run it on the processors %s", strings.TrimSpace(value)).Because(err)
	}
	return fmt.Errorf("set %s to %s: %w", s.file, strings.TrimSpace(value), err)
}

// allProcessors is what takes a set of processors back: a group with processes in it takes no empty one. It is
// "" when there is nothing to take back.
func (g cgroup) allProcessors(dir string) string {
	if controlText(filepath.Join(dir, "cpuset.cpus")) == "" {
		return ""
	}
	file := "cpuset.cpus"
	if g.of.v2 {
		file = "cpuset.cpus.effective"
	}
	return controlText(filepath.Join(filepath.Dir(dir), file))
}

// extend gives a container a group in one more v1 hierarchy and moves its processes there, those too that
// are forked meanwhile.
func (g cgroup) extend(controller string) error {
	top := g.of.tops[controller]
	dir := top
	for _, name := range append([]string{""}, strings.Split(g.path, "/")...) {
		dir = filepath.Join(dir, name)
		if err := makeGroup(dir); err != nil {
			return fmt.Errorf("make cgroup: %w", err)
		}
		if controller == "cpuset" {
			inheritSet(dir)
		}
	}
	return g.moveAll(dir)
}

// inheritSet fills a fresh v1 cpuset, which is empty and takes no process, from its parent.
func inheritSet(dir string) {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		if controlText(filepath.Join(dir, file)) == "" {
			_ = writeControl(filepath.Join(dir, file), controlText(filepath.Join(filepath.Dir(dir), file)))
		}
	}
}

const moveRounds = 100 // a fork bomb may win, and stays where it was

func (g cgroup) moveAll(dir string) error {
	for range moveRounds {
		there := make(map[int]bool)
		for _, pid := range processesIn(dir) {
			there[pid] = true
		}
		moved := false
		for _, pid := range processesIn(g.dirs()[0]) {
			if there[pid] {
				continue
			}
			err := writeControl(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(pid))
			if err != nil && err != unix.ESRCH {
				return fmt.Errorf("move process to its cgroup: %w", err)
			}
			moved = true
		}
		if !moved {
			return nil
		}
	}
	return nil
}

// protect passes a container's guaranteed memory on to the groups above it, without which v2 does not keep
// it: a group's protection counts within its parent's.
func (g cgroup) protect(l platform.Limits) {
	if !g.of.v2 || l.Reserve.Memory == 0 {
		return
	}
	slice := g.slice()
	if slice == buildsGroup {
		return
	}
	top := g.of.dirOf("")
	var sum int64
	for name := range g.of.names(slice) {
		sum += max(controlNumber(filepath.Join(top, slice, name, "memory.low")), 0)
	}
	for _, dir := range []string{filepath.Join(top, slice), top} {
		_ = writeControl(filepath.Join(dir, "memory.low"), number(min(sum, math.MaxInt64)))
	}
}

func (c *cgroups) dirOf(path string) string { return cgroup{c, path}.dirs()[0] }
