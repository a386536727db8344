package buildpacks

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"paas/platform"
)

// What builds cache in directories is bounded three ways: all of it by the engine's budget, of which no app
// has more than its fair share when it is short; a cache that its app does not use for CacheAge goes; and
// what the platform takes away when the disk is short, by what it is worth.

const (
	sweepEvery = time.Hour

	// CacheAge is how long a cache outlives its last use.
	CacheAge = 30 * 24 * time.Hour

	// uselogFile remembers how often the caches of an app were used and how long their steps took.
	uselogFile = "caches"
)

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

// Sweep removes the caches that were not used for CacheAge, and then the least recently used until the rest
// is inside the budget, from the apps that have most of it. It leaves those alone that a build has mounted.
func (e *Engine) Sweep() error {
	all, err := e.cacheUsages()
	if err != nil {
		return fmt.Errorf("sweep build caches: %w", err)
	}
	var sum int64
	var pieces []platform.Piece
	for _, c := range all {
		if e.now().Sub(c.used) >= CacheAge && e.throwAway(c) {
			continue
		}
		sum += c.bytes
		app := platform.AppName(strconv.FormatInt(c.app, 10))
		pieces = append(pieces, platform.Piece{
			Name: filepath.Base(c.dir), AppID: c.app, Apps: []platform.AppName{app}, Bytes: c.bytes,
			Need: platform.Cached, Held: e.caches.inUse(c.app), Used: c.used,
		})
	}
	if over := sum - e.CacheBudget; over > 0 {
		for _, p := range (platform.Goal{Bytes: over, Caches: true}).Choose(pieces, e.now()) {
			_ = e.throwAway(cacheUsage{app: p.AppID, dir: filepath.Join(e.cacheDir(p.AppID), p.Name)})
		}
	}
	return e.emptyTrash()
}

func (e *Engine) emptyTrash() error {
	trash := filepath.Join(e.Dir, "trash")
	left, err := os.ReadDir(trash)
	for _, entry := range left {
		err = errors.Join(err, os.RemoveAll(filepath.Join(trash, entry.Name())))
	}
	return err
}

// Pieces are the caches, for whoever makes room. Their apps are known by id.
func (e *Engine) Pieces() ([]platform.Piece, error) {
	all, err := e.cacheUsages()
	if err != nil {
		return nil, fmt.Errorf("measure build caches: %w", err)
	}
	var pieces []platform.Piece
	for _, c := range all {
		p := platform.Piece{
			Kind: platform.CachePiece, Name: filepath.Base(c.dir), AppID: c.app, Bytes: c.bytes, Need: platform.Cached,
			Held: e.caches.inUse(c.app), Host: c.app == hostApp, Used: c.used,
		}
		use := e.cacheUses(c.app)[p.Name]
		p.Took, p.Uses = use.took, use.uses
		pieces = append(pieces, p)
	}
	if p, any := e.dockerPiece(); any {
		pieces = append(pieces, p)
	}
	return pieces, nil
}

// Drop removes caches, but for those of builds that run, and returns those that are gone by it.
func (e *Engine) Drop(pieces []platform.Piece) (gone []platform.Piece, err error) {
	for _, p := range pieces {
		if p.Name == dockerCaches {
			err = e.dropDockerCaches()
			gone = append(gone, p)
			continue
		}
		if e.throwAway(cacheUsage{app: p.AppID, dir: filepath.Join(e.cacheDir(p.AppID), cacheName(p.Name))}) {
			gone = append(gone, p)
		}
	}
	return gone, errors.Join(err, e.emptyTrash())
}

// throwAway takes a cache's name away, unless it is in use.
func (e *Engine) throwAway(c cacheUsage) bool {
	e.caches.mu.Lock()
	defer e.caches.mu.Unlock()
	if e.caches.users[c.app] > 0 {
		return false
	}
	bin, err := os.MkdirTemp(filepath.Join(e.Dir, "trash"), "")
	return err == nil && os.Rename(c.dir, filepath.Join(bin, "cache")) == nil
}

// cacheUsage is one cache of an app.
type cacheUsage struct {
	app   int64
	dir   string
	used  time.Time
	bytes int64
}

// cacheSize is what a cache had when nobody used it. Its time is the last use's: it holds until the next.
type cacheSize struct {
	used  time.Time
	bytes int64
}

// cacheUsages reads the directories of those caches that were used since it last did.
func (e *Engine) cacheUsages() (all []cacheUsage, err error) {
	dirs, err := filepath.Glob(filepath.Join(e.Dir, "cache", "*", "*"))
	for _, dir := range dirs {
		app, parseErr := strconv.ParseInt(filepath.Base(filepath.Dir(dir)), 10, 64)
		info, statErr := os.Stat(dir)
		if parseErr != nil || statErr != nil {
			continue // not ours, or just gone
		}
		c := cacheUsage{app: app, dir: dir, used: info.ModTime()}
		c.bytes = e.caches.measure(c)
		all = append(all, c)
	}
	return all, err
}

func (c *caches) measure(u cacheUsage) int64 {
	c.mu.Lock()
	known, ok := c.sizes[u.dir]
	idle := c.users[u.app] == 0
	c.mu.Unlock()
	if ok && idle && known.used.Equal(u.used) {
		return known.bytes
	}
	bytes := bytesBelow(u.dir)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sizes == nil {
		c.sizes = map[string]cacheSize{}
	}
	delete(c.sizes, u.dir)
	if idle && c.users[u.app] == 0 {
		c.sizes[u.dir] = cacheSize{u.used, bytes}
	}
	return bytes
}

// bytesBelow counts what can be read: a build may be changing it. A file with several names counts once.
func bytesBelow(dir string) (sum int64) {
	seen := map[uint64]bool{}
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		st := info.Sys().(*syscall.Stat_t)
		if !d.IsDir() && st.Nlink > 1 {
			if seen[st.Ino] {
				return nil
			}
			seen[st.Ino] = true
		}
		sum += st.Blocks * 512
		return nil
	})
	return sum
}

// cacheUse is how a cache was used so far.
type cacheUse struct {
	took time.Duration // the longest step with it
	uses int
}

// cacheUses reads what is remembered; what is damaged or lost counts as nothing.
func (e *Engine) cacheUses(app int64) map[string]cacheUse {
	uses := map[string]cacheUse{}
	text, err := os.ReadFile(filepath.Join(e.appIndex(app), uselogFile))
	if err != nil {
		return uses
	}
	for line := range strings.Lines(string(text)) {
		var name string
		var use cacheUse
		var took int64
		if n, _ := fmt.Sscanf(line, "%q %d %d", &name, &took, &use.uses); n == 3 && took >= 0 && use.uses >= 0 {
			use.took = time.Duration(took) * time.Millisecond
			uses[name] = use
		}
	}
	return uses
}

// countUse remembers a step that had caches.
func (e *Engine) countUse(app int64, names []string, took time.Duration) error {
	if len(names) == 0 {
		return nil
	}
	uses := e.cacheUses(app)
	for _, name := range names {
		uses[name] = cacheUse{max(uses[name].took, took), uses[name].uses + 1}
	}
	var lines []string
	for name, use := range uses {
		lines = append(lines, fmt.Sprintf("%q %d %d\n", name, use.took.Milliseconds(), use.uses))
	}
	slices.Sort(lines)
	path := filepath.Join(e.appIndex(app), uselogFile)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return replace(path, []byte(strings.Join(lines, "")))
}
