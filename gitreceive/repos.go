package gitreceive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	git "github.com/go-git/go-git/v5"
	"golang.org/x/sys/unix"

	"paas/platform"
)

// Repos keeps every app's bare repository as <app id>.git in one directory, in git's own format, so that
// real git can read and pack them. Beside them lies "incoming", the quarantine of what is being received.
type Repos struct {
	dir      string
	maxPacks int // of one repository, before they are made one

	mu    sync.Mutex
	lanes map[int64]*lane
}

// OpenRepos makes the directory if it is missing, and removes what pushes of a process that is gone left.
func OpenRepos(dir string) (*Repos, error) {
	r := &Repos{dir: dir, maxPacks: maxPacks, lanes: map[int64]*lane{}}
	if err := os.MkdirAll(r.incoming(), 0o700); err != nil {
		return nil, fmt.Errorf("open repositories: %w", err)
	}
	return r, r.sweep()
}

func (r *Repos) incoming() string { return filepath.Join(r.dir, "incoming") }

func (r *Repos) path(app platform.App) string {
	return filepath.Join(r.dir, strconv.FormatInt(app.ID, 10)+".git")
}

// sweep removes the quarantines that no living process holds.
func (r *Repos) sweep() error {
	left, err := os.ReadDir(r.incoming())
	if err != nil {
		return fmt.Errorf("sweep quarantine: %w", err)
	}
	for _, e := range left {
		path := filepath.Join(r.incoming(), e.Name())
		lock, err := lockDir(path)
		if err != nil {
			continue // a push of our predecessor that still runs
		}
		if err := errors.Join(os.RemoveAll(path), lock.Close()); err != nil {
			return fmt.Errorf("sweep quarantine: %w", err)
		}
	}
	return nil
}

// lockDir takes a directory's lock; closing the file gives it back, and so does the end of the process.
func lockDir(path string) (*os.File, error) {
	d, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Remove deletes the app's repository. A missing one is no error. It waits for a push that is at it.
func (r *Repos) Remove(app platform.App) error {
	leave, err := r.lane(app).enter(context.Background(), "the removal of "+string(app.Name), nil)
	if err != nil {
		return err
	}
	defer leave()
	gone := filepath.Join(r.incoming(), "removed-"+strconv.FormatInt(app.ID, 10))
	err = os.Rename(r.path(app), gone)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = errors.Join(syncDir(r.dir), os.RemoveAll(gone))
	}
	if err != nil {
		return fmt.Errorf("remove repository of %s: %w", app.Name, err)
	}
	return nil
}

// open returns the app's repository, and makes it if there is none.
func (r *Repos) open(app platform.App) (*repo, error) {
	path := r.path(app)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return &repo{dir: path}, err
	}
	if err := r.create(path); err != nil {
		return nil, fmt.Errorf("make repository of %s: %w", app.Name, err)
	}
	return &repo{dir: path}, nil
}

// create makes an empty repository aside and moves it to its place whole.
func (r *Repos) create(path string) error {
	q, err := r.quarantine()
	if err != nil {
		return err
	}
	defer q.remove()
	fresh := filepath.Join(q.dir, "fresh.git")
	if _, err := git.PlainInit(fresh, true); err != nil {
		return err
	}
	made := &repo{dir: fresh}
	if err := made.setHead("main"); err != nil { // go-git says master
		return err
	}
	if err := os.MkdirAll(filepath.Join(fresh, "objects", "pack"), 0o755); err != nil {
		return err
	}
	if err := syncAll(fresh); err != nil {
		return err
	}
	if err := os.Rename(fresh, path); err != nil && !errors.Is(err, fs.ErrExist) { // somebody was faster
		return err
	}
	return syncDir(r.dir)
}

// quarantine is where one push's objects lie until they are accepted. It is the process's while it holds
// the lock, and has the layout of an object directory.
type quarantine struct {
	dir  string
	lock *os.File
}

func (r *Repos) quarantine() (*quarantine, error) {
	dir, err := os.MkdirTemp(r.incoming(), "push-")
	if err != nil {
		return nil, fmt.Errorf("make quarantine: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make quarantine: %w", err), os.RemoveAll(dir))
	}
	q := &quarantine{dir: dir, lock: lock}
	if err := os.Mkdir(q.packs(), 0o700); err != nil {
		q.remove()
		return nil, fmt.Errorf("make quarantine: %w", err)
	}
	return q, nil
}

func (q *quarantine) packs() string { return filepath.Join(q.dir, "pack") }

// remove deletes the quarantine with what is in it. What fails here is swept at the next start.
func (q *quarantine) remove() {
	_ = os.RemoveAll(q.dir)
	_ = q.lock.Close()
}

// syncAll brings every file and directory below dir to the disk.
func syncAll(dir string) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return syncDir(path) // files open and sync the same way
	})
}

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
