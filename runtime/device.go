package runtime

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
	"paas/platform"
	"paas/runtime/devrules"
)

// openDevices closes all device nodes but the usual ones to containers. It is a second wall: in a user
// namespace no node can be made, and every mount but that of an opened device is nodev.
func (c *cgroups) openDevices() {
	var err error
	if c.v2 {
		err = c.attachDevices()
	} else {
		err = c.makeUsual()
	}
	if err != nil {
		c.lacks["device"] = err.Error()
	}
}

func (c *cgroups) attachDevices() error {
	for _, slice := range sliceNames() {
		if err := attachRules(c.dirOf(c.path(slice)), devrules.Usual()); err != nil {
			return err
		}
	}
	return nil
}

func attachRules(dir string, rules []devrules.Rule) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return devrules.Attach(int(f.Fd()), rules)
}

// makeUsual makes the v1 group that containers without devices of their own share.
func (c *cgroups) makeUsual() error {
	top, ok := c.tops["devices"]
	if !ok {
		return fmt.Errorf("the host has no devices controller")
	}
	usual := filepath.Join(top, usualDevices)
	for _, dir := range []string{top, usual} {
		if err := makeGroup(dir); err != nil {
			return err
		}
	}
	return writeRules(usual, devrules.Usual())
}

func writeRules(dir string, rules []devrules.Rule) error {
	if err := writeControl(filepath.Join(dir, "devices.deny"), "a"); err != nil {
		return err
	}
	for _, r := range rules {
		if err := writeControl(filepath.Join(dir, "devices.allow"), r.V1()); err != nil {
			return err
		}
	}
	return nil
}

// allow opens devices to a container, which then has rules of its own.
func (g cgroup) allow(list []platform.Device) error {
	if len(list) == 0 || g.of.lacks["device"] != "" {
		return nil
	}
	var more []devrules.Rule
	for _, d := range list {
		more = append(more, devrules.Rule{Block: d.Block, Major: d.Major, Minor: d.Minor, Access: d.Access})
	}
	rules := devrules.With(more...)
	if g.of.v2 {
		return attachRules(g.dirs()[0], rules)
	}
	if err := g.extend("devices"); err != nil {
		return err
	}
	return writeRules(filepath.Join(g.of.tops["devices"], g.path), rules)
}

// OpenDevice implements platform.Resources.
func (r *Runtime) OpenDevice(path string) (platform.Device, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return platform.Device{}, platform.Errorf(platform.NotFound, "this host has no %s", path).Because(err)
	}
	d := platform.Device{Path: path, Major: unix.Major(st.Rdev), Minor: unix.Minor(st.Rdev), Access: "rw"}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFBLK:
		d.Block = true
	case unix.S_IFCHR:
	default:
		return d, platform.Errorf(platform.Usage, "%s is not a device node", path)
	}
	return d, nil
}

// deviceNode makes a node for the app in the instance's directory and gives a mount of it: the host's own
// node has owners that do not exist inside. What is unlinked cannot be attached, so it stays until the start.
func (c *container) deviceNode(o *order, d platform.Device) (*os.File, error) {
	base, err := uidBase(o.appID)
	if err != nil {
		return nil, err
	}
	kind := uint32(unix.S_IFCHR)
	if d.Block {
		kind = unix.S_IFBLK
	}
	path := filepath.Join(c.dir, fmt.Sprintf("device-%d-%d", d.Major, d.Minor))
	if err := unix.Mknod(path, kind|0o660, int(unix.Mkdev(d.Major, d.Minor))); err != nil {
		return nil, fmt.Errorf("make the node of %s: %w", d.Path, err)
	}
	if err := unix.Chmod(path, 0o660); err != nil { // the umask
		return nil, fmt.Errorf("open the node of %s: %w", d.Path, err)
	}
	if err := unix.Chown(path, int(base+o.uid), int(base+o.gid)); err != nil {
		return nil, fmt.Errorf("give away the node of %s: %w", d.Path, err)
	}
	return cloneNode(path)
}

// cloneNode makes a mount through which a device can be opened, whatever the mount that it is on says.
func cloneNode(path string) (*os.File, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return nil, fmt.Errorf("clone %s: %w", path, err)
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC, Attr_clr: unix.MOUNT_ATTR_NODEV}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("clone %s: %w", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}
