package oci

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"paas/runtime/devices"
)

// setting is one control file with what is written into it.
type setting struct {
	controller, file, value string
	optional                bool // kernels without it go without
}

// limit writes linux.resources but for the rules for devices, which come when the devices are made.
func (g groups) limit(r *specs.LinuxResources) error {
	if r == nil {
		return nil
	}
	var settings []setting
	if _, v2 := g[""]; v2 {
		settings = settingsV2(r)
	} else {
		settings = settingsV1(r)
		if len(r.Unified) > 0 {
			return errors.New("resources.unified needs cgroup v2")
		}
	}
	for _, s := range settings {
		if err := g.write(s); err != nil {
			return err
		}
	}
	return nil
}

func (g groups) write(s setting) error {
	dir, ok := g[s.controller]
	if !ok {
		dir, ok = g[""]
	}
	if !ok {
		if s.optional {
			return nil
		}
		return fmt.Errorf("set %s to %s: this host has no %s controller", s.file, s.value, s.controller)
	}
	err := writeControl(filepath.Join(dir, s.file), s.value)
	if err != nil && !s.optional {
		return fmt.Errorf("set %s to %s: %w", s.file, s.value, err)
	}
	return nil
}

// settingsV1 follows the specification's names, which are those of version 1 (config-linux.md).
func settingsV1(r *specs.LinuxResources) []setting {
	var s []setting
	add := func(controller, file string, value any) {
		s = append(s, setting{controller, file, fmt.Sprint(value), false})
	}
	try := func(controller, file string, value any) {
		s = append(s, setting{controller, file, fmt.Sprint(value), true})
	}
	if m := r.Memory; m != nil {
		memoryV1(m, add, try)
	}
	if c := r.CPU; c != nil {
		cpuV1(c, add)
	}
	if p := r.Pids; p != nil && p.Limit != nil {
		add("pids", "pids.max", orMax(*p.Limit, *p.Limit <= 0))
	}
	if b := r.BlockIO; b != nil {
		blockV1(b, add)
	}
	for _, h := range r.HugepageLimits {
		add("hugetlb", "hugetlb."+h.Pagesize+".limit_in_bytes", h.Limit)
	}
	if n := r.Network; n != nil {
		if n.ClassID != nil {
			add("net_cls", "net_cls.classid", *n.ClassID)
		}
		for _, p := range n.Priorities {
			add("net_prio", "net_prio.ifpriomap", fmt.Sprint(p.Name, " ", p.Priority))
		}
	}
	return append(s, rdma(r)...)
}

type adder func(controller, file string, value any)

// memoryV1: limits on kernel memory alone were removed from the kernel (Linux 6.1).
func memoryV1(m *specs.LinuxMemory, add, try adder) {
	if m.Limit != nil {
		add("memory", "memory.limit_in_bytes", *m.Limit)
	}
	if m.Swap != nil {
		add("memory", "memory.memsw.limit_in_bytes", *m.Swap)
	}
	if m.Reservation != nil {
		add("memory", "memory.soft_limit_in_bytes", *m.Reservation)
	}
	if m.KernelTCP != nil {
		try("memory", "memory.kmem.tcp.limit_in_bytes", *m.KernelTCP)
	}
	if m.Swappiness != nil {
		add("memory", "memory.swappiness", *m.Swappiness)
	}
	if m.DisableOOMKiller != nil && *m.DisableOOMKiller {
		add("memory", "memory.oom_control", 1)
	}
}

// cpuV1: a quota is checked against the period, so that comes first.
func cpuV1(c *specs.LinuxCPU, add adder) {
	put := func(controller, file string, value *uint64) {
		if value != nil {
			add(controller, file, *value)
		}
	}
	put("cpu", "cpu.shares", c.Shares)
	put("cpu", "cpu.cfs_period_us", c.Period)
	if c.Quota != nil {
		add("cpu", "cpu.cfs_quota_us", *c.Quota)
	}
	put("cpu", "cpu.cfs_burst_us", c.Burst)
	put("cpu", "cpu.rt_period_us", c.RealtimePeriod)
	if c.RealtimeRuntime != nil {
		add("cpu", "cpu.rt_runtime_us", *c.RealtimeRuntime)
	}
	cpuBoth(c, add)
}

// cpuBoth is what v1 and v2 have alike.
func cpuBoth(c *specs.LinuxCPU, add adder) {
	if c.Idle != nil {
		add("cpu", "cpu.idle", *c.Idle)
	}
	if c.Cpus != "" {
		add("cpuset", "cpuset.cpus", c.Cpus)
	}
	if c.Mems != "" {
		add("cpuset", "cpuset.mems", c.Mems)
	}
}

