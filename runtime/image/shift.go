package image

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// shifting is a way to change owners: ids from first to first+size-1 become to and up, all others are
// left alone, so that doing it twice does it once.
type shifting struct{ first, to, size uint32 }

func (r IDRange) shift() shifting   { return shifting{0, r.Base, r.Size} }
func (r IDRange) unshift() shifting { return shifting{r.Base, 0, r.Size} }

func (s shifting) id(id uint32) uint32 {
	if id < s.first || id-s.first >= s.size {
		return id
	}
	return id - s.first + s.to
}

// shift changes the owners of a tree in place. Nobody else may write to it meanwhile.
func shift(root string, by shifting) error {
	return filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := lstatat(unix.AT_FDCWD, path)
		if err != nil {
			return err
		}
		return giveTo(path, path, st, by)
	})
}

// giveTo gives path the shifted owner of st, and what chown takes away: setuid bits and capabilities,
// which are those of from.
func giveTo(path, from string, st *unix.Stat_t, by shifting) error {
	caps, err := attr(from, capabilityAttr)
	if err != nil {
		return err
	}
	uid, gid := by.id(st.Uid), by.id(st.Gid)
	if path == from && uid == st.Uid && gid == st.Gid {
		return nil
	}
	if err := os.Lchown(path, int(uid), int(gid)); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return nil
	}
	if err := unix.Fchmodat(unix.AT_FDCWD, path, st.Mode&0o7777, 0); err != nil {
		return err
	}
	if caps == nil {
		return nil
	}
	return unix.Lsetxattr(path, capabilityAttr, by.capabilities(caps), 0)
}

const capabilityAttr = "security.capability"

// The forms of a file's capabilities (linux/capability.h, struct vfs_ns_cap_data): revision 3 has the
// root of the user namespace that they count in behind the rest.
const (
	capsRevision  = 0xff000000
	capsRevision2 = 0x02000000
	capsRevision3 = 0x03000000
	capsBytes     = 20
)

// capabilities moves a file's capabilities to the range's user namespace, or out of it.
func (s shifting) capabilities(caps []byte) []byte {
	if len(caps) < capsBytes {
		return caps
	}
	magic := binary.LittleEndian.Uint32(caps)
	var root uint32
	if magic&capsRevision == capsRevision3 && len(caps) >= capsBytes+4 {
		root = binary.LittleEndian.Uint32(caps[capsBytes:])
	}
	root = s.id(root)
	out := append([]byte(nil), caps[:capsBytes]...)
	revision := uint32(capsRevision2)
	if root != 0 {
		revision = capsRevision3
		out = binary.LittleEndian.AppendUint32(out, root)
	}
	binary.LittleEndian.PutUint32(out, magic&^capsRevision|revision)
	return out
}

// copying is a layer being copied with other owners.
type copying struct {
	ctx      context.Context
	from, to string
	by       shifting
	names    map[inode]string // of files with several names: the first copy
	x        extraction
}

func copyShifted(ctx context.Context, from, to string, by shifting) error {
	c := &copying{ctx: ctx, from: from, to: to, by: by, names: map[inode]string{}}
	c.x = extraction{ctx: ctx, buf: make([]byte, copyBytes)}
	var dirs []string
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if d.IsDir() {
			dirs = append(dirs, path)
		}
		return c.copy(path)
	})
	if err != nil {
		return err
	}
	return c.dirTimes(dirs)
}

func (c *copying) place(path string) string { return c.to + path[len(c.from):] }

func (c *copying) copy(path string) error {
	st, err := lstatat(unix.AT_FDCWD, path)
	if err != nil {
		return err
	}
	to := c.place(path)
	id := inode{st.Dev, st.Ino}
	if first, known := c.names[id]; known {
		return os.Link(first, to)
	}
	if err := c.make(path, to, st); err != nil {
		return fmt.Errorf("copy %s: %w", path, err)
	}
	if st.Nlink > 1 && !isDir(st) {
		c.names[id] = to
	}
	return c.dress(path, to, st)
}

// make makes the copy without owner, mode and attributes.
func (c *copying) make(path, to string, st *unix.Stat_t) error {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		if path == c.from {
			return nil
		}
		return os.Mkdir(to, 0o700)
	case unix.S_IFREG:
		return c.content(path, to)
	case unix.S_IFLNK:
		target, err := os.Readlink(path)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	}
	return unix.Mknod(to, st.Mode&unix.S_IFMT|0o600, int(st.Rdev)) //nolint:gosec // a whiteout's is 0
}

// content shares the blocks where the file system can (FICLONE), else copies and keeps holes.
func (c *copying) content(path, to string) error {
	in, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if unix.IoctlFileClone(int(out.Fd()), int(in.Fd())) == nil {
		return out.Close()
	}
	return errors.Join(c.x.copyContent(out, in), out.Close())
}

// dress gives the copy everything else.
func (c *copying) dress(path, to string, st *unix.Stat_t) error {
	names, err := attrNames(path)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == capabilityAttr {
			continue
		}
		value, err := attr(path, name)
		if err != nil {
			return err
		}
		if err := unix.Lsetxattr(to, name, value, 0); err != nil {
			return fmt.Errorf("set attribute %s of %s: %w", name, to, err)
		}
	}
	if err := giveTo(to, path, st, c.by); err != nil {
		return err
	}
	return setTimeAt(unix.AT_FDCWD, to, time.Unix(st.Mtim.Unix()), unix.AT_SYMLINK_NOFOLLOW)
}

// dirTimes restores what the making of entries changed.
func (c *copying) dirTimes(dirs []string) error {
	for _, path := range dirs {
		st, err := lstatat(unix.AT_FDCWD, path)
		if err != nil {
			return err
		}
		if err := setTimeAt(unix.AT_FDCWD, c.place(path), time.Unix(st.Mtim.Unix()), unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
	}
	return nil
}
