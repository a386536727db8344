package buildpacks

import (
	"crypto/sha1" //nolint:gosec // git's object ids
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"paas/platform"
)

// dirTree is a directory seen as a source tree.
type dirTree struct {
	root  string
	files []platform.File
	paths map[string]string // blob id -> path
}

// DirTree reads a directory as if all of it, .git aside, were committed.
func DirTree(dir string) (platform.Tree, error) {
	t := &dirTree{root: dir, paths: map[string]string{}}
	info, err := os.Stat(dir)
	if err != nil || !info.IsDir() {
		return nil, platform.Errorf(platform.Usage, "%s is not a directory", dir)
	}
	err = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == ".git" {
			return fs.SkipDir
		}
		return t.add(p, d)
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", dir, err)
	}
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
		return nil // git keeps neither directories nor devices
	case info.Mode()&0o100 != 0:
		f.Mode = platform.Executable
	}
	if f.Path, err = filepath.Rel(t.root, p); err != nil {
		return err
	}
	blob, err := open(p, f.Mode)
	if err != nil {
		return err
	}
	defer func() { _ = blob.Close() }()
	size := info.Size()
	h := sha1.New() //nolint:gosec // git's object ids
	_, _ = fmt.Fprintf(h, "blob %d\x00", size)
	if _, err := io.Copy(h, blob); err != nil {
		return err
	}
	f.ID = hex.EncodeToString(h.Sum(nil))
	t.paths[f.ID] = p
	t.files = append(t.files, f)
	return nil
}

func open(p string, mode platform.FileMode) (io.ReadCloser, error) {
	if mode != platform.Symlink {
		return os.Open(filepath.Clean(p))
	}
	target, err := os.Readlink(p)
	return io.NopCloser(strings.NewReader(target)), err
}

// ID implements platform.Tree; a directory has no tree object.
func (t *dirTree) ID() string { return "" }

// Files implements platform.Tree.
func (t *dirTree) Files() ([]platform.File, error) { return t.files, nil }

// Open implements platform.Tree.
func (t *dirTree) Open(id string) (io.ReadCloser, error) {
	p, ok := t.paths[id]
	if !ok {
		return nil, fmt.Errorf("blob %s: %w", id, fs.ErrNotExist)
	}
	for _, f := range t.files {
		if f.ID == id {
			return open(p, f.Mode)
		}
	}
	return nil, fmt.Errorf("blob %s: %w", id, fs.ErrNotExist)
}
