package runtime

import (
	"fmt"
	goruntime "runtime"

	"golang.org/x/sys/unix"
	"paas/platform"
	"paas/runtime/seccomp"
)

// Every app has its own range of user ids on the host. The first starts at 1<<28: above what useradd
// hands out to users and their containers on any usual machine, aligned to the 16 bits of a range, and
// inside 524288 to 1879048191, which systemd sets aside for containers (systemd, UIDs-GIDs.md).
const (
	firstUID  = 1 << 28
	rangeSize = 1 << 16
	maxAppID  = (1<<31-firstUID)/rangeSize - 1 // ids above 2^31 trouble programs that store them signed
)

// uidBase is the host's id of an app's uid 0.
func uidBase(appID int64) (uint32, error) {
	if appID < 0 || appID > maxAppID {
		return 0, platform.Errorf(platform.Failed, "app id %d has no uid range: this host can hold %d apps", appID, maxAppID)
	}
	return firstUID + uint32(appID)*rangeSize, nil
}

// rights is what a process inside may do at most.
type rights struct {
	caps   uint64 // bit mask
	filter []byte
}

// capability is one of Podman's defaults (containers.conf(5)): Docker's without AUDIT_WRITE, MKNOD and
// NET_RAW. In a user namespace they count for the container's own files, ids and ports only.
type capability struct {
	bit  int
	name string
}

func rootCapabilities() []capability {
	return []capability{
		{unix.CAP_CHOWN, "CAP_CHOWN"}, {unix.CAP_DAC_OVERRIDE, "CAP_DAC_OVERRIDE"}, {unix.CAP_FOWNER, "CAP_FOWNER"},
		{unix.CAP_FSETID, "CAP_FSETID"}, {unix.CAP_KILL, "CAP_KILL"}, {unix.CAP_SETGID, "CAP_SETGID"},
		{unix.CAP_SETUID, "CAP_SETUID"}, {unix.CAP_SETPCAP, "CAP_SETPCAP"},
		{unix.CAP_NET_BIND_SERVICE, "CAP_NET_BIND_SERVICE"}, {unix.CAP_SYS_CHROOT, "CAP_SYS_CHROOT"},
		{unix.CAP_SETFCAP, "CAP_SETFCAP"},
	}
}

// openRights compiles the two filters once; a start only hands one over.
func (r *Runtime) openRights() (err error) {
	for i, caps := range [][]capability{rootCapabilities(), nil} {
		if r.rights[i], err = newRights(caps); err != nil {
			return err
		}
	}
	return nil
}

func newRights(caps []capability) (rights, error) {
	var out rights
	var names []string
	for _, c := range caps {
		out.caps |= 1 << c.bit
		names = append(names, c.name)
	}
	var err error
	if out.filter, err = seccomp.Compile(names); err != nil {
		return rights{}, fmt.Errorf("make system call filter: %w", err)
	}
	return out, nil
}

func (r *Runtime) rightsOf(uid uint32) rights {
	if uid == 0 {
		return r.rights[0]
	}
	return r.rights[1]
}

// maskedPaths and readOnlyPaths are Docker's (moby, daemon/pkg/oci/defaults.go): what tells about the
// host or reaches it. Whoever writes below /proc/pressure sets an alarm of the whole host.
func maskedPaths() []string {
	paths := []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
		"/sys/devices/virtual/powercap", "/sys/firmware",
	}
	for cpu := range goruntime.NumCPU() {
		paths = append(paths, fmt.Sprintf("/sys/devices/system/cpu/cpu%d/thermal_throttle", cpu))
	}
	return paths
}

func readOnlyPaths() []string {
	return []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/pressure", "/proc/sys", "/proc/sysrq-trigger"}
}
