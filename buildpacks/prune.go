package buildpacks

import (
	"errors"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"paas/buildpacks/plan"
)

// prune drops what a step wrote to /app and the image does not need. The layer is a stranger's work:
// os.Root keeps every removal inside of it.
func prune(app string, s plan.Step) error {
	if len(s.Output) == 0 {
		return nil
	}
	root, err := os.OpenRoot(app)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	drop, dirs, err := surplus(root, s)
	if err != nil {
		return err
	}
	for _, p := range drop {
		if err := root.Remove(p); err != nil {
			return err
		}
	}
	for i := len(dirs) - 1; i >= 0; i-- { // deepest first; those that hold something stay
		if err := root.Remove(dirs[i]); err != nil && !errors.Is(err, unix.ENOTEMPTY) {
			return err
		}
	}
	return nil
}

// surplus lists what the step does not keep, and all directories, parents first. Names may be any bytes,
// which io/fs does not take.
func surplus(root *os.Root, s plan.Step) (drop, dirs []string, err error) {
	for todo := []string{"."}; len(todo) > 0; {
		dir := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		entries, err := list(root, dir)
		if err != nil {
			return nil, nil, err
		}
		for _, e := range entries {
			p := path.Join(dir, e.Name())
			switch {
			case e.IsDir():
				dirs, todo = append(dirs, p), append(todo, p)
			case !s.Keeps(p):
				drop = append(drop, p)
			}
		}
	}
	return drop, dirs, nil
}

func list(root *os.Root, dir string) ([]fs.DirEntry, error) {
	d, err := root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }()
	return d.ReadDir(-1)
}
