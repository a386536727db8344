package transfer

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"os"
	"path"
	"time"

	"golang.org/x/sys/unix"
	"paas/platform"
)

// packer writes a tar stream (pax) of files that may change while it reads them.
type packer struct {
	ctx   context.Context
	ids   IDs
	out   *tar.Writer
	names map[inode]string // of files with several names: the first one
}

type inode struct{ dev, ino uint64 }

// Pack writes the file or directory at name in root, everything below it included, to w. A symlink at
// name is followed, others are entries. The archive's names begin with the last part of name. Device
// nodes, sockets and what is on the kernel's own file systems are left out. A file that shrinks
// meanwhile is filled up with zeros, one that grows is cut.
func Pack(ctx context.Context, root *os.File, name string, ids IDs, w io.Writer) error {
	top, err := lookUp(root, name, unix.O_PATH)
	if err != nil {
		return err
	}
	defer func() { _ = top.Close() }()
	if err := refuseSystem(top); err != nil {
		return err
	}
	base := path.Base(path.Clean("/" + name))
	if base == "/" {
		base = "."
	}
	p := &packer{ctx: ctx, ids: ids, out: tar.NewWriter(w), names: map[inode]string{}}
	if err := p.pack(top, base, 0); err != nil {
		return err
	}
	return p.out.Close()
}

// pack writes the entry that an O_PATH descriptor stands for.
func (p *packer) pack(f *os.File, name string, depth int) error {
	if err := p.ctx.Err(); err != nil {
		return err
	}
	st, err := stat(f)
	if err != nil {
		return err
	}
	h := &tar.Header{
		Name: name, Mode: int64(st.Mode & 0o7777), Uid: p.ids.inside(st.Uid), Gid: p.ids.inside(st.Gid),
		ModTime: time.Unix(st.Mtim.Unix()), Format: tar.FormatPAX,
	}
	switch kind(&st) {
	case unix.S_IFDIR:
		return p.directory(f, h, depth)
	case unix.S_IFREG:
		return p.regular(f, h, &st)
	case unix.S_IFLNK:
		h.Typeflag = tar.TypeSymlink
		if h.Linkname, err = readLink(f); err != nil {
			return err
		}
		return p.out.WriteHeader(h)
	case unix.S_IFIFO:
		h.Typeflag = tar.TypeFifo
		return p.out.WriteHeader(h)
	}
	return nil
}

func (p *packer) regular(f *os.File, h *tar.Header, st *unix.Stat_t) error {
	h.Typeflag, h.Size = tar.TypeReg, st.Size
	id := inode{st.Dev, st.Ino}
	if first, known := p.names[id]; known && st.Nlink > 1 {
		h.Typeflag, h.Size, h.Linkname = tar.TypeLink, 0, first
		return p.out.WriteHeader(h)
	}
	p.names[id] = h.Name
	content, err := reopen(f)
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	if err := p.out.WriteHeader(h); err != nil {
		return err
	}
	n, err := io.Copy(p.out, io.LimitReader(reader{p.ctx, content}, h.Size))
	if err == nil && n < h.Size {
		_, err = io.CopyN(p.out, zeros{}, h.Size-n)
	}
	return err
}

// directory goes through names that exist when they are read; one that is gone by its turn is left out.
func (p *packer) directory(f *os.File, h *tar.Header, depth int) error {
	h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
	if err := p.out.WriteHeader(h); err != nil {
		return err
	}
	if system, err := isSystem(f); system || err != nil {
		return err
	}
	if depth == maxDepth {
		return platform.Errorf(platform.Failed, "%s is nested more than %d deep", f.Name(), maxDepth)
	}
	list, err := reopen(f)
	if err != nil {
		return err
	}
	defer func() { _ = list.Close() }()
	return eachName(list, func(name string) error {
		child, err := below(list, name, unix.O_PATH)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		defer func() { _ = child.Close() }()
		return p.pack(child, path.Join(h.Name, name), depth+1)
	})
}

// eachName reads a directory in portions: a hostile one is as large as it likes.
func eachName(dir *os.File, do func(name string) error) error {
	for {
		names, err := dir.Readdirnames(256)
		for _, name := range names {
			if err := do(name); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// readLink is the target of the symlink that an O_PATH descriptor stands for.
func readLink(f *os.File) (string, error) {
	b := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(f.Fd()), "", b)
	if err != nil {
		return "", &os.PathError{Op: "readlink", Path: f.Name(), Err: err}
	}
	return string(b[:n]), nil
}

// reader ends with its context.
type reader struct {
	ctx context.Context
	io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
