package transfer

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"paas/platform"
)

// unpacker writes an archive below one directory of a container.
type unpacker struct {
	ctx  context.Context
	ids  IDs
	in   platform.CopyIn
	top  *os.File
	uid  int // outside, of what is made unless the archive says
	gid  int
	done []directory // whose times and modes are set at the end
}

type directory struct {
	name string
	head *tar.Header
}

// Unpack writes the archive from r below in.Dir of root. The root's container may change whatever it
// likes meanwhile, and the archive may say what it likes: nothing outside in.Dir is touched. Device
// nodes are refused. After an error what was made so far stays.
func Unpack(ctx context.Context, root *os.File, in platform.CopyIn, ids IDs, r io.Reader) error {
	top, err := lookUp(root, in.Dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer func() { _ = top.Close() }()
	if err := refuseSystem(top); err != nil {
		return err
	}
	u := &unpacker{ctx: ctx, ids: ids, in: in, top: top}
	if u.uid, err = ids.outside(int(in.UID)); err != nil {
		return err
	}
	if u.gid, err = ids.outside(int(in.GID)); err != nil {
		return err
	}
	return ids.asOwner(func() error { return u.all(tar.NewReader(reader{ctx, r})) })
}

func (u *unpacker) all(archive *tar.Reader) error {
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return u.finish()
		}
		if err != nil && u.ctx.Err() == nil {
			return platform.Errorf(platform.Failed, "the input is not a whole tar archive").Because(err).
				WithHint("send one: tar c FILES | ssh paas ps:cp-in …")
		}
		if err != nil {
			return u.ctx.Err()
		}
		if err := u.entry(h, archive); err != nil {
			return unfit(h.Name, err)
		}
	}
}

// withoutIt is what its sender does about an entry that is refused.
const withoutIt = "make the archive again without it; what came before it is there"

// unfit tells an entry that does not fit where it shall go from trouble of ours.
func unfit(name string, err error) error {
	theirs := []error{
		io.ErrUnexpectedEOF, tar.ErrHeader, unix.ENOENT, unix.ENAMETOOLONG, unix.EEXIST, unix.ENOTDIR, unix.EISDIR, unix.ELOOP,
		unix.EXDEV, unix.EPERM, unix.EINVAL, unix.EMLINK, unix.EROFS, unix.ENOSPC, unix.EDQUOT, unix.EBUSY,
	}
	if platform.KindOf(err) == platform.Internal && slices.ContainsFunc(theirs, func(e error) bool { return errors.Is(err, e) }) {
		return platform.Errorf(platform.Failed, "the archive's entry %q cannot be written there: %v", name, err).
			WithHint(withoutIt).Because(err)
	}
	return fmt.Errorf("unpack %s: %w", name, err)
}

func (u *unpacker) entry(h *tar.Header, content io.Reader) error {
	name := path.Clean(strings.TrimLeft(h.Name, "/"))
	if name == "." {
		return nil
	}
	if name == ".." || strings.HasPrefix(name, "../") {
		return platform.Errorf(platform.Denied, "the archive's entry %q leads out of the directory", h.Name).
			WithHint(withoutIt)
	}
	dir, err := u.parent(path.Dir(name))
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	base := path.Base(name)
	if h.Typeflag == tar.TypeDir {
		return u.directory(dir, base, name, h)
	}
	if err := unix.Unlinkat(int(dir.Fd()), base, 0); err != nil && err != unix.ENOENT {
		if err == unix.EISDIR {
			return platform.Errorf(platform.Conflict, "%s is a directory in the instance, and the archive has a file there", name)
		}
		return err
	}
	switch h.Typeflag {
	case tar.TypeReg:
		return u.regular(dir, base, h, content)
	case tar.TypeSymlink:
		return errors.Join(unix.Symlinkat(h.Linkname, int(dir.Fd()), base), u.own(dir, base, h))
	case tar.TypeLink:
		return u.link(dir, base, h)
	case tar.TypeFifo:
		return errors.Join(unix.Mknodat(int(dir.Fd()), base, unix.S_IFIFO|u.mode(h), 0), u.own(dir, base, h))
	case tar.TypeXGlobalHeader:
		return nil
	}
	return platform.Errorf(platform.Denied, "the archive's entry %q is no file, directory or link", h.Name).
		WithHint(withoutIt)
}

