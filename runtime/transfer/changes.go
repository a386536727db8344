package transfer

import (
	"errors"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
	"paas/platform"
)

// differ compares an overlay's upper directory with what is below it.
type differ struct {
	upper, lower *os.File
	skip         func(path string) bool
	list         []platform.Change
}

// Changes lists what an overlay's upper directory adds to, changes in and deletes from lower, the merged
// view of the layers below it, in path order. A directory that is there only because something below it
// changed is not listed. Paths that skip names, and what is below them, are no changes.
func Changes(upper, lower *os.File, skip func(path string) bool) ([]platform.Change, error) {
	d := &differ{upper: upper, lower: lower, skip: skip}
	if err := d.directory(upper, "", 0); err != nil {
		return nil, err
	}
	slices.SortFunc(d.list, func(a, b platform.Change) int { return strings.Compare(a.Path, b.Path) })
	return d.list, nil
}

func (d *differ) note(kind platform.ChangeKind, name string) {
	d.list = append(d.list, platform.Change{Kind: kind, Path: "/" + name})
}

// directory looks at each entry of a directory of the upper.
func (d *differ) directory(dir *os.File, name string, depth int) error {
	if depth > maxDepth {
		return platform.Errorf(platform.Failed, "/%s is nested more than %d deep", name, maxDepth)
	}
	list, err := below(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer func() { _ = list.Close() }()
	return eachName(list, func(base string) error {
		at := path.Join(name, base)
		if d.skip("/" + at) {
			return nil
		}
		f, err := below(list, base, unix.O_PATH)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		return d.entry(f, at, depth)
	})
}

func (d *differ) entry(f *os.File, name string, depth int) error {
	st, err := stat(f)
	if err != nil {
		return err
	}
	before, err := d.before(name)
	switch {
	case err != nil:
		return err
	case isWhiteout(&st) && before == nil:
		return nil
	case isWhiteout(&st):
		d.note(platform.Deleted, name)
		return nil
	case before == nil:
		d.note(platform.Added, name)
	case kind(&st) != unix.S_IFDIR || kind(before) != unix.S_IFDIR || st.Mode != before.Mode || st.Uid != before.Uid || st.Gid != before.Gid:
		d.note(platform.Changed, name)
	}
	if kind(&st) != unix.S_IFDIR {
		return nil
	}
	if before != nil && isOpaque(f) {
		if err := d.hidden(f, name); err != nil {
			return err
		}
	}
	return d.directory(f, name, depth+1)
}

// before is what the layers below have there; nil for nothing.
func (d *differ) before(name string) (*unix.Stat_t, error) {
	f, err := below(d.lower, name, unix.O_PATH)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	st, err := stat(f)
	return &st, err
}

// hidden notes what an opaque directory hides and does not have itself: it was removed and made anew.
func (d *differ) hidden(f *os.File, name string) error {
	lower, err := below(d.lower, name, unix.O_RDONLY|unix.O_DIRECTORY)
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = lower.Close() }()
	return eachName(lower, func(base string) error {
		var st unix.Stat_t
		err := unix.Fstatat(int(f.Fd()), base, &st, unix.AT_SYMLINK_NOFOLLOW)
		if err == unix.ENOENT {
			d.note(platform.Deleted, path.Join(name, base))
			return nil
		}
		return err
	})
}

// isWhiteout tells overlayfs's deletion mark (overlayfs.rst, "whiteouts and opaque directories").
func isWhiteout(st *unix.Stat_t) bool { return kind(st) == unix.S_IFCHR && st.Rdev == 0 }

const opaqueAttr = "trusted.overlay.opaque"

func isOpaque(f *os.File) bool {
	dir, err := reopen(f)
	if err != nil {
		return false
	}
	defer func() { _ = dir.Close() }()
	var b [1]byte
	n, err := unix.Fgetxattr(int(dir.Fd()), opaqueAttr, b[:])
	return err == nil && n == 1 && b[0] == 'y'
}
