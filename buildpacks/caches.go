package buildpacks

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"paas/buildpacks/plan"
	"paas/platform"
)

// binds are the directories that a step sees beside its layers: caches of its app, a scratch /tmp, and
// the machine's configuration.
func (b *build) binds(s plan.Step) ([]platform.Bind, error) {
	binds := b.Machine.binds()
	scratch := filepath.Join(b.cacheDir(b.req.App.ID), "tmp")
	if err := os.RemoveAll(scratch); err != nil {
		return nil, fmt.Errorf("empty scratch directory: %w", err)
	}
	if err := ownedDir(scratch, 0o1777); err != nil {
		return nil, err
	}
	if err := ownedDir(filepath.Join(scratch, "home"), 0o755); err != nil {
		return nil, err
	}
	binds = append(binds, platform.Bind{Source: scratch, Target: "/tmp"})
	for _, c := range s.Caches {
		dir := filepath.Join(b.cacheDir(b.req.App.ID), filepath.Base(c.ID))
		if err := ownedDir(dir, 0o755); err != nil {
			return nil, err
		}
		binds = append(binds, platform.Bind{Source: dir, Target: c.Dir})
	}
	return binds, nil
}

func (e *Engine) cacheDir(app int64) string {
	return filepath.Join(e.Dir, "cache", strconv.FormatInt(app, 10))
}

// ownedDir makes a directory that the app's user owns, as seen inside.
func ownedDir(dir string, mode os.FileMode) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make cache directory: %w", err)
	}
	if err := os.Chown(dir, appUser, appUser); err != nil {
		return fmt.Errorf("make cache directory: %w", err)
	}
	perm := mode & 0o777
	if mode&0o1000 != 0 {
		perm |= os.ModeSticky
	}
	return os.Chmod(dir, perm)
}

// Forget drops what is kept for an app between its builds.
func (e *Engine) Forget(app platform.App) error {
	return os.RemoveAll(e.cacheDir(app.ID))
}
