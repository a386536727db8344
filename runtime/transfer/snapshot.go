package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
	"paas/platform"
)

// snapshot copies an overlay's upper directory, deletion marks and all.
type snapshot struct {
	ctx   context.Context
	skip  func(path string) bool
	top   *os.File // of the copy
	names map[inode]string
	sum   hash.Hash
}

// Snapshot copies the upper directory of an overlay into an empty one and returns a SHA-256, in hex, of
// what it copied: names, kinds, modes, owners, attributes, contents, but no times. Nobody may write to
// upper meanwhile. Sockets, device nodes and what skip names are left out.
func Snapshot(ctx context.Context, upper, to *os.File, skip func(path string) bool) (string, error) {
	s := &snapshot{ctx: ctx, skip: skip, top: to, names: map[inode]string{}, sum: sha256.New()}
	if err := s.content(upper, to, "", 0); err != nil {
		return "", err
	}
	if err := s.finishDirectory(upper, to); err != nil {
		return "", err
	}
	return hex.EncodeToString(s.sum.Sum(nil)), nil
}

// content copies what is in a directory, in order of name, so that equal trees give equal sums.
func (s *snapshot) content(from, to *os.File, name string, depth int) error {
	if depth > maxDepth {
		return platform.Errorf(platform.Failed, "/%s is nested more than %d deep", name, maxDepth)
	}
	list, err := below(from, ".", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer func() { _ = list.Close() }()
	names, err := list.Readdirnames(-1)
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, base := range names {
		at := path.Join(name, base)
		if s.skip("/" + at) {
			continue
		}
		if err := s.entry(list, to, base, at, depth); err != nil {
			return fmt.Errorf("copy /%s: %w", at, err)
		}
	}
	return nil
}

func (s *snapshot) entry(from, to *os.File, base, name string, depth int) error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	f, err := below(from, base, unix.O_PATH)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	st, err := stat(f)
	if err != nil {
		return err
	}
	dir := int(to.Fd())
	switch {
	case kind(&st) == unix.S_IFDIR:
		s.note("directory", name, &st)
		return s.directory(f, to, base, name, depth)
	case kind(&st) == unix.S_IFREG:
		return s.regular(f, to, base, name, &st)
	case kind(&st) == unix.S_IFLNK:
		target, err := readLink(f)
		if err != nil {
			return err
		}
		s.note("link "+target, name, &st)
		return errors.Join(unix.Symlinkat(target, dir, base), s.metadata(to, base, &st))
	case isWhiteout(&st):
		s.note("whiteout", name, &unix.Stat_t{})
		return unix.Mknodat(dir, base, unix.S_IFCHR, 0)
	case kind(&st) == unix.S_IFIFO:
		s.note("fifo", name, &st)
		return errors.Join(unix.Mknodat(dir, base, unix.S_IFIFO|st.Mode&0o7777, 0), s.metadata(to, base, &st))
	}
	return nil
}

func (s *snapshot) note(kind, name string, st *unix.Stat_t) {
	_, _ = fmt.Fprintf(s.sum, "%q %q %o %d %d\n", kind, name, st.Mode, st.Uid, st.Gid) // a hash never fails
}

