package buildpacks

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"paas/platform"
)

// The layers of each app's last build, and those that Prepare made, are worth keeping: the next build
// starts from them. Images of releases are not this package's business.

const (
	layersFile  = "layers"
	writtenFile = "written"
)

func (e *Engine) rememberLayers(app int64, layers []string) error {
	begun := e.caches.begunAt(app)
	e.sweeps.Go(func() {
		if err := e.rememberWritten(app, e.Images.BytesSince(layers, begun)); err != nil {
			e.Log.Warn("remember what a build wrote", "app", app, "err", err)
		}
	})
	name := filepath.Join(e.appIndex(app), layersFile)
	text := strings.Join(layers, "\n") + "\n"
	if old, err := os.ReadFile(name); err == nil && string(old) == text {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	return replace(name, []byte(text))
}

// rememberSquashed adds layers to those that the app's next build starts from.
func (e *Engine) rememberSquashed(app int64, layers []string) error {
	name := filepath.Join(e.appIndex(app), layersFile)
	text, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return replace(name, []byte(string(text)+strings.Join(layers, "\n")+"\n"))
}

// Layers are those that the next builds need, for whoever collects garbage, with the ids of the apps that
// need them: every app's last build, build-only layers included, and what Prepare made, for app 0.
func (e *Engine) Layers() (map[string][]int64, error) {
	files, err := filepath.Glob(filepath.Join(e.Dir, "index", "*", layersFile))
	all := map[string][]int64{}
	for _, name := range files {
		app, parseErr := strconv.ParseInt(filepath.Base(filepath.Dir(name)), 10, 64)
		text, readErr := os.ReadFile(name)
		if readErr != nil && !errors.Is(readErr, os.ErrNotExist) {
			err = errors.Join(err, readErr)
		}
		if parseErr != nil {
			continue // not ours
		}
		for _, layer := range strings.Fields(string(text)) {
			all[layer] = append(all[layer], app)
		}
	}
	docker, dockerErr := e.docker.Layers()
	for layer := range docker { // whose they are BuildKit does not say
		all[layer] = append(all[layer], hostApp)
	}
	if err = errors.Join(err, dockerErr); err != nil {
		return nil, fmt.Errorf("list layers of builds: %w", err)
	}
	return all, nil
}

// HostPurposes says what the layers are for that Prepare made, also those whose notes do not tell.
func (e *Engine) HostPurposes() map[string]string {
	text, err := os.ReadFile(filepath.Join(e.appIndex(hostApp), layersFile))
	if err != nil {
		return nil // nothing was prepared
	}
	purposes := map[string]string{}
	for i, layer := range strings.Fields(string(text)) {
		purposes[layer] = platform.ToolchainLayer
		if i == 0 { // the base
			purposes[layer] = platform.StackLayer
		}
	}
	return purposes
}

// Expected is how many bytes the app's next build will write into layers, by what its last ones did: as much
// as the last, or half of what was expected of it. 0 if there was none.
func (e *Engine) Expected(app int64) int64 {
	text, err := os.ReadFile(filepath.Join(e.appIndex(app), writtenFile))
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0
	}
	return max(n, 0)
}

// rememberWritten leaves small changes alone.
func (e *Engine) rememberWritten(app int64, bytes int64) error {
	before := e.Expected(app)
	now := max(bytes, before/2)
	if change := now - before; -1<<20 < change && change < 1<<20 {
		return nil
	}
	dir := e.appIndex(app)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return replace(filepath.Join(dir, writtenFile), strconv.AppendInt(nil, now, 10))
}

// begunAt is when the app's build began that is under way.
func (c *caches) begunAt(app int64) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.begun[app]
}
