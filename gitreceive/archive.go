package gitreceive

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"strings"

	"paas/gitreceive/pack"
	"paas/platform"
)

// What an archive may hold. Everybody can write one that unpacks to petabytes.
const (
	maxArchiveFiles = 500_000
	maxArchiveBytes = 4 << 30 // of all files, unpacked; of a zip, packed too
	maxZipDirectory = 32 << 20
)

// sniffed is the type of an archive by its first bytes: RFC 1952 for gzip, PKWARE's APPNOTE 4.3 for zip.
func sniffed(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return "tar.gz"
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("PK\x05\x06")):
		return "zip"
	}
	return "tar"
}

// unarchive adds every file of an archive to the sheaf. A zip is written down first: its list comes last.
func unarchive(ctx context.Context, s platform.Submission, to *sheaf, spool *os.File) error {
	in := bufio.NewReaderSize(&fenced{ctx, s.Archive}, 1<<16)
	head, err := in.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read archive: %w", err)
	}
	if len(head) == 0 {
		return refusedArchive("it is empty")
	}
	kind := sniffed(head)
	if s.Type != "" && kind != strings.Replace(s.Type, "tgz", "tar.gz", 1) {
		return refusedArchive("it is not a %s, but looks like a %s", s.Type, kind)
	}
	switch kind {
	case "zip":
		return unzip(in, to, spool)
	case "tar.gz":
		plain, err := gzip.NewReader(in)
		if err != nil {
			return refusedArchive("%v", err)
		}
		return untar(plain, to)
	}
	return untar(in, to)
}

func refusedArchive(format string, args ...any) error {
	return platform.Errorf(platform.Failed, "the archive cannot be used: "+format, args...)
}

// fenced is a reader that ends with its context.
type fenced struct {
	ctx context.Context
	in  io.Reader
}

// Read implements io.Reader.
func (f *fenced) Read(p []byte) (int, error) {
	if err := f.ctx.Err(); err != nil {
		return 0, err
	}
	return f.in.Read(p)
}

func untar(in io.Reader, to *sheaf) error {
	for t := tar.NewReader(in); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return brokenArchive(err)
		}
		if err := to.tarEntry(h, t); err != nil {
			return err
		}
	}
}

// brokenArchive keeps our own errors, and blames the archive for the others.
func brokenArchive(err error) error {
	if errors.Is(err, context.Canceled) || platform.KindOf(err) != platform.Internal {
		return err
	}
	return platform.Errorf(platform.Failed, "the archive cannot be used: %v", err).Because(err)
}

func (s *sheaf) tarEntry(h *tar.Header, content io.Reader) error {
	switch h.Typeflag {
	case tar.TypeReg:
		return s.file(h.Name, h.FileInfo().Mode(), content, h.Size)
	case tar.TypeSymlink:
		return s.symlink(h.Name, h.Linkname)
	case tar.TypeLink:
		return s.link(h.Name, h.Linkname)
	case tar.TypeDir, tar.TypeXGlobalHeader: // git knows no empty folders; what git archive says of its commit
		return nil
	}
	return refusedArchive("%q is neither a file nor a symlink", h.Name)
}

func unzip(in io.Reader, to *sheaf, spool *os.File) error {
	size, err := io.Copy(spool, io.LimitReader(in, maxArchiveBytes+1))
	if err != nil {
		return fmt.Errorf("read archive: %w", err)
	}
	if size > maxArchiveBytes {
		return tooBig()
	}
	if err := shortDirectory(spool, size); err != nil {
		return err
	}
	z, err := zip.NewReader(spool, size)
	if err != nil {
		return brokenArchive(err)
	}
	for _, f := range z.File {
		if err := to.zipEntry(f); err != nil {
			return brokenArchive(err)
		}
	}
	return nil
}

// shortDirectory refuses a zip whose list of files would fill the memory: archive/zip reads all that looks like one
// between where the end record (APPNOTE 4.3.16) says that it begins and the end.
func shortDirectory(zip io.ReaderAt, size int64) error {
	tail := make([]byte, min(size, 64<<10+22))
	if _, err := zip.ReadAt(tail, size-int64(len(tail))); err != nil {
		return fmt.Errorf("read archive: %w", err)
	}
	i := bytes.LastIndex(tail, []byte("PK\x05\x06"))
	if i < 0 || len(tail)-i < 22 {
		return refusedArchive("its list of files is missing")
	}
	end, at := tail[i:], size-int64(len(tail)-i)
	length, start := binary.LittleEndian.Uint32(end[12:]), binary.LittleEndian.Uint32(end[16:])
	if binary.LittleEndian.Uint16(end[10:]) == math.MaxUint16 || length == math.MaxUint32 || start == math.MaxUint32 {
		return refusedArchive("a zip of more than 65,534 files is not read; send a tar.gz")
	}
	if size-int64(start) > maxZipDirectory || size-(at-int64(length)) > maxZipDirectory {
		return refusedArchive("its list of files is longer than %s", platform.Bytes(maxZipDirectory))
	}
	return nil
}

