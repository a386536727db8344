package buildpacks

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
)

// The layers of each app's last build, and those that Prepare made, are worth keeping: the next build
// starts from them. Images of releases are not this package's business.

const layersFile = "layers"

func (e *Engine) rememberLayers(app int64, layers []string) error {
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

// Layers are those that the next builds need, for whoever collects garbage: the union of every app's last
// build, build-only layers included, and of what Prepare made.
func (e *Engine) Layers() (map[string]bool, error) {
	files, err := filepath.Glob(filepath.Join(e.Dir, "index", "*", layersFile))
	all := map[string]bool{}
	for _, name := range files {
		text, readErr := os.ReadFile(name)
		if readErr != nil && !errors.Is(readErr, os.ErrNotExist) {
			err = errors.Join(err, readErr)
		}
		for _, layer := range strings.Fields(string(text)) {
			all[layer] = true
		}
	}
	docker, dockerErr := e.docker.Layers()
	maps.Copy(all, docker)
	if err = errors.Join(err, dockerErr); err != nil {
		return nil, fmt.Errorf("list layers of builds: %w", err)
	}
	return all, nil
}
