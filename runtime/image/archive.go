package image

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// archiver writes a layer directory as an OCI layer archive.
type archiver struct {
	ctx   context.Context
	root  string
	out   *tar.Writer
	names map[inode]string // of files with several names: the first one
}

type inode struct{ dev, ino uint64 }

// archive writes the layer in dir to w: entries in path order, times in whole seconds, owners as
// numbers, overlayfs's deletion marks as the OCI spec's. Equal directories give equal archives. It
// refuses what an archive cannot say: device nodes outside /dev, names that look like deletion marks, and
// directories that overlayfs stored as references to others.
func archive(ctx context.Context, dir string, w io.Writer) error {
	a := &archiver{ctx: ctx, root: dir, out: tar.NewWriter(w), names: map[inode]string{}}
	if err := a.opaque(".", dir); err != nil {
		return err
	}
	// WalkDir goes through each directory in lexical order and follows no symlink.
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		return a.entry(path)
	})
	return errors.Join(err, a.out.Close())
}

func (a *archiver) entry(path string) error {
	if err := a.ctx.Err(); err != nil {
		return err
	}
	name, err := filepath.Rel(a.root, path)
	if err != nil {
		return err
	}
	if strings.HasPrefix(filepath.Base(name), whiteoutPrefix) {
		return fmt.Errorf("%s: the name is reserved for deletion marks", name)
	}
	st, err := lstatat(unix.AT_FDCWD, path)
	if err != nil {
		return &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if isWhiteout(st) {
		return a.mark(filepath.Join(filepath.Dir(name), whiteoutPrefix+filepath.Base(name)))
	}
	if err := a.write(name, path, st); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (a *archiver) write(name, path string, st *unix.Stat_t) error {
	h, err := a.header(name, path, st)
	if err != nil || h == nil {
		return err
	}
	if err := a.out.WriteHeader(h); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeReg:
		return a.content(path)
	case tar.TypeDir:
		return a.opaque(name, path)
	}
	return nil
}

// header describes a file; nil for what an archive is better without: sockets, which mean nothing without
// their process, and device nodes where nobody would see them.
func (a *archiver) header(name, path string, st *unix.Stat_t) (*tar.Header, error) {
	h := &tar.Header{
		Name: name, Mode: int64(st.Mode & 0o7777), Uid: int(st.Uid), Gid: int(st.Gid),
		ModTime: time.Unix(st.Mtim.Sec, 0), Format: tar.FormatPAX,
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		h.Typeflag, h.Name = tar.TypeDir, name+"/"
	case unix.S_IFREG:
		h.Typeflag, h.Size = tar.TypeReg, st.Size
	case unix.S_IFIFO:
		h.Typeflag = tar.TypeFifo
	case unix.S_IFSOCK:
		return nil, nil
	case unix.S_IFLNK:
		target, err := os.Readlink(path)
		h.Typeflag, h.Linkname = tar.TypeSymlink, target
		return h, err
	default:
		if strings.HasPrefix(name, "dev/") { // debootstrap makes some; every runtime mounts its own /dev over them
			return nil, nil
		}
		return nil, errors.New("device nodes are refused")
	}
	if first := a.firstName(name, st); first != "" {
		h.Typeflag, h.Linkname, h.Size = tar.TypeLink, first, 0
		return h, nil
	}
	return h, addAttrs(h, path)
}

// firstName is the name under which the archive has the file already, "" if it has not.
func (a *archiver) firstName(name string, st *unix.Stat_t) string {
	if st.Nlink < 2 || st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return ""
	}
	id := inode{st.Dev, st.Ino}
	first, known := a.names[id]
	if !known {
		a.names[id] = name
	}
	return first
}

func (a *archiver) content(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	_, err = io.Copy(a.out, &cancelable{a.ctx, f})
	return errors.Join(err, f.Close())
}

// opaque marks a directory that hides those below it.
func (a *archiver) opaque(name, path string) error {
	value, err := attr(path, opaqueAttr)
	if err != nil || string(value) != "y" {
		return err
	}
	return a.mark(filepath.Join(name, opaqueMarker))
}

func (a *archiver) mark(name string) error {
	return a.out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, ModTime: time.Unix(0, 0), Format: tar.FormatPAX})
}

// addAttrs adds the extended attributes that a layer may carry.
func addAttrs(h *tar.Header, path string) error {
	names, err := attrNames(path)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == "trusted.overlay.redirect" || name == "trusted.overlay.metacopy" {
			return fmt.Errorf("it is only a reference to another file (%s)", name)
		}
		if !keptAttr(name) {
			continue
		}
		value, err := attr(path, name)
		if err != nil {
			return err
		}
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords[attrRecord+name] = string(value)
	}
	return nil
}

// maxAttrs is what the kernel allows both for a list of names and for one value (XATTR_LIST_MAX).
const maxAttrs = 64 << 10

func attrNames(path string) ([]string, error) {
	n, err := unix.Llistxattr(path, nil)
	if n == 0 || err != nil {
		return nil, ignoreNoAttrs(err)
	}
	buf := make([]byte, maxAttrs)
	if n, err = unix.Llistxattr(path, buf); err != nil {
		return nil, err
	}
	var names []string
	for name := range bytes.SplitSeq(bytes.TrimRight(buf[:n], "\x00"), []byte{0}) {
		names = append(names, string(name))
	}
	return names, nil
}

// attr is nil for an attribute that is not there.
func attr(path, name string) ([]byte, error) {
	n, err := unix.Lgetxattr(path, name, nil)
	if n == 0 || err != nil {
		return nil, ignoreNoAttrs(err)
	}
	buf := make([]byte, n)
	n, err = unix.Lgetxattr(path, name, buf)
	return buf[:max(n, 0)], err
}

func ignoreNoAttrs(err error) error {
	if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	return err
}
