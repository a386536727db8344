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

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"paas/platform"
)

// Repos are the apps' bare repositories, DIR/<app id>.git: an id is never used again, so a new app never
// finds an old one's history.
type Repos struct {
	dir   string
	mu    sync.Mutex
	lanes map[int64]*lane
}

// Memory: objects larger than largeObject bytes are streamed, not read; the cache of others is bounded.
const (
	largeObject = 8 << 20
	objectCache = 16 << 20
)

// OpenRepos makes dir if it is missing and removes what a crash left of pushes.
func OpenRepos(dir string) (*Repos, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open repositories: %w", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*.git", "incoming-*"))
	if err != nil {
		return nil, fmt.Errorf("open repositories: %w", err)
	}
	for _, path := range left {
		if err := os.RemoveAll(path); err != nil {
			return nil, fmt.Errorf("remove what a crash left: %w", err)
		}
	}
	return &Repos{dir: dir, lanes: map[int64]*lane{}}, nil
}

func (r *Repos) path(app platform.App) string {
	return filepath.Join(r.dir, strconv.FormatInt(app.ID, 10)+".git")
}

// Remove deletes the app's repository; a missing one is no error.
func (r *Repos) Remove(app platform.App) error {
	if err := os.RemoveAll(r.path(app)); err != nil {
		return fmt.Errorf("remove the repository of %s: %w", app.Name, err)
	}
	return nil
}

// open opens the app's repository, making it if it is missing. Every operation opens its own: go-git
// remembers which packs there are.
func (r *Repos) open(app platform.App) (*filesystem.Storage, error) {
	path := r.path(app)
	if _, err := os.Stat(filepath.Join(path, "HEAD")); errors.Is(err, fs.ErrNotExist) {
		if _, err := git.PlainInit(path, true); err != nil && !errors.Is(err, git.ErrRepositoryAlreadyExists) {
			return nil, fmt.Errorf("make the repository of %s: %w", app.Name, err)
		}
	}
	s := storageAt(path)
	branch := app.DeployBranch
	if branch == "" {
		branch = "main"
	}
	head := plumbing.NewSymbolicReference(plumbing.HEAD, plumbing.NewBranchReferenceName(branch))
	if have, err := s.Reference(plumbing.HEAD); err == nil && have.Target() == head.Target() {
		return s, nil
	}
	return s, s.SetReference(head)
}

func storageAt(path string) *filesystem.Storage {
	return filesystem.NewStorageWithOptions(osfs.New(path, osfs.WithBoundOS()), cache.NewObjectLRU(objectCache),
		filesystem.Options{LargeObjectThreshold: largeObject})
}

// A lane lets one push at a time work on a repository, from comparing refs to moving them.
type lane struct {
	mu     sync.Mutex
	holder string
	free   chan struct{}
}

func (r *Repos) enter(ctx context.Context, app platform.App, who string, told func(holder string)) (leave func(), err error) {
	r.mu.Lock()
	l := r.lanes[app.ID]
	if l == nil {
		l = &lane{}
		r.lanes[app.ID] = l
	}
	r.mu.Unlock()
	for {
		l.mu.Lock()
		if l.free == nil {
			l.holder, l.free = who, make(chan struct{})
			l.mu.Unlock()
			return l.leave, nil
		}
		holder, free := l.holder, l.free
		l.mu.Unlock()
		told(holder)
		select {
		case <-free:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (l *lane) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.free)
	l.free = nil
}
