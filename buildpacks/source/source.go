// Package source reads a source tree by path, for buildpacks. It follows symlinks that stay inside the
// tree, refuses those that leave it, and reads no file beyond a size that its reader names.
package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"paas/platform"
)

// Tree is a source tree that can be asked by path. Safe for concurrent use.
type Tree struct {
	src   platform.Tree
	files []platform.File // by path, bytewise
	part  string          // see Part
	owner platform.Config // see Config
}

// Open lists src once. It may block on the disk.
func Open(src platform.Tree) (*Tree, error) {
	files, err := src.Files()
	if err != nil {
		return nil, fmt.Errorf("list source tree %s: %w", src.ID(), err)
	}
	if !slices.IsSortedFunc(files, byPath) {
		files = slices.Clone(files)
		slices.SortFunc(files, byPath)
	}
	return &Tree{src: src, files: files}, nil
}

func byPath(a, b platform.File) int { return strings.Compare(a.Path, b.Path) }

// Files are all entries, ordered by path, bytewise. The caller must not change them.
func (t *Tree) Files() []platform.File { return t.files }

// Below are the entries under a directory, ordered by path. Symlinks are not followed.
func (t *Tree) Below(dir string) []platform.File {
	prefix := dir + "/"
	from := t.search(prefix)
	to := from
	for to < len(t.files) && strings.HasPrefix(t.files[to].Path, prefix) {
		to++
	}
	return t.files[from:to]
}

// Has tells whether there is a file at the path. A symlink counts unless it leads to nothing or to a
// directory; one that leaves the tree counts too, so that Read can refuse it with a sentence.
func (t *Tree) Has(path string) bool {
	_, _, err := t.resolve(path)
	return err == nil || !errors.Is(err, fs.ErrNotExist)
}

// HasDir tells whether there is something below the directory. Symlinks are not followed.
func (t *Tree) HasDir(dir string) bool { return len(t.Below(dir)) > 0 }

// First is the first of the paths where there is a file.
func (t *Tree) First(paths ...string) (string, bool) {
	for _, p := range paths {
		if t.Has(p) {
			return p, true
		}
	}
	return "", false
}

// Trail is the path and whatever else must be there to read it: the symlinks on the way and the file they
// end at. A path that cannot be followed is its own trail.
func (t *Tree) Trail(path string) []string {
	file, links, err := t.resolve(path)
	if err != nil || len(links) == 0 {
		return []string{path}
	}
	return append(links, file.Path)
}

// Read returns the file at the path, without a byte order mark. It refuses more than limit bytes and text
// in UTF-16. A missing file is fs.ErrNotExist; every other thing the pusher can mend is *platform.Error.
func (t *Tree) Read(path string, limit int64) ([]byte, error) {
	file, _, err := t.resolve(path)
	if err != nil {
		return nil, err
	}
	blob, err := t.blob(file, limit)
	if err != nil {
		return nil, err
	}
	if int64(len(blob)) > limit {
		return nil, platform.Errorf(platform.Failed, "%s is larger than %s, which is too much for such a file", path, size(limit)).
			WithHint("check that the right file was committed")
	}
	return text(path, blob)
}

// Head returns the first bytes of the file at the path, limit at most. A missing file is fs.ErrNotExist.
func (t *Tree) Head(path string, limit int64) ([]byte, error) {
	file, _, err := t.resolve(path)
	if err != nil {
		return nil, err
	}
	blob, err := t.blob(file, limit)
	return blob[:min(int64(len(blob)), limit)], err
}

// blob reads one byte more than the limit at most.
func (t *Tree) blob(file platform.File, limit int64) (blob []byte, err error) {
	r, err := t.src.Open(file.ID)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", file.Path, err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	blob, err = io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file.Path, err)
	}
	return blob, nil
}

func text(path string, blob []byte) ([]byte, error) {
	if bytes.HasPrefix(blob, []byte("\xff\xfe")) || bytes.HasPrefix(blob, []byte("\xfe\xff")) {
		return nil, platform.Errorf(platform.Failed, "%s is UTF-16 text; only UTF-8 can be read", path).
			WithHint("save it as UTF-8 (in PowerShell: Out-File -Encoding utf8) and commit it")
	}
	return bytes.TrimPrefix(blob, []byte("\xef\xbb\xbf")), nil
}

func (t *Tree) search(path string) int {
	i, _ := slices.BinarySearchFunc(t.files, path, func(f platform.File, p string) int {
		return strings.Compare(f.Path, p)
	})
	return i
}

func (t *Tree) find(path string) (platform.File, bool) {
	i := t.search(path)
	if i == len(t.files) || t.files[i].Path != path {
		return platform.File{}, false
	}
	return t.files[i], true
}

func size(n int64) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}
