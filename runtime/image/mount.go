package image

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrNoIDMap is wrapped by errors that say the kernel or a file system cannot map ids on a mount
// (Linux before 5.12; before 6.3 for tmpfs; overlayfs layers before 5.19). Without UserNS it works.
var ErrNoIDMap = errors.New("id-mapped mounts are not possible here")

// MountSpec is a file system made of layers.
type MountSpec struct {
	Lowers []string // host directories, bottom first
	// Upper takes the writes, Work is overlayfs's scratch; both "" make a read-only mount. They are
	// on the same mount, owned by 0:0, and share a parent that holds nothing but the mount's own.
	// Writes to Upper are not synced by sync, fsync or unmounting (overlayfs option volatile): it is
	// either thrown away after a crash, or a Draft, whose Commit syncs it.
	Upper, Work string
	// UserNS maps owners: uid 0 on the disk is uid 0 in the namespace. nil maps nothing.
	UserNS *os.File
}

// Overlay mounts layers as one file system and returns a descriptor of the detached mount: attach it
// with move_mount(2), or drop it by closing. Nothing shows in the host's mount table. The mount is
// nodev. It blocks on no disk but the directories' inodes.
//
// Whoever mounts overlayfs is the owner of what it writes. Through an id-mapped upper the host's root
// has no id at all, so the mount is made by a thread whose fsuid and fsgid are the namespace's root
// with all capabilities raised again: owners on disk stay unshifted.
//
// Since Linux 6.15 overlayfs takes detached layers by descriptor. Older kernels (Debian 12 has 6.1,
// Debian 13 has 6.12) look layers up by path in the caller's mount namespace only: there they are
// attached for a moment in a mount namespace that lives as long as the thread.
//
// One lower and no upper make a plain bind mount, no lower and an upper a writable one.
func Overlay(m MountSpec) (*os.File, error) {
	f, err := overlay(m)
	if err != nil {
		return nil, fmt.Errorf("mount %d layers: %w", len(m.Lowers), err)
	}
	return f, nil
}

func overlay(m MountSpec) (*os.File, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	if m.Upper == "" && len(m.Lowers) == 1 {
		return clone(m.Lowers[0], unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NODEV, m.UserNS)
	}
	if len(m.Lowers) == 0 {
		return clone(m.Upper, unix.MOUNT_ATTR_NODEV, m.UserNS)
	}
	l, err := openLayers(m)
	if err != nil {
		return nil, err
	}
	defer l.close()
	return l.mount()
}

func (m MountSpec) check() error {
	if (m.Upper == "") != (m.Work == "") {
		return errors.New("an upper directory needs a work directory and the other way round")
	}
	if len(m.Lowers) == 0 && m.Upper == "" {
		return errors.New("there is no layer")
	}
	for _, dir := range append([]string{m.Upper, m.Work}, m.Lowers...) {
		if dir != "" && !filepath.IsAbs(dir) {
			return fmt.Errorf("%q is not an absolute path", dir)
		}
	}
	return nil
}

// Bind returns a descriptor of a detached bind mount of one directory or file, nosuid and nodev, its
// owners mapped by userns unless that is nil. Mounts below source are not part of it. A source that is
// itself a symlink is refused, as are magic links on the way; the caller answers for the parents:
// nobody inside a container may be able to rename them.
func Bind(source string, readOnly bool, userns *os.File) (*os.File, error) {
	attrs := uint64(unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV)
	if readOnly {
		attrs |= unix.MOUNT_ATTR_RDONLY
	}
	f, err := clone(source, attrs, userns)
	if err != nil {
		return nil, fmt.Errorf("bind %s: %w", source, err)
	}
	return f, nil
}

// clone makes a detached copy of the mount that path is on, rooted at path.
func clone(path string, attrs uint64, userns *os.File) (*os.File, error) {
	at, err := openPath(unix.AT_FDCWD, path, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = at.Close() }()
	fd, err := unix.OpenTree(int(at.Fd()), "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	if err != nil {
		return nil, fmt.Errorf("open_tree %s: %w", path, err)
	}
	f := os.NewFile(uintptr(fd), path)
	if err := setAttrs(f, attrs, userns); err != nil {
		return nil, errors.Join(fmt.Errorf("mount_setattr %s: %w", path, err), f.Close())
	}
	return f, nil
}

func setAttrs(f *os.File, attrs uint64, userns *os.File) error {
	attr := unix.MountAttr{Attr_set: attrs, Propagation: unix.MS_PRIVATE}
	if err := unix.MountSetattr(int(f.Fd()), "", unix.AT_EMPTY_PATH, &attr); err != nil || userns == nil {
		return err
	}
	attr = unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(userns.Fd())}
	err := unix.MountSetattr(int(f.Fd()), "", unix.AT_EMPTY_PATH, &attr)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("%w: %w", ErrNoIDMap, err)
	}
	return err
}

// openPath opens what path names as a place (O_PATH). The last part is not followed.
func openPath(dir int, path string, resolve uint64) (*os.File, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_MAGICLINKS | resolve}
	fd, err := unix.Openat2(dir, path, &how)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return nil, errors.Join(&os.PathError{Op: "open", Path: path, Err: errors.New("is a symlink")}, f.Close())
	}
	return f, nil
}

// sharedParent is the deepest directory above both paths, and how they go on from there. Overlayfs
// wants upper and work on one mount, so they must come out of one clone.
func sharedParent(a, b string) (parent, restA, restB string, err error) {
	parent = filepath.Dir(filepath.Clean(a))
	for parent != "/" && !strings.HasPrefix(filepath.Clean(b), parent+"/") {
		parent = filepath.Dir(parent)
	}
	restA, errA := filepath.Rel(parent, a)
	restB, errB := filepath.Rel(parent, b)
	return parent, restA, restB, errors.Join(errA, errB)
}
