package initproc

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// device is a host device node that a container gets. A node cannot be made in a user namespace, so
// the host's is shown; its number is checked, for what is at the path might be something else.
type device struct {
	name         string
	major, minor uint32 // Documentation/admin-guide/devices.txt of the kernel
}

func devices() []device {
	return []device{{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}}
}

// build turns the inherited root file system into the container's, still beside the host's.
//
//	clone host devices -> attach the root -> /proc /sys /dev below it -> masks -> mounts of the spec
func (b *box) build() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fail("make mounts private", err)
	}
	nodes, err := cloneDevices()
	defer closeAll(nodes)
	if err != nil {
		return err
	}
	if err := b.attachRoot(); err != nil {
		return err
	}
	for _, step := range []func() error{b.kernelMounts, func() error { return b.fillDev(nodes) }, b.mask, b.protect, b.mounts} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// attachRoot attaches the root file system over the host's /sys, a directory every host has; nothing
// looks there again. Device nodes and set-user-ID bits of an image never count.
func (b *box) attachRoot() error {
	err := unix.MoveMount(b.spec.Rootfs, "", unix.AT_FDCWD, "/sys", unix.MOVE_MOUNT_F_EMPTY_PATH)
	if err != nil {
		return fail("attach the root file system", err)
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOSUID}
	return fail("restrict the root file system", unix.MountSetattr(b.spec.Rootfs, "", unix.AT_EMPTY_PATH, &attr))
}

func (b *box) kernelMounts() error {
	if err := b.root.mount("/proc", "proc", inert); err != nil {
		return err
	}
	b.openNetwork()
	if err := b.root.mount("/sys", "sysfs", inert|unix.MOUNT_ATTR_RDONLY); err != nil {
		return err
	}
	if err := b.root.mount("/dev", "tmpfs", unix.MOUNT_ATTR_NOSUID, "mode=755", "size=65536k"); err != nil {
		return err
	}
	// gid 5 is tty on every distribution (Linux Standard Base, users and groups). The host has some 4096
	// terminals in all (kernel.pty.max): without a bound one container takes the others'.
	err := b.root.mount("/dev/pts", "devpts", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC, "newinstance", "ptmxmode=0666", "mode=0620", "gid=5", "max=64")
	if err != nil {
		return err
	}
	if err := b.root.mount("/dev/shm", "tmpfs", inert, "mode=1777", "size="+strconv.Itoa(b.spec.SharedMemory)); err != nil {
		return err
	}
	err = b.root.mount("/dev/mqueue", "mqueue", inert)
	if isErrno(err, unix.ENODEV) { // a kernel without POSIX message queues
		return nil
	}
	return err
}

// openNetwork lets every user bind low ports and ping: the network namespace is the container's alone.
// Docker does the same. A kernel that refuses goes without.
func (b *box) openNetwork() {
	for path, value := range map[string]string{
		"/proc/sys/net/ipv4/ip_unprivileged_port_start": "0",
		"/proc/sys/net/ipv4/ping_group_range":           "0 65535",
	} {
		fd, err := b.root.open(path, unix.O_WRONLY, unix.RESOLVE_NO_SYMLINKS)
		if err != nil {
			continue
		}
		_, _ = unix.Write(fd, []byte(value))
		_ = unix.Close(fd)
	}
}

func cloneDevices() ([]int, error) {
	var nodes []int
	for _, d := range devices() {
		path := "/dev/" + d.name
		fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if err != nil {
			return nodes, fail("clone "+path, err)
		}
		nodes = append(nodes, fd)
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return nodes, fail("stat "+path, err)
		}
		if st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(d.major, d.minor) {
			return nodes, fail("check "+path, unix.ENODEV)
		}
	}
	return nodes, nil
}

func (b *box) fillDev(nodes []int) error {
	for i, d := range devices() {
		if err := b.attachFile(nodes[i], "/dev/"+d.name); err != nil {
			return err
		}
	}
	dev, err := b.root.system("/dev")
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(dev) }()
	for _, link := range [][2]string{
		{"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"},
		{"/proc/self/fd/2", "stderr"}, {"pts/ptmx", "ptmx"},
	} {
		if err := unix.Symlinkat(link[0], dev, link[1]); err != nil {
			return fail("link /dev/"+link[1], err)
		}
	}
	return nil
}

func (b *box) attachFile(mount int, path string) error {
	target, err := b.root.file(path)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(target) }()
	return fail("attach "+path, attach(mount, target))
}

// mask hides files behind /dev/null and directories behind an empty read-only one.
func (b *box) mask() error {
	for _, path := range b.spec.Masked {
		if err := b.maskOne(path); err != nil {
			return err
		}
	}
	return nil
}

func (b *box) maskOne(path string) error {
	target, err := b.root.open(path, unix.O_PATH|unix.O_NOFOLLOW, unix.RESOLVE_NO_SYMLINKS)
	if isErrno(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(target) }()
	cover, err := b.cover(target)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(cover) }()
	return fail("mask "+path, attach(cover, target))
}

func (b *box) cover(target int) (int, error) {
	var st unix.Stat_t
	if err := unix.Fstat(target, &st); err != nil {
		return None, fail("stat", err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return newMount("tmpfs", inert|unix.MOUNT_ATTR_RDONLY, "size=4k", "mode=555")
	}
	fd, err := unix.OpenTree(b.root.fd, "dev/null", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	return fd, fail("clone /dev/null", err)
}

// protect puts a read-only bind of each path over it.
func (b *box) protect() error {
	for _, path := range b.spec.ReadOnly {
		if err := b.protectOne(path); err != nil && !isErrno(err, unix.ENOENT) {
			return err
		}
	}
	return nil
}

func (b *box) protectOne(path string) error {
	target, err := b.root.open(path, unix.O_PATH|unix.O_NOFOLLOW, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(target) }()
	clone, err := unix.OpenTree(target, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	if err != nil {
		return fail("clone "+path, err)
	}
	defer func() { _ = unix.Close(clone) }()
	attr := unix.MountAttr{Attr_set: inert | unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(clone, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return fail("make "+path+" read-only", err)
	}
	return fail("attach "+path, attach(clone, target))
}

// mounts attaches what the spec asks for, in its order.
func (b *box) mounts() error {
	for _, m := range b.spec.Mounts {
		if err := b.mountOne(m); err != nil {
			return err
		}
	}
	return nil
}

func (b *box) mountOne(m Mount) error {
	defer func() { _ = unix.Close(m.FD) }()
	if m.File {
		return b.attachFile(m.FD, m.Target)
	}
	target, err := b.root.directory(m.Target, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(target) }()
	return fail("attach "+m.Target, attach(m.FD, target))
}

func closeAll(fds []int) {
	for _, fd := range fds {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}
