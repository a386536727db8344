package image

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// layers is a MountSpec with everything opened: detached, id-mapped clones.
type layers struct {
	lowers      []*os.File // bottom first
	parent      *os.File   // clone that holds upper and work; nil for a read-only mount
	upper, work *os.File
	upperName   string // below parent
	workName    string
	mapped      bool
}

// openLayers leaves out a layer that is there again further up: overlayfs refuses it, and all that it
// brings or hides the upper one brings or hides again.
func openLayers(m MountSpec) (*layers, error) {
	l := &layers{mapped: m.UserNS != nil}
	for i, dir := range m.Lowers {
		if slices.Contains(m.Lowers[i+1:], dir) {
			continue
		}
		f, err := clone(dir, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NODEV, m.UserNS)
		if err != nil {
			l.close()
			return nil, err
		}
		l.lowers = append(l.lowers, f)
	}
	if m.Upper == "" {
		return l, nil
	}
	if err := l.openUpper(m); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *layers) openUpper(m MountSpec) error {
	parent, upper, work, err := sharedParent(m.Upper, m.Work)
	if err != nil {
		return err
	}
	l.upperName, l.workName = upper, work
	if err := forgetVolatile(m.Work); err != nil {
		return err
	}
	if l.parent, err = clone(parent, unix.MOUNT_ATTR_NODEV, m.UserNS); err != nil {
		return err
	}
	const below = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV
	if l.upper, err = openPath(int(l.parent.Fd()), upper, below); err != nil {
		return err
	}
	l.work, err = openPath(int(l.parent.Fd()), work, below)
	return err
}

// forgetVolatile lets a work directory serve a second time: a volatile mount leaves a mark there so
// that nobody trusts an upper that a crash may have damaged. Uppers here never outlive a crash.
func forgetVolatile(work string) error {
	return os.RemoveAll(work + "/work/incompat")
}

func (l *layers) close() {
	for _, f := range append([]*os.File{l.parent, l.upper, l.work}, l.lowers...) {
		if f != nil {
			_ = f.Close()
		}
	}
}

// mount makes the overlay on a thread that is the owner of the id-mapped upper.
func (l *layers) mount() (f *os.File, err error) {
	err = onOwnThread(func() error {
		if err := l.becomeOwner(); err != nil {
			return fmt.Errorf("become the upper's owner: %w", err)
		}
		var e error
		if f, e = l.byDescriptor(); errors.Is(e, unix.EINVAL) || errors.Is(e, unix.EOPNOTSUPP) {
			f, e = l.byPath()
		}
		if l.mapped && errors.Is(e, unix.EINVAL) { // what overlayfs says of mapped layers before 5.19
			e = fmt.Errorf("%w: %w", ErrNoIDMap, e)
		}
		return e
	})
	return f, err
}

// becomeOwner gives the thread the ids that own work as seen through the mapping. Leaving fsuid 0
// drops the effective file capabilities, which capset raises again (capabilities(7)).
func (l *layers) becomeOwner() error {
	if !l.mapped || l.work == nil {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(l.work.Fd()), &st); err != nil {
		return err
	}
	if err := setFSIDs(st.Uid, st.Gid); err != nil {
		return err
	}
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capget(&head, &caps[0]); err != nil {
		return err
	}
	caps[0].Effective, caps[1].Effective = caps[0].Permitted, caps[1].Permitted
	return unix.Capset(&head, &caps[0])
}

// setFSIDs checks by asking again: setfsuid(2) has no error, it returns the id from before.
func setFSIDs(uid, gid uint32) error {
	const ask = ^uintptr(0)
	_, _, _ = unix.RawSyscall(unix.SYS_SETFSGID, uintptr(gid), 0, 0)
	_, _, _ = unix.RawSyscall(unix.SYS_SETFSUID, uintptr(uid), 0, 0)
	u, _, _ := unix.RawSyscall(unix.SYS_SETFSUID, ask, 0, 0)
	g, _, _ := unix.RawSyscall(unix.SYS_SETFSGID, ask, 0, 0)
	if uint32(u) != uid || uint32(g) != gid {
		return fmt.Errorf("setfsuid %d:%d left %d:%d", uid, gid, u, g)
	}
	return nil
}

// byDescriptor needs Linux 6.13 for layers by descriptor and 6.15 for detached ones; EINVAL before, and
// EOPNOTSUPP before 6.5, whose overlayfs does not know the mount API.
func (l *layers) byDescriptor() (*os.File, error) {
	return newOverlay(l.upper != nil, func(fs int) error {
		for i := len(l.lowers) - 1; i >= 0; i-- { // lowerdir+ takes the topmost first
			if err := unix.FsconfigSetFd(fs, "lowerdir+", int(l.lowers[i].Fd())); err != nil {
				return fmt.Errorf("lowerdir+: %w", err)
			}
		}
		if l.upper == nil {
			return nil
		}
		if err := unix.FsconfigSetFd(fs, "upperdir", int(l.upper.Fd())); err != nil {
			return fmt.Errorf("upperdir: %w", err)
		}
		if err := unix.FsconfigSetFd(fs, "workdir", int(l.work.Fd())); err != nil {
			return fmt.Errorf("workdir: %w", err)
		}
		return nil
	})
}

// options are those of every overlay here. Renamed directories and changed owners are written out in
// full, so that an upper is a layer without further ado and never refers to another one by path.
func options() [][2]string {
	return [][2]string{{"redirect_dir", "nofollow"}, {"metacopy", "off"}, {"index", "off"}}
}

func newOverlay(writable bool, setLayers func(fs int) error) (*os.File, error) {
	fs, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("fsopen overlay: %w", err)
	}
	defer func() { _ = unix.Close(fs) }()
	if err := configure(fs, writable, setLayers); err != nil {
		return nil, fmt.Errorf("overlay: %w%s", err, complaint(fs))
	}
	attrs := unix.MOUNT_ATTR_NODEV
	if !writable {
		attrs |= unix.MOUNT_ATTR_RDONLY
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attrs)
	if err != nil {
		return nil, fmt.Errorf("fsmount overlay: %w", err)
	}
	return os.NewFile(uintptr(fd), "overlay"), nil
}

func configure(fs int, writable bool, setLayers func(fs int) error) error {
	for _, o := range append(options(), [2]string{"source", "layers"}) {
		if err := unix.FsconfigSetString(fs, o[0], o[1]); err != nil {
			return fmt.Errorf("%s=%s: %w", o[0], o[1], err)
		}
	}
	if writable {
		if err := unix.FsconfigSetFlag(fs, "volatile"); err != nil {
			return fmt.Errorf("volatile: %w", err)
		}
	}
	if err := setLayers(fs); err != nil {
		return err
	}
	return unix.FsconfigCreate(fs)
}

// complaint is what the kernel wrote about a failed fsconfig, "" if nothing. Lines begin with their
// severity: "e overlay: …".
func complaint(fs int) string {
	buf := make([]byte, 1024)
	n, err := unix.Read(fs, buf)
	if err != nil || n <= 0 {
		return ""
	}
	return " (" + string(buf[:n]) + ")"
}
