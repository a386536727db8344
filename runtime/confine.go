package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
	"paas/platform"
	"paas/runtime/script"
	"paas/runtime/seccomp"
)

// bound gives an empty container its limits; that of the disk comes with its root file system.
func (c *container) bound(o *order) error {
	if err := c.group.limit(o.limits); err != nil {
		return err
	}
	if err := c.group.allow(o.security.Devices); err != nil {
		return err
	}
	// By the daemon, whose CAP_SYS_RESOURCE makes it the lowest score too: written by a process inside, the app
	// could take it back to the daemon's own, which process 1 has inherited.
	_ = writeControl("/proc/"+strconv.Itoa(c.init.pid)+"/oom_score_adj", strconv.Itoa(oomScore(o.record.Group)))
	if o.record.Group == buildsGroup {
		idleDisk(c.init.pid)
	}
	return c.raiseLimits(o)
}

// idleDisk gives a process, and all that it will fork, the disk only when nobody else wants it (ioprio_set(2)).
// The schedulers bfq and mq-deadline know that, also where control groups have no weights for the disk.
func idleDisk(pid int) {
	const whoProcess, classIdle, classShift = 1, 3, 13 // linux/ioprio.h
	_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, whoProcess, uintptr(pid), classIdle<<classShift)
}

// rlimitNumbers are the limits that may be set, by their names in limits.conf(5).
func rlimitNumbers() map[string]int {
	return map[string]int{
		"as": unix.RLIMIT_AS, "core": unix.RLIMIT_CORE, "cpu": unix.RLIMIT_CPU, "data": unix.RLIMIT_DATA,
		"fsize": unix.RLIMIT_FSIZE, "memlock": unix.RLIMIT_MEMLOCK, "msgqueue": unix.RLIMIT_MSGQUEUE,
		"nice": unix.RLIMIT_NICE, "nofile": unix.RLIMIT_NOFILE, "nproc": unix.RLIMIT_NPROC,
		"rtprio": unix.RLIMIT_RTPRIO, "sigpending": unix.RLIMIT_SIGPENDING, "stack": unix.RLIMIT_STACK,
	}
}

// rlimits are the order's with the defaults: many open files, and no core dumps, which would fill the
// writable layer.
func (o *order) rlimits() map[string]platform.Rlimit {
	all := map[string]platform.Rlimit{"nofile": {Soft: openFiles, Hard: platform.NoLimit}, "core": {}}
	for name, l := range o.security.Rlimits {
		all[name] = l
	}
	return all
}

// raiseLimits lifts process 1's hard limits as far as the daemon may, and clamps the order's to them.
func (c *container) raiseLimits(o *order) error {
	o.clamped = make(map[string]platform.Rlimit)
	for name, want := range o.rlimits() {
		number, ok := rlimitNumbers()[name]
		if !ok {
			return platform.Errorf(platform.Usage, "%s cannot start: there is no resource limit %q", o.what, name)
		}
		var have unix.Rlimit // process 1 has inherited ours, and without CAP_SYS_RESOURCE we may not look at another user's
		if err := unix.Getrlimit(number, &have); err != nil {
			return fmt.Errorf("read limit %s: %w", name, err)
		}
		_, asked := o.security.Rlimits[name]
		if asked && want.Hard > have.Max {
			raised := unix.Rlimit{Cur: have.Cur, Max: want.Hard}
			if unix.Prlimit(c.init.pid, number, &raised, nil) == nil {
				have = raised
			}
		}
		hard := min(want.Hard, have.Max)
		o.clamped[name] = platform.Rlimit{Soft: min(want.Soft, hard), Hard: hard}
	}
	return nil
}

// openedRights are those of apps for which an admin has opened something, made once each: compiling a
// filter takes half a millisecond.
type openedRights struct {
	mu   sync.Mutex
	made map[string]rights
}

// rightsFor is what the order's processes may do.
func (r *Runtime) rightsFor(o *order) (script.Rights, error) {
	var added []capability
	for _, name := range o.security.Capabilities {
		c, ok := capabilityNamed(name)
		if !ok {
			return script.Rights{}, platform.Errorf(platform.Usage, "%s cannot start: there is no capability %q", o.what, name)
		}
		added = append(added, c)
	}
	own := maskOf(added)
	out := script.Rights{UID: o.uid, GID: o.gid, Groups: append([]uint32{o.gid}, o.groups...), Privileges: o.security.Privileges}
	if o.uid == 0 {
		own |= maskOf(rootCapabilities())
	} else { // only ambient capabilities survive the exec of an ordinary program (capabilities(7))
		out.Inherited, out.Ambient = own, own
	}
	out.Permitted, out.Bounding = own, own
	if o.security.Privileges { // what a set-user-ID program of root's then gets
		out.Bounding |= maskOf(rootCapabilities())
	}
	var err error
	out.Filter, err = r.filterFor(o, out.Bounding)
	return out, err
}

