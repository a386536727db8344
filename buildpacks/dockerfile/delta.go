package dockerfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"paas/platform"
)

// maxContextDepth is how many deltas lie on top of each other before all files are written again.
const maxContextDepth = 8

// writtenContext is what an app's last context became.
type writtenContext struct {
	Ref   string // BuildKit's record
	Depth int
	Files []platform.File
}

func (b *builder) contextFile(app int64) string {
	return filepath.Join(b.Dir, "contexts", strconv.FormatInt(app, 10)+".json")
}

// lastContext is the zero value when there is none, or none that can be read.
func (b *builder) lastContext(app int64) (last writtenContext) {
	text, err := os.ReadFile(b.contextFile(app))
	if err != nil || json.Unmarshal(text, &last) != nil {
		return writtenContext{}
	}
	return last
}

func (b *builder) rememberContext(app int64, now writtenContext) error {
	text, err := json.Marshal(now)
	if err != nil {
		return err
	}
	name := b.contextFile(app)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(name+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// contextDelta is what makes one set of files of another.
type contextDelta struct {
	write []platform.File
	gone  []string // paths that are no more; of a directory that is gone, only itself
	white []string // those of them that nothing takes the place of
}

func deltaOf(before, now []platform.File) (d contextDelta) {
	old, files, dirs := map[string]platform.File{}, map[string]bool{}, map[string]bool{}
	for _, f := range before {
		old[f.Path] = f
	}
	for _, f := range now {
		files[f.Path] = true
		for dir := path.Dir(f.Path); dir != "." && !dirs[dir]; dir = path.Dir(dir) {
			dirs[dir] = true
		}
		if old[f.Path] != f {
			d.write = append(d.write, f)
		}
	}
	gone := map[string]bool{}
	for _, f := range before {
		if files[f.Path] {
			continue
		}
		top := f.Path
		for dir := path.Dir(top); dir != "." && !dirs[dir]; dir = path.Dir(dir) {
			top = dir
		}
		gone[top] = true
	}
	d.gone = slices.Sorted(maps.Keys(gone))
	for _, p := range d.gone {
		if !files[p] && !dirs[p] {
			d.white = append(d.white, p)
		}
	}
	return d
}

// whiteOut hides paths of the layers below: each becomes a character device 0:0 (the kernel's overlayfs
// documentation, "whiteouts and opaque directories"). Nobody but us has written to upper.
func whiteOut(upper string, paths []string) error {
	root, err := os.OpenRoot(upper)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	for _, p := range paths {
		if err := makeWhiteout(root, p); err != nil {
			return fmt.Errorf("hide %q: %w", p, err)
		}
	}
	return nil
}

func makeWhiteout(root *os.Root, p string) error {
	at := "."
	for _, part := range splitDirs(p) {
		at = path.Join(at, part)
		if err := root.Mkdir(at, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	dir, err := root.Open(path.Dir(p))
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	return unix.Mknodat(int(dir.Fd()), path.Base(p), unix.S_IFCHR, 0)
}

func splitDirs(p string) (parts []string) {
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		parts = append(parts, path.Base(dir))
	}
	slices.Reverse(parts)
	return parts
}
