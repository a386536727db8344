package runtime

import (
	"path/filepath"
	"strings"

	"paas/platform"
)

// findLacks finds out which limits the host cannot keep, by the control files it does not have.
func (c *cgroups) findLacks() {
	for _, controller := range c.missing {
		for _, limit := range limitsOf(controller) {
			c.lacks[limit] = "the kernel offers no " + controller + " controller (" + c.version() + ")"
		}
	}
	for limit, f := range c.wantedFiles() {
		dir, ok := (cgroup{c, appsGroup}).dir(f.controller)
		if _, known := c.lacks[limit]; known || !ok {
			continue
		}
		if !exists(filepath.Join(dir, f.file)) && !exists(filepath.Join(filepath.Dir(filepath.Dir(dir)), f.file)) {
			c.lacks[limit] = f.why
		}
	}
	if !c.v2 {
		c.lacks["memory-high"] = "cgroup v1 has no such line: what is above memory is refused, and below it nothing is slowed down"
		c.lacks["pressure"] = "cgroup v1 measures it for the whole host only"
	}
}

func (c *cgroups) version() string {
	if c.v2 {
		return "cgroup v2"
	}
	return "cgroup v1"
}

// limitsOf are the limits, as resource:limit spells them, that need a controller.
func limitsOf(controller string) []string {
	return map[string][]string{
		"memory": {"memory", "swap", "memory-high", "reserve memory"},
		"pids":   {"pids"},
		"cpu":    {"cpu", "reserve cpu"},
		"cpuset": {"cpuset"},
		"io":     {"io-read", "io-write", "reserve io"},
	}[controller]
}

// wantedFile is a control file that a limit needs, which not every kernel with the controller has.
type wantedFile struct{ controller, file, why string }

func (c *cgroups) wantedFiles() map[string]wantedFile {
	if c.v2 {
		return map[string]wantedFile{
			"swap":       {"memory", "memory.swap.max", "the kernel does not count swap"},
			"cpu":        {"cpu", "cpu.max", "the kernel has no CPU bandwidth control (CONFIG_CFS_BANDWIDTH)"},
			"io-read":    {"io", "io.max", "the kernel has no throttling of disks (CONFIG_BLK_DEV_THROTTLING)"},
			"io-write":   {"io", "io.max", "the kernel has no throttling of disks (CONFIG_BLK_DEV_THROTTLING)"},
			"reserve io": {"io", "io.weight", "no disk of the host has a scheduler that knows weights (bfq, or iocost)"},
			"pressure":   {"memory", "memory.pressure", "the kernel does not measure it: boot it with psi=1"},
		}
	}
	return map[string]wantedFile{
		"swap":       {"memory", "memory.memsw.limit_in_bytes", "the kernel does not count swap: boot it with swapaccount=1"},
		"cpu":        {"cpu", "cpu.cfs_quota_us", "the kernel has no CPU bandwidth control (CONFIG_CFS_BANDWIDTH)"},
		"io-read":    {"io", "blkio.throttle.read_bps_device", "the kernel has no throttling of disks (CONFIG_BLK_DEV_THROTTLING)"},
		"reserve io": {"io", "blkio.bfq.weight", "no disk of the host has a scheduler that knows weights (bfq)"},
	}
}

// Shortfalls implements platform.Resources.
func (r *Runtime) Shortfalls(l platform.Limits) (list []platform.Shortfall) {
	wants := []struct {
		limit string
		set   bool
	}{
		{"memory", true}, {"swap", true}, {"memory-high", l.MemoryHigh > 0}, {"pids", true}, {"cpu", l.CPUs > 0},
		{"cpuset", l.CPUSet != ""}, {"io-read", l.Read != platform.Rate{}}, {"io-write", l.Write != platform.Rate{}},
		{"reserve memory", l.Reserve.Memory > 0}, {"reserve cpu", l.Reserve.CPUs > 0}, {"reserve io", l.Reserve.IO > 0},
		{"pressure", true}, {"device", true}, {"disk", l.Disk > 0},
	}
	for _, w := range wants {
		if !w.set {
			continue
		}
		if why := r.lack(w.limit); why != "" {
			list = append(list, platform.Shortfall{Limit: w.limit, Reason: why})
		}
	}
	return list
}

// lack says why the host cannot keep a limit; "" if it can.
func (r *Runtime) lack(limit string) string {
	if why := r.groups.lacks[limit]; why != "" {
		return why
	}
	switch {
	case limit == "disk":
		if ok, why := r.Quota(); !ok {
			return why
		}
	case strings.HasPrefix(limit, "io-") && !r.groups.disk.known():
		return r.groups.disk.why
	case limit == "io-write" && !r.groups.v2:
		return "cgroup v1 holds back what is written directly, not what goes through the page cache"
	}
	return ""
}
