package image

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Names with a meaning of their own in a layer archive (OCI image-spec, layer.md, "Whiteouts").
const (
	whiteoutPrefix = ".wh."
	opaqueMarker   = ".wh..wh..opq"
	metaPrefix     = ".wh..wh." // AUFS's own files, which mean nothing to us
)

// limits bounds what one archive may write.
type limits struct {
	bytes   int64 // of file content
	entries int   // directories that only names of entries imply count too

	room func() error // fails when the disk has no room left; nil: not asked
}

func (l limits) ask() error {
	if l.room == nil {
		return nil
	}
	return l.room()
}

// How often an extraction asks for room.
const (
	roomBytes   = 16 << 20
	roomEntries = 4096
)

// layerLimits are far above any honest layer: the largest public ones have some 300,000 entries and
// 15 GB.
func layerLimits() limits { return limits{bytes: 32 << 30, entries: 1_000_000} }

// extraction is one archive being written into a tree.
type extraction struct {
	ctx   context.Context
	tree  *tree
	left  limits
	since limits               // since it was last asked whether there is room
	times map[string]time.Time // of directories: set last, since every entry in them changes it
	buf   []byte
}

// entryError is an entry that could not be written, most often because it is refused.
type entryError struct {
	name string
	err  error
}

// maxTold is how many bytes of an entry's name an error tells: a name may have a megabyte.
const maxTold = 200

func (e *entryError) Error() string {
	name := e.name
	if len(name) > maxTold {
		name = name[:maxTold] + "…"
	}
	return fmt.Sprintf("entry %q: %v", name, e.err)
}
func (e *entryError) Unwrap() error { return e.err }

// extract writes a layer archive below dir, which is empty. The archive is hostile until proven
// otherwise: names that hold "..", entries below symlinks, hard links to anything but
// a file of the same archive, device nodes and attributes that steer overlayfs are refused; of extended
// attributes security.capability and user.* are kept. Deletion marks become overlayfs's, runs of zeros
// holes. After an error dir holds part of it.
func extract(ctx context.Context, archive io.Reader, dir string, most limits) (err error) {
	t, err := openTree(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	x := &extraction{ctx: ctx, tree: t, left: most, times: map[string]time.Time{}, buf: make([]byte, copyBytes)}
	t.count = x.countEntry
	r := tar.NewReader(archive)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return x.setTimes()
		}
		if err != nil {
			return fmt.Errorf("read archive: %w", err)
		}
		if err := x.entry(h, r); err != nil {
			return &entryError{h.Name, err}
		}
	}
}

func (x *extraction) entry(h *tar.Header, content io.Reader) error {
	if err := x.spend(h); err != nil {
		return err
	}
	name, err := cleanName(h.Name)
	if err != nil || h.Typeflag == tar.TypeXGlobalHeader {
		return err
	}
	if base := path.Base(name); strings.HasPrefix(base, whiteoutPrefix) {
		return x.mark(path.Dir(name), base)
	}
	if h.Typeflag == tar.TypeDir {
		return x.directory(name, h)
	}
	if name == "." {
		return errors.New("the root is a directory")
	}
	return x.file(name, h, content)
}

// spend counts an entry against the limits.
func (x *extraction) spend(h *tar.Header) error {
	if err := x.ctx.Err(); err != nil {
		return err
	}
	if err := x.countEntry(); err != nil {
		return err
	}
	if h.Size < 0 || h.Size > x.left.bytes {
		return errors.New("the archive holds too many bytes")
	}
	x.left.bytes -= h.Size
	return nil
}

// countEntry counts what is made: an entry, or a directory on the way to one.
func (x *extraction) countEntry() error {
	x.left.entries--
	if x.left.entries < 0 {
		return errors.New("the archive has too many entries")
	}
	x.since.entries++
	return x.askRoom()
}

// wrote counts bytes that went to the disk.
func (x *extraction) wrote(n int) error {
	x.since.bytes += int64(n)
	return x.askRoom()
}

func (x *extraction) askRoom() error {
	if x.since.bytes < roomBytes && x.since.entries < roomEntries {
		return nil
	}
	x.since = limits{}
	if err := x.ctx.Err(); err != nil {
		return err
	}
	return x.left.ask()
}

// cleanName makes an archive's name a name for tree. "./a/", "/a" and "a" are the same: Cloud Native Buildpacks write
// names that begin at the image's root.
func cleanName(name string) (string, error) {
	if name == "" || strings.ContainsRune(name, 0) {
		return "", errors.New("the name is empty or holds a zero byte")
	}
	name = "./" + strings.TrimLeft(name, "/")
	if slices.Contains(strings.Split(name, "/"), "..") {
		return "", errors.New(`the name holds ".."`)
	}
	return path.Clean(name), nil
}