func (s *snapshot) directory(f, to *os.File, base, name string, depth int) error {
	if err := unix.Mkdirat(int(to.Fd()), base, 0o700); err != nil {
		return err
	}
	made, err := below(to, base, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer func() { _ = made.Close() }()
	if err := s.content(f, made, name, depth+1); err != nil {
		return err
	}
	return s.finishDirectory(f, made)
}

func (s *snapshot) finishDirectory(from, to *os.File) error {
	st, err := stat(from)
	if err != nil {
		return err
	}
	return errors.Join(s.attributes(from, to, &st), setTimes(to, &st))
}

func (s *snapshot) regular(f, to *os.File, base, name string, st *unix.Stat_t) error {
	id := inode{st.Dev, st.Ino}
	if first, known := s.names[id]; known && st.Nlink > 1 {
		s.note("again "+first, name, st)
		return s.hardLink(first, to, base)
	}
	s.names[id] = name
	s.note("file", name, st)
	in, err := reopen(f)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	fd, err := unix.Openat(int(to.Fd()), base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	out := os.NewFile(uintptr(fd), base)
	err = s.copy(in, out)
	if err == nil {
		err = errors.Join(s.attributes(f, out, st), setTimes(out, st))
	}
	return errors.Join(err, out.Close())
}

func (s *snapshot) hardLink(first string, to *os.File, base string) error {
	target, err := below(s.top, first, unix.O_PATH)
	if err != nil {
		return err
	}
	defer func() { _ = target.Close() }()
	return unix.Linkat(int(target.Fd()), "", int(to.Fd()), base, unix.AT_EMPTY_PATH)
}

// copy leaves holes where there is nothing but zeros.
func (s *snapshot) copy(in, out *os.File) error {
	block, empty := make([]byte, 64<<10), make([]byte, 64<<10)
	var size int64
	for {
		n, err := io.ReadFull(reader{s.ctx, in}, block)
		if n > 0 {
			_, _ = s.sum.Write(block[:n])
			if !bytes.Equal(block[:n], empty[:n]) {
				if _, err := out.WriteAt(block[:n], size); err != nil {
					return err
				}
			}
			size += int64(n)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return out.Truncate(size)
		}
		if err != nil {
			return err
		}
	}
}

// metadata is for what cannot be opened: symlinks and FIFOs.
func (s *snapshot) metadata(to *os.File, base string, st *unix.Stat_t) error {
	dir := int(to.Fd())
	return errors.Join(
		unix.Fchownat(dir, base, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW),
		unix.UtimesNanoAt(dir, base, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW))
}

// attributes sets owner, mode and extended attributes, in this order: chown clears setuid bits and file
// capabilities.
func (s *snapshot) attributes(from, to *os.File, st *unix.Stat_t) error {
	fd := int(to.Fd())
	if err := errors.Join(unix.Fchown(fd, int(st.Uid), int(st.Gid)), unix.Fchmod(fd, st.Mode&0o7777)); err != nil {
		return err
	}
	source, err := reopen(from)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	names, err := attributeNames(source)
	if err != nil {
		return err
	}
	for _, name := range names {
		value := make([]byte, 64<<10) // XATTR_SIZE_MAX
		n, err := unix.Fgetxattr(int(source.Fd()), name, value)
		if err != nil {
			return fmt.Errorf("read attribute %s: %w", name, err)
		}
		_, _ = fmt.Fprintf(s.sum, "%q %q\n", name, value[:n])
		if err := unix.Fsetxattr(fd, name, value[:n], 0); err != nil {
			return fmt.Errorf("set attribute %s: %w", name, err)
		}
	}
	return nil
}

// attributeNames are those that belong into a layer: overlayfs's own notes about where a file came from do
// not, and references to other layers are refused.
func attributeNames(f *os.File) (kept []string, err error) {
	b := make([]byte, 64<<10) // XATTR_LIST_MAX
	n, err := unix.Flistxattr(int(f.Fd()), b)
	if err != nil && err != unix.EOPNOTSUPP {
		return nil, err
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(b[:max(n, 0)]), "\x00"), "\x00") {
		switch {
		case name == "trusted.overlay.metacopy" || name == "trusted.overlay.redirect":
			return nil, platform.Errorf(platform.Failed, "%s is only a reference to another file (%s)", f.Name(), name)
		case name == opaqueAttr, name == "security.capability", strings.HasPrefix(name, "user."):
			kept = append(kept, name)
		}
	}
	slices.Sort(kept)
	return kept, nil
}

func setTimes(f *os.File, st *unix.Stat_t) error {
	return unix.UtimesNanoAt(int(f.Fd()), "", []unix.Timespec{st.Atim, st.Mtim}, unix.AT_EMPTY_PATH)
}
