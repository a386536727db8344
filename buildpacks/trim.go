package buildpacks

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"paas/platform"
)

// Caches measures every build cache. It reads all of them.
func (e *Engine) Caches() ([]CacheUse, error) {
	all, err := e.cacheUsages()
	if err != nil {
		return nil, fmt.Errorf("measure build caches: %w", err)
	}
	uses := make([]CacheUse, 0, len(all))
	for _, c := range all {
		uses = append(uses, CacheUse{App: c.app, Name: filepath.Base(c.dir), Bytes: c.bytes})
	}
	return uses, nil
}

// CacheUse is one cache of an app's builds.
type CacheUse struct {
	App   int64 // 0: of the host's own steps
	Name  string
	Bytes int64
}

// Trim removes the build caches that were unused for longest until so many bytes are gone, all of them
// for 0. Those of builds that run and those used within the goal's MinAge stay. It returns what is gone,
// or would be.
func (e *Engine) Trim(goal platform.Goal) (gone []CacheUse, err error) {
	all, err := e.cacheUsages()
	if err != nil {
		return nil, fmt.Errorf("trim build caches: %w", err)
	}
	slices.SortFunc(all, func(a, b cacheUsage) int { return a.used.Compare(b.used) })
	left := goal.Bytes
	for _, c := range all {
		if goal.Bytes > 0 && left <= 0 {
			break
		}
		if e.now().Sub(c.used) < goal.MinAge || e.caches.inUse(c.app) || !goal.DryRun && !e.throwAway(c) {
			continue
		}
		left -= c.bytes
		gone = append(gone, CacheUse{App: c.app, Name: filepath.Base(c.dir), Bytes: c.bytes})
	}
	if goal.DryRun {
		return gone, nil
	}
	if goal.Bytes == 0 || left > 0 {
		freed, err := e.trimBuilder(goal, left)
		if err != nil {
			return gone, err
		}
		if freed > 0 {
			gone = append(gone, CacheUse{Name: "Dockerfile cache mounts", Bytes: freed})
		}
	}
	return gone, os.RemoveAll(filepath.Join(e.Dir, "trash"))
}
