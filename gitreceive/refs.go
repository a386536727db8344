package gitreceive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/google/renameio/v2"

	"paas/gitreceive/pack"
)

// repo is one app's bare repository.
type repo struct{ dir string }

func (r *repo) objects() string { return filepath.Join(r.dir, "objects") }

func (r *repo) storage() *filesystem.Storage {
	return filesystem.NewStorage(osfs.New(r.dir), cache.NewObjectLRU(0))
}

// refs is every branch and tag, loose or packed.
func (r *repo) refs() (map[plumbing.ReferenceName]pack.ID, error) {
	iter, err := r.storage().IterReferences()
	if err != nil {
		return nil, fmt.Errorf("list refs: %w", err)
	}
	refs := map[plumbing.ReferenceName]pack.ID{}
	err = iter.ForEach(func(ref *plumbing.Reference) error {
		if ref.Type() == plumbing.HashReference && !strings.HasSuffix(string(ref.Name()), lockSuffix) {
			refs[ref.Name()] = ref.Hash()
		}
		return nil
	})
	return refs, err
}

// head is the branch that HEAD stands on.
func (r *repo) head() (plumbing.ReferenceName, error) {
	ref, err := r.storage().Reference(plumbing.HEAD)
	if err != nil {
		return "", fmt.Errorf("read HEAD: %w", err)
	}
	return ref.Target(), nil
}

// setHead puts HEAD on the branch, durably.
func (r *repo) setHead(branch string) error {
	path := filepath.Join(r.dir, "HEAD")
	line := "ref: " + string(plumbing.NewBranchReferenceName(branch)) + "\n"
	if have, err := os.ReadFile(path); err == nil && string(have) == line {
		return nil
	}
	if err := renameio.WriteFile(path, []byte(line), 0o644); err != nil {
		return fmt.Errorf("set HEAD: %w", err)
	}
	return syncDir(r.dir)
}

// change is one ref's move; the zero id stands for a ref that is not there.
type change struct {
	name     plumbing.ReferenceName
	old, new pack.ID
}

// errMoved means that a ref is not where the change expects it.
var errMoved = errors.New("the ref has moved")

// move carries out the changes durably: it locks every ref as git does, compares, and only then moves.
// A crash in between leaves some moved. A ref that is elsewhere than expected is errMoved, and nothing
// has moved then.
func (r *repo) move(changes []change) error {
	for i, c := range changes {
		unlock, err := r.lock(c)
		if err != nil {
			return err
		}
		defer unlock()
		if err := r.expect(changes[i]); err != nil {
			return err
		}
	}
	for _, c := range changes {
		if err := r.settle(c); err != nil {
			return fmt.Errorf("move %s: %w", c.name, err)
		}
	}
	return nil
}

const (
	lockSuffix = ".lock"
	staleLock  = time.Minute // a lock is held for milliseconds; this one's owner is dead
)

func (r *repo) ref(name plumbing.ReferenceName) string {
	return filepath.Join(r.dir, filepath.FromSlash(string(name)))
}

// lock makes git's lock file of a ref with the new value in it. The file appears with its content whole,
// since readers of the directory may take it for a ref.
func (r *repo) lock(c change) (unlock func(), err error) {
	lock := r.ref(c.name) + lockSuffix
	whole, err := renameio.TempFile(r.dir, filepath.Join(r.dir, "ref"))
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", c.name, err)
	}
	defer func() { _ = whole.Cleanup() }()
	if _, err := whole.WriteString(c.new.String() + "\n"); err != nil {
		return nil, fmt.Errorf("lock %s: %w", c.name, err)
	}
	if err := errors.Join(whole.Chmod(0o644), whole.Sync(), os.MkdirAll(filepath.Dir(lock), 0o755)); err != nil {
		return nil, fmt.Errorf("lock %s: %w", c.name, err)
	}
	dropStale(lock)
	if err := os.Link(whole.Name(), lock); err != nil {
		return nil, fmt.Errorf("lock %s: %w", c.name, err)
	}
	return func() { _ = os.Remove(lock) }, nil
}

func dropStale(lock string) {
	if info, err := os.Stat(lock); err == nil && time.Since(info.ModTime()) > staleLock {
		_ = os.Remove(lock)
	}
}

func (r *repo) expect(c change) error {
	ref, err := r.storage().Reference(c.name)
	switch {
	case errors.Is(err, plumbing.ErrReferenceNotFound):
		if c.old.IsZero() {
			return nil
		}
		return errMoved
	case err != nil:
		return fmt.Errorf("read %s: %w", c.name, err)
	case ref.Hash() != c.old:
		return errMoved
	}
	return nil
}

// settle moves one locked ref.
func (r *repo) settle(c change) error {
	path := r.ref(c.name)
	if c.new.IsZero() {
		return r.delete(c.name)
	}
	if err := r.makeWay(path); err != nil {
		return err
	}
	if err := os.Rename(path+lockSuffix, path); err != nil {
		return err
	}
	return r.syncUp(filepath.Dir(path))
}

// delete removes a ref and the folders that become empty, which would be in the way of a ref of their name.
func (r *repo) delete(name plumbing.ReferenceName) error {
	if err := r.storage().RemoveReference(name); err != nil {
		return err
	}
	if err := os.Remove(r.ref(name) + lockSuffix); err != nil {
		return err
	}
	dir := filepath.Dir(r.ref(name))
	for ; filepath.Dir(filepath.Dir(dir)) != r.dir; dir = filepath.Dir(dir) {
		if os.Remove(dir) != nil {
			break
		}
	}
	return r.syncUp(dir)
}

// makeWay removes empty folders of the ref's own name, as an interrupted deletion leaves them.
func (r *repo) makeWay(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || !info.IsDir() {
		return err
	}
	return os.Remove(path)
}

// syncUp brings a folder of refs and those above it to the disk.
func (r *repo) syncUp(dir string) error {
	for ; dir != r.dir; dir = filepath.Dir(dir) {
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	return syncDir(r.dir)
}

// admit moves a received pack from the quarantine into the repository, durably. The index comes last:
// with it the objects are there. A pack that is there already is left as it is.
func (r *repo) admit(q *quarantine, p *pack.Received) error {
	if p == nil || p.Objects == 0 {
		return nil
	}
	to := filepath.Join(r.objects(), "pack")
	if err := os.MkdirAll(to, 0o755); err != nil {
		return fmt.Errorf("keep objects: %w", err)
	}
	for _, suffix := range []string{".pack", ".idx"} {
		name := p.Name + suffix
		if err := os.Rename(filepath.Join(q.packs(), name), filepath.Join(to, name)); err != nil {
			return fmt.Errorf("keep objects: %w", err)
		}
	}
	return errors.Join(syncDir(to), syncDir(r.objects()))
}