func (s *sheaf) zipEntry(f *zip.File) error {
	mode := f.Mode()
	if mode.IsDir() || strings.HasPrefix(f.Name, "__MACOSX/") {
		return nil
	}
	if !mode.IsRegular() && mode.Type() != fs.ModeSymlink {
		return refusedArchive("%q is neither a file nor a symlink", f.Name)
	}
	if f.UncompressedSize64 > maxArchiveBytes {
		return tooBig()
	}
	content, err := f.Open()
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	if mode.Type() == fs.ModeSymlink {
		target, err := io.ReadAll(io.LimitReader(content, maxPath+1))
		return errors.Join(err, s.symlink(f.Name, string(target)))
	}
	return s.file(f.Name, mode, content, int64(f.UncompressedSize64)) //nolint:gosec // bounded above
}

func tooBig() error {
	return refusedArchive("it holds more than %s", platform.Bytes(maxArchiveBytes))
}

// sheaf is a tree in the making. Paths are taken apart by our own rules and only ever become names in git trees:
// no archive's path is a path of this host.
type sheaf struct {
	pack  *pack.Composer
	root  folderNode
	files int // and folders
	bytes int64
}

// folderNode is a folder's entries by name. A file's has no entries.
type folderNode map[string]*node

type node struct {
	mode    pack.Mode
	id      pack.ID
	entries folderNode // of a folder
}

func (s *sheaf) file(name string, mode fs.FileMode, content io.Reader, size int64) error {
	if s.bytes += size; s.bytes > maxArchiveBytes || size < 0 {
		return tooBig()
	}
	id, err := s.pack.Blob(content, size)
	if err != nil {
		return brokenArchive(err)
	}
	git := pack.Regular
	if mode&0o111 != 0 {
		git = pack.Executable
	}
	return s.put(name, &node{mode: git, id: id})
}

// symlink keeps the target as it is: a symlink in a git tree is text, and whoever follows it stays in the tree.
func (s *sheaf) symlink(name, target string) error {
	if target == "" || len(target) > maxPath || strings.Contains(target, "\x00") {
		return refusedArchive("the symlink %q leads to no path", name)
	}
	id, err := s.pack.Blob(strings.NewReader(target), int64(len(target)))
	if err != nil {
		return err
	}
	return s.put(name, &node{mode: pack.Symlink, id: id})
}

// link is another name for a file that came before.
func (s *sheaf) link(name, target string) error {
	parts, err := parts(target)
	if err != nil {
		return err
	}
	at := &node{entries: s.root}
	for _, part := range parts {
		if at = at.entries[part]; at == nil {
			break
		}
	}
	if at == nil || at.entries != nil {
		return refusedArchive("%q is a link to %q, which is no file of it", name, target)
	}
	return s.put(name, &node{mode: at.mode, id: at.id})
}

// put places a file; a later one of the same name wins, as in any archive.
func (s *sheaf) put(name string, n *node) error {
	parts, err := parts(name)
	if err == nil {
		err = s.count()
	}
	if err != nil {
		return err
	}
	at := s.root
	for _, part := range parts[:len(parts)-1] {
		below := at[part]
		if below == nil {
			if err := s.count(); err != nil {
				return err
			}
			below = &node{mode: pack.Folder, entries: folderNode{}}
			at[part] = below
		}
		if below.entries == nil {
			return refusedArchive("%q lies below a file", name)
		}
		at = below.entries
	}
	last := parts[len(parts)-1]
	if there := at[last]; there != nil && there.entries != nil {
		return refusedArchive("%q is both a file and a folder", name)
	}
	at[last] = n
	return nil
}

func (s *sheaf) count() error {
	if s.files++; s.files > maxArchiveFiles {
		return refusedArchive("it has more than %d files and folders", maxArchiveFiles)
	}
	return nil
}

// parts takes a path apart. One that leads anywhere but down is refused, not mended.
func parts(name string) ([]string, error) {
	clean := path.Clean(name)
	bad := name == "" || len(name) > maxPath || strings.HasPrefix(name, "/") || clean == "." || clean == ".." ||
		strings.HasPrefix(clean, "../") || strings.ContainsAny(name, "\x00")
	if bad {
		return nil, refusedArchive("the path %q leads out of it", name)
	}
	parts := strings.Split(clean, "/")
	for _, part := range strings.Split(name, "/") {
		if part == ".." {
			return nil, refusedArchive("the path %q leads out of it", name)
		}
	}
	return parts, nil
}

// top is the tree's root: the one folder that is all there is in an archive of a repository as forges make it, or
// all of it.
func (s *sheaf) top() folderNode {
	if len(s.root) == 1 {
		for _, only := range s.root {
			if only.entries != nil {
				return only.entries
			}
		}
	}
	return s.root
}

// write adds a folder and all below it to the pack.
func (s *sheaf) write(f folderNode) (pack.ID, error) {
	entries := make([]pack.TreeEntry, 0, len(f))
	for name, n := range f {
		if n.entries != nil {
			var err error
			if n.id, err = s.write(n.entries); err != nil {
				return n.id, err
			}
		}
		entries = append(entries, pack.TreeEntry{Name: name, Mode: n.mode, ID: n.id})
	}
	return s.pack.Tree(entries)
}