// mark turns a deletion mark of the archive into overlayfs's.
func (x *extraction) mark(dir, base string) error {
	if base == opaqueMarker {
		return x.markOpaque(dir)
	}
	if strings.HasPrefix(base, metaPrefix) {
		return nil
	}
	victim := strings.TrimPrefix(base, whiteoutPrefix)
	if victim == "" || victim == "." || victim == ".." {
		return errors.New("the deletion mark names nothing")
	}
	name := path.Join(dir, victim)
	st, err := x.tree.lstat(name)
	if err != nil {
		return err
	}
	parent, base, err := x.tree.parent(name)
	if err != nil {
		return err
	}
	switch {
	case st == nil:
		return unix.Mknodat(parent, base, unix.S_IFCHR, 0)
	case isDir(st): // deleted below, and made anew by this layer
		return setOpaque(parent, base)
	default: // this layer's own file hides what is below anyway
		return nil
	}
}

func (x *extraction) markOpaque(dir string) error {
	if dir == "." {
		return unix.Fsetxattr(int(x.tree.root.Fd()), opaqueAttr, []byte("y"), 0)
	}
	parent, base, err := x.tree.parent(dir)
	if err != nil {
		return err
	}
	if err := makeDir(parent, base); err != nil {
		return err
	}
	return setOpaque(parent, base)
}

func (x *extraction) directory(name string, h *tar.Header) error {
	if name != "." {
		if err := x.placeDirectory(name); err != nil {
			return err
		}
	}
	f, err := x.tree.open(name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	x.times[name] = h.ModTime
	return errors.Join(setOwnerAndMode(int(f.Fd()), h), f.Close())
}

// placeDirectory makes a directory in the place of anything that is none.
func (x *extraction) placeDirectory(name string) error {
	st, err := x.tree.lstat(name)
	if err != nil {
		return err
	}
	if st != nil && !isDir(st) && !isWhiteout(st) {
		if err := x.tree.clear(name, st); err != nil {
			return err
		}
	}
	parent, base, err := x.tree.parent(name)
	if err != nil {
		return err
	}
	return makeDir(parent, base)
}

// file makes anything but a directory; a later entry of the same name replaces an earlier one.
func (x *extraction) file(name string, h *tar.Header, content io.Reader) error {
	var target string
	if h.Typeflag == tar.TypeLink { // before clear: a link to itself must not lose the file
		var err error
		if target, err = x.linkTarget(name, h.Linkname); err != nil || target == name {
			return err
		}
	}
	st, err := x.tree.lstat(name)
	if err != nil {
		return err
	}
	if st != nil {
		if err := x.tree.clear(name, st); err != nil {
			return err
		}
	}
	if target != "" {
		return x.link(target, name)
	}
	parent, base, err := x.tree.parent(name)
	if err != nil {
		return err
	}
	return x.create(parent, base, h, content)
}

// linkTarget is the clean name of a hard link's target: a file or symlink that the archive brought.
func (x *extraction) linkTarget(name, link string) (string, error) {
	target, err := cleanName(link)
	if err != nil {
		return "", fmt.Errorf("hard link to %q: %w", link, err)
	}
	st, err := x.tree.lstat(target)
	if err != nil {
		return "", fmt.Errorf("hard link to %q: %w", link, err)
	}
	if st == nil || isDir(st) || isWhiteout(st) || strings.HasPrefix(target, name+"/") {
		return "", fmt.Errorf("hard link to %q, which is no file of this layer", link)
	}
	return target, nil
}

func (x *extraction) link(target, name string) error {
	from, err := x.tree.open(path.Dir(target), unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	parent, base, err := x.tree.parent(name)
	if err == nil {
		err = unix.Linkat(int(from.Fd()), path.Base(target), parent, base, 0)
	}
	return errors.Join(err, from.Close())
}

// setTimes restores the directories' modification times. Those replaced meanwhile are gone.
func (x *extraction) setTimes() error {
	for name, at := range x.times {
		f, err := x.tree.open(name, unix.O_RDONLY|unix.O_DIRECTORY)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
			continue
		}
		if err != nil {
			return err
		}
		if err := errors.Join(setTime(int(f.Fd()), at), f.Close()); err != nil {
			return fmt.Errorf("set time of %s: %w", name, err)
		}
	}
	return nil
}

// setTime is given a descriptor that is not O_PATH.
func setTime(fd int, at time.Time) error {
	return setTimeAt(fd, "", at, unix.AT_EMPTY_PATH)
}

func setTimeAt(dir int, name string, at time.Time, flags int) error {
	sec := min(max(at.Unix(), 0), math.MaxInt32) // what every file system can store
	ts := unix.Timespec{Sec: sec, Nsec: int64(at.Nanosecond())}
	return unix.UtimesNanoAt(dir, name, []unix.Timespec{ts, ts}, flags)
}
