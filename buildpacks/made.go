package buildpacks

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
)

// writeMade writes the files that a plan brings itself to upper/app, where no file of the source is yet.
func writeMade(upper string, files map[string]string) error {
	if len(files) == 0 {
		return nil
	}
	root, err := openApp(upper)
	if err != nil {
		return fmt.Errorf("write files of the plan: %w", err)
	}
	defer func() { _ = root.Close() }()
	to := place{root, appUser}
	dirs := map[string]bool{".": true}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := errors.Join(checkPath(name), to.makeDir(path.Dir(name), dirs)); err != nil {
			return fmt.Errorf("write %q of the plan: %w", name, err)
		}
		w := writer{place: to, buf: make([]byte, 32<<10)}
		err := w.enter(path.Dir(name))
		if err == nil {
			err = w.file(path.Base(name), isProgram(files[name]), strings.NewReader(files[name]))
		}
		w.leave()
		if err != nil && !errors.Is(err, os.ErrExist) { // the app's own goes first
			return fmt.Errorf("write %q of the plan: %w", name, err)
		}
	}
	return nil
}

func isProgram(text string) bool { return strings.HasPrefix(text, "#!") }
