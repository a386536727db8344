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

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"paas/platform"
)

// maxName and maxPath are Linux's limits (NAME_MAX, PATH_MAX less the root's own part).
const (
	maxName = 255
	maxPath = 3500
)

// checkPath refuses what git itself would not check out. Trees are written by strangers.
func checkPath(p string) error {
	bad := platform.Errorf(platform.Failed, "the source has a path that cannot be written: %.200q", p).
		WithHint("rename it: git mv")
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

// writeFiles writes the files to upper/app, owned by the app's user. No symlink is followed: directories
// are made first, of nothing but directories, and everything else is made anew inside them.
func writeFiles(ctx context.Context, upper string, src platform.Tree, files []platform.File) error {
	root, err := openApp(upper)
	if err != nil {
		return fmt.Errorf("write the source: %w", err)
	}
	defer func() { _ = root.Close() }()
	return writeTree(ctx, place{root, appUser}, src, files)
}

// place is where files are written, and whose they are.
type place struct {
	root  *os.Root
	owner int
}

func writeTree(ctx context.Context, to place, src platform.Tree, files []platform.File) error {
	if err := to.makeDirs(files); err != nil {
		return err
	}
	const share = 256 // files: few enough to keep both processors busy to the end
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for start := 0; start < len(files); start += share {
		part := files[start:min(start+share, len(files))]
		g.Go(func() error { return writePart(ctx, to, src, part) })
	}
	return g.Wait()
}

// openApp makes upper/app unless it is there. upper itself is ours.
func openApp(upper string) (*os.Root, error) {
	app := filepath.Join(upper, appDir)
	err := os.Mkdir(app, 0o755)
	if err == nil {
		err = errors.Join(os.Chown(app, appUser, appUser), os.Chmod(app, 0o755))
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return os.OpenRoot(app)
}

func (to place) makeDirs(files []platform.File) error {
	made := map[string]bool{".": true}
	for _, f := range files {
		if err := checkPath(f.Path); err != nil {
			return err
		}
		if err := to.makeDir(path.Dir(f.Path), made); err != nil {
			return fmt.Errorf("write %q of the source: %w", f.Path, err)
		}
	}
	return nil
}

func (to place) makeDir(dir string, made map[string]bool) error {
	if made[dir] {
		return nil
	}
	if err := to.makeDir(path.Dir(dir), made); err != nil {
		return err
	}
	if err := to.root.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := to.root.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return platform.Errorf(platform.Failed, "the source has a file below %q, which is no directory", dir)
	}
	made[dir] = true
	return errors.Join(to.root.Chmod(dir, 0o755), to.root.Lchown(dir, to.owner, to.owner))
}

func writePart(ctx context.Context, to place, src platform.Tree, files []platform.File) error {
	w := writer{place: to, src: src, buf: make([]byte, 32<<10)}
	defer w.leave()
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

// writer stays in the directory it last wrote to: files come in path order.
type writer struct {
	place
	src platform.Tree
	dir string
	at  *os.Root
	buf []byte
}

func (w *writer) enter(dir string) (err error) {
	if w.at != nil && w.dir == dir {
		return nil
	}
	w.leave()
	w.dir = dir
	w.at, err = w.root.OpenRoot(dir)
	return err
}

func (w *writer) leave() {
	if w.at != nil {
		_ = w.at.Close()
		w.at = nil
	}
}

func (w *writer) write(f platform.File) error {
	if f.Mode == platform.Submodule {
		return platform.Errorf(platform.Failed, "%q is a submodule, which cannot be fetched", f.Path)
	}
	if err := w.enter(path.Dir(f.Path)); err != nil {
		return err
	}
	blob, err := w.src.Open(f.ID)
	if err != nil {
		return err
	}
	defer func() { _ = blob.Close() }()
	if f.Mode == platform.Symlink {
		err = w.symlink(path.Base(f.Path), blob)
	} else {
		err = w.file(path.Base(f.Path), f.Mode == platform.Executable, blob)
	}
	if errors.Is(err, fs.ErrExist) {
		return platform.Errorf(platform.Failed, "the source has %q twice", f.Path).Because(err)
	}
	return err
}

func (w *writer) symlink(name string, target io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(target, unix.PathMax))
	if err != nil {
		return err
	}
	if err := w.at.Symlink(string(text), name); err != nil {
		return err
	}
	return w.at.Lchown(name, w.owner, w.owner)
}

func (w *writer) file(name string, executable bool, blob io.Reader) error {
	f, err := w.at.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	mode := os.FileMode(0o644)
	if executable {
		mode = 0o755
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{f}, blob, w.buf) // File.ReadFrom would make a buffer each time
	return errors.Join(err, f.Chown(w.owner, w.owner), f.Chmod(mode), f.Close())
}

// whiteOut hides paths of lower layers: each becomes a character device 0:0 (the kernel's overlayfs
// documentation, "whiteouts and opaque directories").
func whiteOut(upper string, paths []string) error {
	root, err := openApp(upper)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	made := map[string]bool{".": true}
	for _, p := range paths {
		if err := errors.Join(checkPath(p), place{root, appUser}.makeDir(path.Dir(p), made)); err != nil {
			return err
		}
		if err := makeWhiteout(root, p); err != nil {
			return fmt.Errorf("hide %q: %w", p, err)
		}
	}
	return nil
}

func makeWhiteout(root *os.Root, p string) error {
	dir, err := root.Open(path.Dir(p))
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	return unix.Mknodat(int(dir.Fd()), path.Base(p), unix.S_IFCHR, 0)
}
