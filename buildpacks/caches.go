package buildpacks

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"paas/buildpacks/plan"
	"paas/platform"
)

// A step's /tmp is a directory of its own that is emptied after it; its home is in there, so that no
// client's droppings get into a layer.
const scratchHome = "/tmp/home"

// binds are the directories that a step sees beside its layers: caches of its app, a scratch /tmp, and
// the machine's configuration.
func (b *build) binds(s plan.Step) ([]platform.Bind, error) {
	scratch, err := b.newScratch(b.req.App.ID, appUser)
	if err != nil {
		return nil, err
	}
	binds := append(b.Machine.binds(), platform.Bind{Source: scratch, Target: "/tmp"})
	for _, c := range s.Caches {
		dir, err := b.cache(b.req.App.ID, c.ID, appUser)
		if err != nil {
			return nil, err
		}
		binds = append(binds, platform.Bind{Source: dir, Target: c.Dir})
	}
	return binds, nil
}

// newScratch makes an empty /tmp with a home of the user, as seen inside.
func (e *Engine) newScratch(app int64, user int) (string, error) {
	dir := e.scratchDir(app)
	err := os.RemoveAll(dir)
	if err == nil {
		err = errors.Join(ownedDir(dir, user, 0o777|os.ModeSticky), ownedDir(filepath.Join(dir, "home"), user, 0o755))
	}
	if err != nil {
		return "", fmt.Errorf("make scratch directory: %w", err)
	}
	return dir, nil
}

func (e *Engine) scratchDir(app int64) string {
	return filepath.Join(e.Dir, "scratch", strconv.FormatInt(app, 10))
}

// emptyScratch is for the end of a step. What it leaves, the next step removes.
func (b *build) emptyScratch() { _ = os.RemoveAll(b.scratchDir(b.req.App.ID)) }

// cache finds or makes a cache directory of an app, owned by user as seen inside, and marks it as used.
func (e *Engine) cache(app int64, id string, user int) (string, error) {
	dir := filepath.Join(e.cacheDir(app), filepath.Base(filepath.Clean("/"+id)))
	err := ownedDir(dir, user, 0o755)
	if err == nil {
		err = os.Chtimes(dir, e.now(), e.now())
	}
	if err != nil {
		return "", fmt.Errorf("make cache directory: %w", err)
	}
	return dir, nil
}

func (e *Engine) cacheDir(app int64) string {
	return filepath.Join(e.Dir, "cache", strconv.FormatInt(app, 10))
}

func ownedDir(dir string, user int, mode os.FileMode) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return errors.Join(os.Chown(dir, user, user), os.Chmod(dir, mode))
}

// Forget drops what is kept for an app between its builds. None of its builds may be under way.
func (e *Engine) Forget(app platform.App) error {
	return errors.Join(os.RemoveAll(e.cacheDir(app.ID)), os.RemoveAll(e.appIndex(app.ID)), os.RemoveAll(e.scratchDir(app.ID)),
		os.RemoveAll(filepath.Join(e.DockerDir(), "contexts", strconv.FormatInt(app.ID, 10)+".json")))
}

// Retain forgets every app but these. An app with a build under way is left alone: it may be younger than
// the list.
func (e *Engine) Retain(apps []int64) error {
	var errs []error
	for _, dir := range []string{"cache", "index", "scratch"} {
		entries, err := os.ReadDir(filepath.Join(e.Dir, dir))
		errs = append(errs, err)
		for _, entry := range entries {
			app, err := strconv.ParseInt(entry.Name(), 10, 64)
			if err == nil && app != hostApp && !slices.Contains(apps, app) && !e.caches.inUse(app) {
				errs = append(errs, e.Forget(platform.App{ID: app}))
			}
		}
	}
	return errors.Join(errs...)
}

// caches knows whose caches are mounted somewhere.
type caches struct {
	mu    sync.Mutex
	users map[int64]int // by app
	swept time.Time
}

func (c *caches) use(app int64) (done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.users == nil {
		c.users = map[int64]int{}
	}
	c.users[app]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.users[app]--
	}
}

func (c *caches) inUse(app int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.users[app] > 0
}

const sweepEvery = time.Hour

// due tells whether it is time to sweep, and if so that somebody does.
func (c *caches) due(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.swept) < sweepEvery {
		return false
	}
	c.swept = now
	return true
}

// sweepSoon keeps the caches inside their budget without keeping a build waiting.
func (e *Engine) sweepSoon() {
	if !e.caches.due(e.now()) {
		return
	}
	e.sweeps.Go(func() {
		if err := e.Sweep(); err != nil {
			e.Log.Warn("sweep build caches", "err", err)
		}
		if e.docker.PID() == 0 {
			return // the next build of a Dockerfile sees to its caches
		}
		if _, err := e.trimDocker(e.CacheBudget, 0); err != nil {
			e.Log.Warn("sweep Dockerfiles' cache mounts", "err", err)
		}
	})
}

// cacheUsage is one cache of an app.
type cacheUsage struct {
	app   int64
	dir   string
	used  time.Time
	bytes int64
}

// Sweep removes the caches that were not used for longest until the rest is inside the budget. It reads
// all caches' directories, and leaves those alone that a build has mounted.
func (e *Engine) Sweep() error {
	all, err := e.cacheUsages()
	if err != nil {
		return fmt.Errorf("sweep build caches: %w", err)
	}
	var sum int64
	for _, c := range all {
		sum += c.bytes
	}
	slices.SortFunc(all, func(a, b cacheUsage) int { return a.used.Compare(b.used) })
	for _, c := range all {
		if sum <= e.CacheBudget {
			break
		}
		if e.throwAway(c) {
			sum -= c.bytes
		}
	}
	return os.RemoveAll(filepath.Join(e.Dir, "trash"))
}

// throwAway takes a cache's name away, unless it is in use.
func (e *Engine) throwAway(c cacheUsage) bool {
	e.caches.mu.Lock()
	defer e.caches.mu.Unlock()
	if e.caches.users[c.app] > 0 {
		return false
	}
	trash := filepath.Join(e.Dir, "trash")
	if os.MkdirAll(trash, 0o700) != nil {
		return false
	}
	bin, err := os.MkdirTemp(trash, "")
	return err == nil && os.Rename(c.dir, filepath.Join(bin, "cache")) == nil
}

func (e *Engine) cacheUsages() (all []cacheUsage, err error) {
	dirs, err := filepath.Glob(filepath.Join(e.Dir, "cache", "*", "*"))
	for _, dir := range dirs {
		app, parseErr := strconv.ParseInt(filepath.Base(filepath.Dir(dir)), 10, 64)
		info, statErr := os.Stat(dir)
		if parseErr != nil || statErr != nil {
			continue // not ours, or just gone
		}
		all = append(all, cacheUsage{app: app, dir: dir, used: info.ModTime(), bytes: bytesBelow(dir)})
	}
	return all, err
}

// bytesBelow counts what can be read: a build may be changing it.
func bytesBelow(dir string) (sum int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if info, err := d.Info(); err == nil {
			sum += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return nil
	})
	return sum
}
