package buildpacks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"paas/buildpacks/plan"
	"paas/platform"
)

// maxName and maxPath are Linux's limits (NAME_MAX, PATH_MAX less the root's own part).
const (
	maxName = 255
	maxPath = 3500
)

// checkPath refuses what git itself would not check out. Trees are written by strangers.
func checkPath(p string) error {
	bad := platform.Errorf(platform.Failed, "the source has a path that cannot be written: %q", p)
	if p == "" || len(p) > maxPath || strings.ContainsRune(p, 0) {
		return bad
	}
	for part := range strings.SplitSeq(p, "/") {
		if part == "" || part == "." || part == ".." || len(part) > maxName || strings.EqualFold(part, ".git") {
			return bad
		}
	}
	return nil
}

// writer writes source files below a root that is opened once; os.Root never leaves it, whatever
// symlinks the tree has brought before.
type writer struct {
	root *os.Root
	src  platform.Tree
	made map[string]bool // directories
	buf  []byte
}

// writeFiles writes the files to upper/app, owned by the app's user. It follows no symlink.
func writeFiles(ctx context.Context, upper string, src platform.Tree, files []platform.File) error {
	app := filepath.Join(upper, appDir)
	if err := os.MkdirAll(app, 0o755); err != nil {
		return fmt.Errorf("write the source: %w", err)
	}
	if err := os.Chown(app, appUser, appUser); err != nil {
		return fmt.Errorf("write the source: %w", err)
	}
	root, err := os.OpenRoot(app)
	if err != nil {
		return fmt.Errorf("write the source: %w", err)
	}
	defer func() { _ = root.Close() }()
	w := &writer{root: root, src: src, made: map[string]bool{".": true}, buf: make([]byte, 64<<10)}
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.write(f); err != nil {
			return fmt.Errorf("write %q of the source: %w", f.Path, err)
		}
	}
	return nil
}

func (w *writer) write(f platform.File) error {
	if err := checkPath(f.Path); err != nil {
		return err
	}
	if err := w.mkdir(path.Dir(f.Path)); err != nil {
		return err
	}
	blob, err := w.src.Open(f.ID)
	if err != nil {
		return err
	}
	defer func() { _ = blob.Close() }()
	switch f.Mode {
	case platform.Symlink:
		return w.symlink(f.Path, blob)
	case platform.Regular, platform.Executable:
		return w.file(f.Path, f.Mode&0o777, blob)
	default:
		return platform.Errorf(platform.Failed, "%q is a submodule, which cannot be fetched", f.Path)
	}
}

func (w *writer) mkdir(dir string) error {
	if w.made[dir] {
		return nil
	}
	if err := w.mkdir(path.Dir(dir)); err != nil {
		return err
	}
	if err := w.root.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := w.root.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return platform.Errorf(platform.Failed, "the source has a file below %q, which is no directory", dir)
	}
	w.made[dir] = true
	return w.root.Lchown(dir, appUser, appUser)
}

func (w *writer) symlink(name string, target io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(target, maxPath))
	if err != nil {
		return err
	}
	if err := w.root.Symlink(string(text), name); err != nil {
		return err
	}
	return w.root.Lchown(name, appUser, appUser)
}

func (w *writer) file(name string, mode platform.FileMode, blob io.Reader) error {
	f, err := w.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(f, blob, w.buf)
	return errors.Join(err, f.Chown(appUser, appUser), f.Chmod(os.FileMode(mode)), f.Close())
}

// whiteout hides a path of lower layers: a character device 0:0 (overlayfs's documented form).
func whiteout(upper, name string) error {
	if err := checkPath(name); err != nil {
		return err
	}
	root, err := os.OpenRoot(filepath.Join(upper, appDir))
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	w := &writer{root: root, made: map[string]bool{".": true}}
	if err := w.mkdir(path.Dir(name)); err != nil {
		return err
	}
	dir, err := root.Open(path.Dir(name))
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	return unix.Mknodat(int(dir.Fd()), path.Base(name), unix.S_IFCHR, 0)
}

// prune drops what a step wrote and the image does not need.
func prune(app string, s plan.Step) error {
	if len(s.Output) == 0 {
		return nil
	}
	root, err := os.OpenRoot(app)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	var drop, dirs []string
	err = fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || p == ".":
			return err
		case d.IsDir():
			dirs = append(dirs, p)
		case !s.Keeps(p):
			drop = append(drop, p)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, p := range drop {
		if err := root.Remove(p); err != nil {
			return err
		}
	}
	for i := len(dirs) - 1; i >= 0; i-- { // deepest first; those that hold something stay
		if err := root.Remove(dirs[i]); err != nil && !errors.Is(err, unix.ENOTEMPTY) {
			return err
		}
	}
	return nil
}
