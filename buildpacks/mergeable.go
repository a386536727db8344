package buildpacks

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// mergeable lets a layer lie over other layers than the one it was made over. The kernel marks every new directory
// as opaque when its parent lies in both (overlayfs, ovl_create_upper: "just an optimization"), which is true over
// that one layer and hides what another has there: Debian's Python modules, say, below the layer of the interpreter.
// Where the base has no such directory the mark says nothing, and goes.
func mergeable(base, upper string) error {
	for todo := []string{"."}; len(todo) > 0; {
		dir := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		entries, err := os.ReadDir(filepath.Join(upper, dir))
		if err != nil {
			return fmt.Errorf("look into a layer: %w", err)
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			if !e.IsDir() {
				continue
			}
			info, err := os.Lstat(filepath.Join(base, path))
			if err == nil && info.IsDir() { // below it there may be new ones
				todo = append(todo, path)
				continue
			}
			err = unix.Lremovexattr(filepath.Join(upper, path), "trusted.overlay.opaque")
			if err != nil && !errors.Is(err, unix.ENODATA) {
				return fmt.Errorf("unmark %s: %w", path, err)
			}
		}
	}
	return nil
}
