package runtime

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"paas/platform"
)

// An image that has something else where a container needs a directory is its maker's to mend, and says so.
func TestMisshapenImageIsToldApart(t *testing.T) {
	b := newBench(t)
	for path, plant := range map[string]func(string) error{
		"/proc": func(at string) error { return os.Symlink("/tmp", at) },
		"/dev":  func(at string) error { return os.WriteFile(at, nil, 0o600) },
	} {
		layer := "misshapen-" + filepath.Base(path)
		d, err := b.images.Draft()
		check(t, err)
		check(t, plant(filepath.Join(d.Dir, path)))
		check(t, d.Commit(layer))
		check(t, d.Discard())
		s := spec("true")
		s.Image.Layers = append(slices.Clone(s.Image.Layers), layer)
		_, err = b.Start(context.Background(), s)
		var told *platform.Error
		if !errors.As(err, &told) || told.Kind != platform.Failed || !strings.Contains(told.Message, path+" that is no plain directory") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