// parent opens a directory below the top, making what is missing on the way.
func (u *unpacker) parent(name string) (*os.File, error) {
	f, err := below(u.top, name, unix.O_RDONLY|unix.O_DIRECTORY)
	if errors.Is(err, os.ErrNotExist) {
		if err := u.makeParents(name); err != nil {
			return nil, err
		}
		f, err = below(u.top, name, unix.O_RDONLY|unix.O_DIRECTORY)
	}
	switch {
	case errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR):
		return nil, platform.Errorf(platform.Denied, "%s goes through something that is no directory, and links are not followed", name).
			WithHint(withoutIt)
	case err != nil:
		return nil, err
	}
	if err := refuseSystem(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (u *unpacker) makeParents(name string) error {
	at := ""
	for part := range strings.SplitSeq(name, "/") {
		dir, err := below(u.top, "./"+at, unix.O_RDONLY|unix.O_DIRECTORY)
		if err != nil {
			return err
		}
		switch err = unix.Mkdirat(int(dir.Fd()), part, 0o755); err {
		case nil:
			err = u.chown(dir, part, u.uid, u.gid)
		case unix.EEXIST:
			err = nil
		}
		if err := errors.Join(err, dir.Close()); err != nil {
			return err
		}
		at = path.Join(at, part)
	}
	return nil
}

// directory makes one, or takes the one that is there as it is.
func (u *unpacker) directory(dir *os.File, base, name string, h *tar.Header) error {
	err := unix.Mkdirat(int(dir.Fd()), base, 0o700)
	if err == unix.EEXIST {
		there, err := below(dir, base, unix.O_RDONLY|unix.O_DIRECTORY)
		if err != nil {
			return platform.Errorf(platform.Conflict, "%s is there and is not a directory", name).Because(err)
		}
		return there.Close()
	}
	if err != nil {
		return err
	}
	u.done = append(u.done, directory{name, h})
	return u.own(dir, base, h)
}

// finish gives directories their modes and times, now that nothing more is written into them.
func (u *unpacker) finish() error {
	for _, d := range u.done {
		f, err := below(u.top, d.name, unix.O_RDONLY|unix.O_DIRECTORY)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) {
			continue // the container took it away
		}
		if err != nil {
			return err
		}
		err = errors.Join(unix.Fchmod(int(f.Fd()), u.mode(d.head)), setTime(f, d.head), f.Close())
		if err != nil {
			return err
		}
	}
	return nil
}

func (u *unpacker) regular(dir *os.File, base string, h *tar.Header, content io.Reader) error {
	fd, err := unix.Openat(int(dir.Fd()), base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), base)
	_, err = io.Copy(f, content)
	uid, gid, ownErr := u.owner(h)
	if err = errors.Join(err, ownErr); err == nil {
		err = errors.Join(unix.Fchown(fd, uid, gid), unix.Fchmod(fd, u.mode(h)), setTime(f, h))
	}
	return errors.Join(err, f.Close())
}

// link makes another name of a file that lies below the top, too.
func (u *unpacker) link(dir *os.File, base string, h *tar.Header) error {
	target, err := below(u.top, path.Clean(strings.TrimLeft(h.Linkname, "/")), unix.O_PATH)
	if err != nil {
		return err
	}
	defer func() { _ = target.Close() }()
	return unix.Linkat(int(target.Fd()), "", int(dir.Fd()), base, unix.AT_EMPTY_PATH)
}

func (u *unpacker) owner(h *tar.Header) (uid, gid int, err error) {
	if !u.in.Owners {
		return u.uid, u.gid, nil
	}
	if uid, err = u.ids.outside(h.Uid); err == nil {
		gid, err = u.ids.outside(h.Gid)
	}
	return uid, gid, err
}

func (u *unpacker) own(dir *os.File, base string, h *tar.Header) error {
	uid, gid, err := u.owner(h)
	if err != nil {
		return err
	}
	return u.chown(dir, base, uid, gid)
}

func (u *unpacker) chown(dir *os.File, base string, uid, gid int) error {
	return unix.Fchownat(int(dir.Fd()), base, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
}

// mode leaves out setuid, setgid and the sticky bit unless owners are kept.
func (u *unpacker) mode(h *tar.Header) uint32 {
	if u.in.Owners {
		return uint32(h.Mode) & 0o7777
	}
	return uint32(h.Mode) & 0o777
}

func setTime(f *os.File, h *tar.Header) error {
	at := h.ModTime
	if at.IsZero() {
		at = time.Unix(0, 0)
	}
	t := unix.NsecToTimespec(at.UnixNano())
	return unix.UtimesNanoAt(int(f.Fd()), "", []unix.Timespec{t, t}, unix.AT_EMPTY_PATH)
}
