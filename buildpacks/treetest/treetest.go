// Package treetest makes source trees for tests, with the object ids git would give them.
package treetest

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"paas/buildpacks/plan"
	"paas/buildpacks/source"
	"paas/platform"
)

// Tree is a source tree in memory.
type Tree struct {
	files []platform.File
	blobs map[string][]byte
}

// Files is a tree of regular files: path to content. A content that starts with "-> " makes a symlink.
func Files(files map[string]string) *Tree {
	t := &Tree{blobs: map[string][]byte{}}
	for path, content := range files {
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			t.Add(path, platform.Symlink, []byte(target))
			continue
		}
		t.Add(path, platform.Regular, []byte(content))
	}
	return t
}

// Opened is the tree of the files as buildpacks read it.
func Opened(tb testing.TB, files map[string]string) *source.Tree {
	tb.Helper()
	src, err := source.Open(Files(files))
	if err != nil {
		tb.Fatal(err)
	}
	return src
}

// Planned is what a buildpack plans for the files.
func Planned(tb testing.TB, buildpack func(*source.Tree) (plan.Plan, error), files map[string]string) plan.Plan {
	tb.Helper()
	p, err := buildpack(Opened(tb, files))
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// Dir is the tree of a directory as git would see it. What is in no commit is left out: .git and node_modules.
func Dir(tb testing.TB, dir string) *Tree {
	tb.Helper()
	t := &Tree{blobs: map[string][]byte{}}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() == ".git" || d.Name() == "node_modules" {
			return skip(d, err)
		}
		if d.IsDir() {
			return nil
		}
		return t.load(dir, path, d)
	})
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

func skip(d fs.DirEntry, err error) error {
	if err == nil && d.IsDir() {
		return fs.SkipDir
	}
	return err
}

func (t *Tree) load(dir, path string, d fs.DirEntry) error {
	rel, err := filepath.Rel(dir, path)
	if err != nil {
		return err
	}
	if d.Type() == fs.ModeSymlink {
		target, err := os.Readlink(path)
		t.Add(rel, platform.Symlink, []byte(target))
		return err
	}
	info, err := d.Info()
	if err != nil {
		return err
	}
	content, err := os.ReadFile(path)
	t.Add(rel, mode(info), content)
	return err
}

func mode(info fs.FileInfo) platform.FileMode {
	if info.Mode()&0o100 != 0 {
		return platform.Executable
	}
	return platform.Regular
}

// Add puts an entry into the tree.
func (t *Tree) Add(path string, mode platform.FileMode, content []byte) {
	t.AddLast(path, mode, content)
	slices.SortFunc(t.files, func(a, b platform.File) int { return strings.Compare(a.Path, b.Path) })
}

// AddLast puts an entry into the tree whose path comes after all others.
func (t *Tree) AddLast(path string, mode platform.FileMode, content []byte) {
	sum := sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(content)), content...))
	id := hex.EncodeToString(sum[:])
	t.blobs[id] = content
	t.files = append(t.files, platform.File{Path: path, Mode: mode, ID: id})
}

// ID is the same for all trees made here.
func (t *Tree) ID() string { return strings.Repeat("0", 40) }

// Files lists the entries by path.
func (t *Tree) Files() ([]platform.File, error) { return t.files, nil }

// Open reads a blob.
func (t *Tree) Open(id string) (io.ReadCloser, error) {
	blob, ok := t.blobs[id]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(blob)), nil
}

// Write puts the tree into a directory, as a checkout would.
func (t *Tree) Write(tb testing.TB, dir string, wanted func(path string) bool) {
	tb.Helper()
	for _, f := range t.files {
		if !wanted(f.Path) {
			continue
		}
		if err := t.write(filepath.Join(dir, f.Path), f); err != nil {
			tb.Fatal(err)
		}
	}
}

func (t *Tree) write(path string, f platform.File) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	if f.Mode == platform.Symlink {
		return os.Symlink(string(t.blobs[f.ID]), path)
	}
	return os.WriteFile(path, t.blobs[f.ID], fs.FileMode(f.Mode&0o777))
}
