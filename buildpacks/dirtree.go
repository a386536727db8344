package buildpacks

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // git's object ids
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"paas/platform"
)

// dirTree is a directory seen as a source tree.
type dirTree struct {
	root  string
	id    string
	files []platform.File
	blobs map[string]platform.File // by id: any file with that content
}

// DirTree reads a directory as if all of it, .git aside, were committed. What git does not keep, such as
// empty directories and sockets, is not in the tree. It reads every file once, to hash it.
func DirTree(dir string) (platform.Tree, error) {
	info, err := os.Stat(dir)
	if err != nil || !info.IsDir() {
		return nil, platform.Errorf(platform.Usage, "%s is not a directory", dir)
	}
	t := &dirTree{root: dir, blobs: map[string]platform.File{}}
	err = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.Name() == ".git" && d.IsDir():
			return fs.SkipDir
		case d.Name() == ".git":
			return nil // of a submodule or a worktree
		}
		return t.add(p, d)
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", dir, err)
	}
	slices.SortFunc(t.files, func(a, b platform.File) int { return strings.Compare(a.Path, b.Path) })
	t.id = treeID(t.files, "")
	return t, nil
}

func (t *dirTree) add(p string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	f := platform.File{Mode: platform.Regular}
	switch {
	case info.Mode().Type() == fs.ModeSymlink:
		f.Mode = platform.Symlink
	case !info.Mode().IsRegular():
		return nil
	case info.Mode()&0o100 != 0:
		f.Mode = platform.Executable
	}
	if f.Path, err = filepath.Rel(t.root, p); err != nil {
		return err
	}
	if f.ID, err = t.hash(f); err != nil {
		return err
	}
	t.blobs[f.ID] = f
	t.files = append(t.files, f)
	return nil
}

// hash reads the blob into the hash, whose first part is the length.
func (t *dirTree) hash(f platform.File) (string, error) {
	blob, size, err := t.open(f)
	if err != nil {
		return "", err
	}
	defer func() { _ = blob.Close() }()
	h := object("blob", size)
	_, err = io.Copy(h, blob)
	return hex.EncodeToString(h.Sum(nil)), err
}

// object begins the hash of a git object (git's documentation, "Git Internals - Git Objects").
func object(kind string, size int64) hash.Hash {
	h := sha1.New() //nolint:gosec // git's object ids
	_, _ = fmt.Fprintf(h, "%s %d\x00", kind, size)
	return h
}

func (t *dirTree) open(f platform.File) (io.ReadCloser, int64, error) {
	p := filepath.Join(t.root, f.Path)
	if f.Mode == platform.Symlink {
		target, err := os.Readlink(p)
		return io.NopCloser(strings.NewReader(target)), int64(len(target)), err
	}
	file, err := os.Open(p) //nolint:gosec // the directory's owner asks
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err != nil {
		_ = file.Close()
		return nil, 0, err
	}
	return file, info.Size(), nil
}

// treeID is git's id of the tree that the files make, whose paths all start with prefix. In a tree object
// a directory is sorted as if its name ended in a slash, which is how the paths are sorted already.
func treeID(files []platform.File, prefix string) string {
	var content bytes.Buffer
	for len(files) > 0 {
		name, _, isDir := strings.Cut(files[0].Path[len(prefix):], "/")
		mode, id, n := files[0].Mode, files[0].ID, 1
		if isDir {
			dir := prefix + name + "/"
			for n < len(files) && strings.HasPrefix(files[n].Path, dir) {
				n++
			}
			mode, id = 0o40000, treeID(files[:n], dir)
		}
		raw, _ := hex.DecodeString(id) // it is one of ours
		_, _ = fmt.Fprintf(&content, "%o %s\x00%s", mode, name, raw)
		files = files[n:]
	}
	h := object("tree", int64(content.Len()))
	_, _ = h.Write(content.Bytes())
	return hex.EncodeToString(h.Sum(nil))
}

// ID implements platform.Tree.
func (t *dirTree) ID() string { return t.id }

// Files implements platform.Tree.
func (t *dirTree) Files() ([]platform.File, error) { return t.files, nil }

// Open implements platform.Tree.
func (t *dirTree) Open(id string) (io.ReadCloser, error) {
	f, ok := t.blobs[id]
	if !ok {
		return nil, fmt.Errorf("blob %s: %w", id, fs.ErrNotExist)
	}
	blob, _, err := t.open(f)
	return blob, err
}
