package buildpacks

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
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
	b.caches.timed(b.req.App.ID, s.Caches, b.now())
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

// emptyScratch is for the end of a step. What it leaves, the next step removes. How long the step took is
// what its caches may save the next one.
func (b *build) emptyScratch() {
	_ = os.RemoveAll(b.scratchDir(b.req.App.ID))
	app := b.req.App.ID
	ids, took := b.caches.over(app, b.now())
	if err := b.countUse(app, ids, took); err != nil {
		b.Log.Warn("count uses of caches", "app", b.req.App.Name, "err", err)
	}
}

// cache finds or makes a cache directory of an app, owned by user as seen inside, and marks it as used.
func (e *Engine) cache(app int64, id string, user int) (string, error) {
	dir := filepath.Join(e.cacheDir(app), cacheName(id))
	err := ownedDir(dir, user, 0o755)
	if err == nil {
		err = os.Chtimes(dir, e.now(), e.now())
	}
	if err != nil {
		return "", fmt.Errorf("make cache directory: %w", err)
	}
	return dir, nil
}

// cacheName is an id as a file name: ids come from plans, and plans from repositories.
func cacheName(id string) string { return filepath.Base(filepath.Clean("/" + id)) }

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
	users map[int64]int       // by app
	begun map[int64]time.Time // when the first of them came
	swept time.Time
	steps map[int64]timedStep // the one that runs, by app
	sizes map[string]cacheSize
}

// timedStep is a step that has caches mounted.
type timedStep struct {
	ids   []string
	begun time.Time
}

func (c *caches) timed(app int64, list []plan.Cache, now time.Time) {
	step := timedStep{begun: now}
	for _, cache := range list {
		step.ids = append(step.ids, cacheName(cache.ID))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.steps == nil {
		c.steps = map[int64]timedStep{}
	}
	c.steps[app] = step
}

func (c *caches) over(app int64, now time.Time) (ids []string, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	step := c.steps[app]
	delete(c.steps, app)
	return step.ids, now.Sub(step.begun)
}

func (c *caches) use(app int64, now time.Time) (done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.users == nil {
		c.users, c.begun = map[int64]int{}, map[int64]time.Time{}
	}
	if c.users[app]++; c.users[app] == 1 {
		c.begun[app] = now
	}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.users[app]--; c.users[app] == 0 {
			delete(c.users, app)
			delete(c.begun, app)
		}
	}
}

func (c *caches) inUse(app int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.users[app] > 0
}