func blockV1(b *specs.LinuxBlockIO, add adder) {
	prefix := "blkio."
	if _, err := os.Stat("/sys/module/bfq"); err == nil {
		prefix = "blkio.bfq."
	}
	if b.Weight != nil {
		add("blkio", prefix+"weight", *b.Weight)
	}
	if b.LeafWeight != nil {
		add("blkio", "blkio.leaf_weight", *b.LeafWeight)
	}
	for _, d := range b.WeightDevice {
		if d.Weight != nil {
			add("blkio", prefix+"weight_device", fmt.Sprintf("%d:%d %d", d.Major, d.Minor, *d.Weight))
		}
		if d.LeafWeight != nil {
			add("blkio", "blkio.leaf_weight_device", fmt.Sprintf("%d:%d %d", d.Major, d.Minor, *d.LeafWeight))
		}
	}
	for file, list := range map[string][]specs.LinuxThrottleDevice{
		"read_bps": b.ThrottleReadBpsDevice, "write_bps": b.ThrottleWriteBpsDevice,
		"read_iops": b.ThrottleReadIOPSDevice, "write_iops": b.ThrottleWriteIOPSDevice,
	} {
		for _, d := range list {
			add("blkio", "blkio.throttle."+file+"_device", fmt.Sprintf("%d:%d %d", d.Major, d.Minor, d.Rate))
		}
	}
}

// settingsV2 translates to version 2 (Documentation/admin-guide/cgroup-v2.rst).
func settingsV2(r *specs.LinuxResources) []setting {
	var s []setting
	add := func(controller, file string, value any) {
		s = append(s, setting{controller, file, fmt.Sprint(value), false})
	}
	if m := r.Memory; m != nil {
		memoryV2(m, add)
	}
	if c := r.CPU; c != nil {
		cpuV2(c, add)
	}
	if p := r.Pids; p != nil && p.Limit != nil {
		add("pids", "pids.max", orMax(*p.Limit, *p.Limit <= 0))
	}
	if b := r.BlockIO; b != nil {
		blockV2(b, add)
	}
	for _, h := range r.HugepageLimits {
		add("hugetlb", "hugetlb."+h.Pagesize+".max", h.Limit)
	}
	s = append(s, rdma(r)...)
	for file, value := range r.Unified {
		controller, _, _ := strings.Cut(file, ".")
		for line := range strings.Lines(value) {
			add(controller, filepath.Base(file), strings.TrimSpace(line))
		}
	}
	return s
}

func orMax(n int64, unlimited bool) string {
	if unlimited {
		return "max"
	}
	return strconv.FormatInt(n, 10)
}

// memoryV2: version 1's swap limit is that of memory and swap together.
func memoryV2(m *specs.LinuxMemory, add adder) {
	if m.Limit != nil {
		add("memory", "memory.max", orMax(*m.Limit, *m.Limit < 0))
	}
	if m.Reservation != nil {
		add("memory", "memory.low", orMax(*m.Reservation, *m.Reservation < 0))
	}
	if m.Swap == nil {
		return
	}
	swap := *m.Swap
	if m.Limit != nil && *m.Limit > 0 && swap > 0 {
		swap -= *m.Limit
	}
	add("memory", "memory.swap.max", orMax(max(swap, 0), *m.Swap < 0))
}

// cpuV2: shares of 2 to 262144 become weights of 1 to 10000.
func cpuV2(c *specs.LinuxCPU, add adder) {
	if c.Shares != nil && *c.Shares > 0 {
		shares := min(max(*c.Shares, 2), 262144)
		add("cpu", "cpu.weight", 1+(shares-2)*9999/262142)
	}
	if c.Quota != nil || c.Period != nil {
		period, quota := uint64(100_000), int64(-1) // microseconds; the kernel's default
		if c.Period != nil && *c.Period > 0 {
			period = *c.Period
		}
		if c.Quota != nil {
			quota = *c.Quota
		}
		add("cpu", "cpu.max", fmt.Sprint(orMax(quota, quota <= 0), " ", period))
	}
	if c.Burst != nil {
		add("cpu", "cpu.max.burst", *c.Burst)
	}
	cpuBoth(c, add)
}

