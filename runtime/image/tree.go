package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// tree is a directory that a hostile archive is written into. Every name is looked up from its root
// descriptor with openat2(2): no "..", no symlink and no mount on the way to a parent, and the last
// part is never followed, so that nothing outside can be named, not even by what the archive itself
// put there before. Names are clean, relative and slash-separated.
type tree struct {
	root *os.File
	dir  *os.File // the parent used last: archives come in directory order
	name string   // its name

	count func() error // called before a parent is made that no entry brought
}

func openTree(dir string) (*tree, error) {
	root, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	return &tree{root: root, count: func() error { return nil }}, nil
}

func (t *tree) close() error { return errors.Join(t.forget(), t.root.Close()) }

// forget drops the remembered parent: something was removed, perhaps above it.
func (t *tree) forget() error {
	if t.dir == nil {
		return nil
	}
	err := t.dir.Close()
	t.dir, t.name = nil, ""
	return err
}

// open opens name below the root.
func (t *tree) open(name string, flags uint64) (*os.File, error) {
	how := unix.OpenHow{
		Flags:   flags | unix.O_CLOEXEC | unix.O_NOFOLLOW,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	}
	fd, err := unix.Openat2(int(t.root.Fd()), name, &how)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// parent is a descriptor of the directory that name is in, and name's last part. It is good until the
// next call of any method. Missing directories are made, 0755 and 0:0.
func (t *tree) parent(name string) (fd int, base string, err error) {
	dir, base := path.Split(name)
	dir = path.Clean(dir)
	if t.dir != nil && t.name == dir {
		return int(t.dir.Fd()), base, nil
	}
	if err := t.forget(); err != nil {
		return 0, "", err
	}
	f, err := t.open(dir, unix.O_PATH|unix.O_DIRECTORY)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) { // the latter: a deletion mark
		f, err = t.makeParents(dir)
	}
	if err != nil {
		return 0, "", err
	}
	t.dir, t.name = f, dir
	return int(f.Fd()), base, nil
}

func (t *tree) makeParents(dir string) (*os.File, error) {
	at := "."
	for part := range strings.SplitSeq(dir, "/") {
		parent, err := t.open(at, unix.O_PATH|unix.O_DIRECTORY)
		if err != nil {
			return nil, err
		}
		err = t.makeParent(int(parent.Fd()), part)
		if err := errors.Join(err, parent.Close()); err != nil {
			return nil, fmt.Errorf("make %s: %w", dir, err)
		}
		at = path.Join(at, part)
	}
	return t.open(dir, unix.O_PATH|unix.O_DIRECTORY)
}

// makeParent counts what it makes: an entry of 4 KiB can imply two thousand directories.
func (t *tree) makeParent(parent int, name string) error {
	if st, err := lstatat(parent, name); err == nil && !isWhiteout(st) {
		return nil
	}
	if err := t.count(); err != nil {
		return err
	}
	return makeDir(parent, name)
}

// makeDir makes a directory unless something is there. A deletion mark makes room for an opaque one:
// the directory that is being made is not the one below it.
func makeDir(parent int, name string) error {
	err := unix.Mkdirat(parent, name, 0o755)
	if !errors.Is(err, unix.EEXIST) {
		return err
	}
	st, err := lstatat(parent, name)
	if err != nil || !isWhiteout(st) {
		return err
	}
	if err := unix.Unlinkat(parent, name, 0); err != nil {
		return err
	}
	if err := unix.Mkdirat(parent, name, 0o755); err != nil {
		return err
	}
	return setOpaque(parent, name)
}

// lstat is nil for what does not exist.
func (t *tree) lstat(name string) (*unix.Stat_t, error) {
	parent, base, err := t.parent(name)
	if err != nil {
		return nil, err
	}
	st, err := lstatat(parent, base)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	return st, err
}

// clear makes room for something else under name and tells whether what was there hid what lower
// layers have there.
func (t *tree) clear(name string, st *unix.Stat_t) error {
	if !isDir(st) {
		parent, base, err := t.parent(name)
		if err != nil {
			return err
		}
		return unix.Unlinkat(parent, base, 0)
	}
	root, err := os.OpenRoot(t.root.Name())
	if err != nil {
		return err
	}
	return errors.Join(t.forget(), root.RemoveAll(name), root.Close())
}

func lstatat(dir int, name string) (*unix.Stat_t, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return nil, err
	}
	return &st, nil
}

func isDir(st *unix.Stat_t) bool { return st != nil && st.Mode&unix.S_IFMT == unix.S_IFDIR }

// isWhiteout tells overlayfs's deletion mark (overlayfs.rst, "whiteouts and opaque directories").
func isWhiteout(st *unix.Stat_t) bool {
	return st != nil && st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
}

// opaqueAttr with the value "y" makes a directory hide those below it.
const opaqueAttr = "trusted.overlay.opaque"

func setOpaque(parent int, name string) error {
	fd, err := unix.Openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return errors.Join(unix.Fsetxattr(fd, opaqueAttr, []byte("y"), 0), unix.Close(fd))
}