func maskOf(list []capability) (mask uint64) {
	for _, c := range list {
		mask |= 1 << c.bit
	}
	return mask
}

// filterFor finds the filter among those made at the start, or among those that admins asked for.
func (r *Runtime) filterFor(o *order, bounding uint64) ([]byte, error) {
	if usual := r.rightsOf(o.uid); usual.caps == bounding && len(o.security.Syscalls) == 0 {
		return usual.filter, nil
	}
	syscalls := slices.Sorted(slices.Values(o.security.Syscalls))
	key := fmt.Sprintf("%x %s", bounding, strings.Join(syscalls, " "))
	r.opened.mu.Lock()
	defer r.opened.mu.Unlock()
	if made, ok := r.opened.made[key]; ok {
		return made.filter, nil
	}
	filter, err := seccomp.CompileWith(capabilityNames(bounding), syscalls)
	if err != nil {
		return nil, fmt.Errorf("make system call filter: %w", err)
	}
	if r.opened.made == nil || len(r.opened.made) >= maxOpenedRights {
		r.opened.made = make(map[string]rights)
	}
	r.opened.made[key] = rights{caps: bounding, filter: filter}
	return filter, nil
}

const maxOpenedRights = 100

// handOverOpened opens what of the host an admin gave to the app.
func (c *container) handOverOpened(o *order, h *handover, b *box) {
	for _, d := range o.security.Devices {
		b.devices = append(b.devices, h.add(c.deviceNode(o, d)))
	}
	rights, err := c.runtime.rightsFor(o)
	h.errs = append(h.errs, err)
	b.rights = rights
}

// attachOpened attaches the devices and the file systems in memory.
func attachOpened(s *script.Script, o *order, b box) {
	for i, d := range o.security.Devices {
		s.AttachFile(b.root, filepath.Clean(d.Path), b.devices[i])
	}
	for _, t := range o.tmpfs() {
		m := s.NewMount("tmpfs", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV, "mode=1777", "size="+strconv.FormatInt(t.Size, 10))
		s.AttachDir(b.root, filepath.Clean(t.Path), m)
	}
}

const usualTmpfs = 64 << 20 // bytes of /tmp and /run beside a read-only root file system

func (o *order) tmpfs() []platform.Tmpfs {
	size := map[string]int64{}
	if o.security.ReadOnly {
		size["/tmp"], size["/run"] = usualTmpfs, usualTmpfs
	}
	if o.security.Temporary > 0 {
		size["/tmp"] = o.security.Temporary
	}
	for _, t := range o.security.Tmpfs {
		size[filepath.Clean(t.Path)] = t.Size
	}
	var list []platform.Tmpfs
	for path, n := range size {
		list = append(list, platform.Tmpfs{Path: path, Size: n})
	}
	// One below another comes after it.
	slices.SortFunc(list, func(a, b platform.Tmpfs) int { return strings.Compare(a.Path, b.Path) })
	return list
}

// setSysctls writes the settings of the container's own namespaces, before /proc/sys is made read-only.
func setSysctls(s *script.Script, root script.Arg, sysctls map[string]string) {
	for name, value := range sysctls {
		path := "/proc/sys/" + strings.ReplaceAll(name, ".", "/")
		fd := s.Open(root, path, unix.O_WRONLY, unix.RESOLVE_NO_SYMLINKS)
		s.Do("set sysctl "+name, unix.SYS_WRITE, fd, s.String(value), script.N(len(value)))
		s.Close(fd)
	}
}

// sysctlOf is the name of the sysctl that a script was about to set.
func sysctlOf(doing string) (name string, ok bool) {
	if name, ok = strings.CutPrefix(doing, "set sysctl "); ok {
		return name, true
	}
	path, ok := strings.CutPrefix(doing, "open /proc/sys/")
	return strings.ReplaceAll(path, "/", "."), ok
}

func (o *order) sharedMemory() string {
	if o.security.SharedMemory > 0 {
		return strconv.FormatInt(o.security.SharedMemory, 10)
	}
	return strconv.Itoa(sharedMemory)
}

// takeLimits sets the resource limits of what runs next.
func takeLimits(s *script.Script, limits map[string]platform.Rlimit) {
	for name, l := range limits {
		s.Limit(name, rlimitNumbers()[name], l.Soft, l.Hard)
	}
}

// removeNodes removes the device nodes that were made for the start: their mounts keep them.
func (c *container) removeNodes(o *order) {
	if len(o.security.Devices) == 0 {
		return
	}
	nodes, _ := filepath.Glob(filepath.Join(c.dir, "device-*"))
	for _, node := range nodes {
		_ = os.Remove(node)
	}
}