// blockV2: weights of 10 to 1000 become 1 to 10000.
func blockV2(b *specs.LinuxBlockIO, add adder) {
	weight := func(w uint16) int { return 1 + (int(min(max(w, 10), 1000))-10)*9999/990 }
	if b.Weight != nil && *b.Weight > 0 {
		add("io", "io.weight", fmt.Sprint("default ", weight(*b.Weight)))
	}
	for _, d := range b.WeightDevice {
		if d.Weight != nil {
			add("io", "io.weight", fmt.Sprintf("%d:%d %d", d.Major, d.Minor, weight(*d.Weight)))
		}
	}
	for key, list := range map[string][]specs.LinuxThrottleDevice{
		"rbps": b.ThrottleReadBpsDevice, "wbps": b.ThrottleWriteBpsDevice,
		"riops": b.ThrottleReadIOPSDevice, "wiops": b.ThrottleWriteIOPSDevice,
	} {
		for _, d := range list {
			add("io", "io.max", fmt.Sprintf("%d:%d %s=%d", d.Major, d.Minor, key, d.Rate))
		}
	}
}

func rdma(r *specs.LinuxResources) []setting {
	var s []setting
	for device, l := range r.Rdma {
		value := device
		if l.HcaHandles != nil {
			value += fmt.Sprint(" hca_handle=", *l.HcaHandles)
		}
		if l.HcaObjects != nil {
			value += fmt.Sprint(" hca_object=", *l.HcaObjects)
		}
		s = append(s, setting{"rdma", "rdma.max", value, false})
	}
	return s
}

// restrictDevices writes the rules for devices, in their order, and behind them those that let every
// container use the devices that it always has (config-linux.md, "Default Devices").
func (g groups) restrictDevices(r *specs.LinuxResources) error {
	if r == nil || len(r.Devices) == 0 {
		return nil
	}
	rules := slices.Concat(r.Devices, alwaysAllowed())
	if dir, ok := g["devices"]; ok {
		return restrictV1(dir, rules)
	}
	if dir, ok := g[""]; ok {
		return devices.Attach(dir, rules)
	}
	return errors.New("restrict devices: this host has no devices controller")
}

func restrictV1(dir string, rules []specs.LinuxDeviceCgroup) error {
	for _, r := range rules {
		file := "devices.deny"
		if r.Allow {
			file = "devices.allow"
		}
		if err := writeControl(filepath.Join(dir, file), ruleV1(r)); err != nil {
			return fmt.Errorf("write %q to %s: %w", ruleV1(r), file, err)
		}
	}
	return nil
}

// ruleV1 is "type major:minor access" (Documentation/admin-guide/cgroup-v1/devices.rst).
func ruleV1(r specs.LinuxDeviceCgroup) string {
	kind, access := r.Type, r.Access
	if kind == "" {
		kind = "a"
	}
	if access == "" {
		access = "rwm"
	}
	number := func(n *int64) string {
		if n == nil || *n < 0 {
			return "*"
		}
		return strconv.FormatInt(*n, 10)
	}
	return kind + " " + number(r.Major) + ":" + number(r.Minor) + " " + access
}

// alwaysAllowed are the default devices, and terminals.
func alwaysAllowed() []specs.LinuxDeviceCgroup {
	allow := func(major, minor int64) specs.LinuxDeviceCgroup {
		r := specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: &major, Access: "rwm"}
		if minor >= 0 {
			r.Minor = &minor
		}
		return r
	}
	rules := []specs.LinuxDeviceCgroup{allow(136, -1), allow(5, 1), allow(5, 2)} // /dev/pts/*, console, ptmx
	for _, d := range defaultDevices() {
		rules = append(rules, allow(d.Major, d.Minor))
	}
	return rules
}

// defaultDevices are in every container (config-linux.md, "Default Devices").
func defaultDevices() []specs.LinuxDevice {
	mode := os.FileMode(0o666)
	var list []specs.LinuxDevice
	for _, d := range []struct {
		name         string
		major, minor int64 // Documentation/admin-guide/devices.txt
	}{{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}} {
		list = append(list, specs.LinuxDevice{Path: "/dev/" + d.name, Type: "c", Major: d.major, Minor: d.minor, FileMode: &mode})
	}
	return list
}

// setLimits are the process's resource limits. Raising a hard one needs CAP_SYS_RESOURCE.
func setLimits(pid int, limits []specs.POSIXRlimit) error {
	for _, l := range limits {
		number, ok := rlimitNumber(l.Type)
		if !ok {
			return fmt.Errorf("rlimit %q is unknown", l.Type)
		}
		err := unix.Prlimit(pid, number, &unix.Rlimit{Cur: l.Soft, Max: l.Hard}, nil)
		if err != nil {
			return fmt.Errorf("set %s to %d, at most %d: %w", l.Type, l.Soft, l.Hard, err)
		}
	}
	return nil
}
