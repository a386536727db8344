package source

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"paas/platform"
)

const (
	maxHops   = 40   // symlinks on one way, as Linux allows (path_resolution(7))
	maxTarget = 4096 // bytes of a symlink's target, PATH_MAX
)

// walk is the way to a file: where it stands, what is still to be walked, and the symlinks met.
type walk struct {
	asked string
	at    string // without symlinks; "" is the root
	todo  []string
	links []string
}

// resolve finds the regular file of that name and the symlinks on the way. It walks one name after the
// other as the kernel does, because ".." after a symlink means the parent of where the symlink leads.
func (t *Tree) resolve(name string) (platform.File, []string, error) {
	w, err := t.walk(name)
	if err != nil {
		return platform.File{}, nil, err
	}
	file, ok := t.find(w.at)
	if !ok || file.Mode == platform.Submodule {
		return platform.File{}, nil, missing(name)
	}
	return file, w.links, nil
}

func (t *Tree) walk(name string) (*walk, error) {
	w := &walk{asked: name, todo: strings.Split(name, "/")}
	for len(w.todo) > 0 {
		if err := t.step(w); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// IsDir tells whether a directory of the tree is at the path, or where its symlinks lead.
func (t *Tree) IsDir(path string) bool {
	w, err := t.walk(path)
	return err == nil && (w.at == "" || t.HasDir(w.at))
}

func (t *Tree) step(w *walk) error {
	part := w.todo[0]
	w.todo = w.todo[1:]
	switch part {
	case "", ".":
		return nil
	case "..":
		return w.up()
	}
	w.at = join(w.at, part)
	if link, ok := t.find(w.at); ok && link.Mode == platform.Symlink {
		return t.follow(w, link)
	}
	return nil
}

func (w *walk) up() error {
	if w.at == "" {
		return outside(w.asked, "..")
	}
	w.at = w.at[:max(strings.LastIndexByte(w.at, '/'), 0)]
	return nil
}

func (t *Tree) follow(w *walk, link platform.File) error {
	if len(w.links) == maxHops {
		return platform.Errorf(platform.Failed, "%s is a symlink that leads in a circle", w.asked).
			WithHint("replace it with the file itself")
	}
	target, err := t.blob(link, maxTarget)
	if err != nil {
		return err
	}
	if len(target) > maxTarget || strings.HasPrefix(string(target), "/") {
		return outside(w.asked, string(target))
	}
	w.links = append(w.links, link.Path)
	w.todo = append(strings.Split(string(target), "/"), w.todo...)
	return w.up()
}

// Inside is the path that name means, relative to the directory base ("" is the root of the tree). It is
// false for what lies outside. Symlinks are not looked at.
func Inside(base, name string) (string, bool) {
	target := path.Join(base, name)
	if path.IsAbs(name) || target == ".." || strings.HasPrefix(target, "../") {
		return "", false
	}
	if target == "." {
		return "", true
	}
	return target, true
}

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

func outside(asked, target string) error {
	if len(target) > 80 {
		target = target[:80] + "…"
	}
	return platform.Errorf(platform.Failed, "%s leads out of the app, to %q; only files of the app are read", asked, target).
		WithHint("replace the symlink with the file itself")
}

func missing(name string) error {
	return fmt.Errorf("read %s: %w", name, fs.ErrNotExist)
}
