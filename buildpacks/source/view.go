package source

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"paas/platform"
)

// view is a part of another tree.
type view struct {
	platform.Tree
	id    string
	files []platform.File
}

// View is what is below dir in src ("" is all of it), less the paths, relative to dir, that drop tells. why
// names the view: equal trees must be given equal names for equal views.
func View(src platform.Tree, dir, why string, drop func(path string) bool) (platform.Tree, error) {
	all, err := src.Files()
	if err != nil {
		return nil, err
	}
	prefix := ""
	if dir != "" {
		prefix = dir + "/"
	}
	sum := sha256.Sum256([]byte(src.ID() + "\x00" + dir + "\x00" + why))
	v := &view{Tree: src, id: hex.EncodeToString(sum[:20])}
	for _, f := range all {
		path, below := strings.CutPrefix(f.Path, prefix)
		if !below || drop != nil && drop(path) {
			continue
		}
		f.Path = path
		v.files = append(v.files, f)
	}
	return v, nil
}

// ID implements platform.Tree. It is no git object's.
func (v *view) ID() string { return v.id }

// Files implements platform.Tree.
func (v *view) Files() ([]platform.File, error) { return v.files, nil }

// Without is the tree less the files of these names at its top.
func (t *Tree) Without(names ...string) *Tree {
	less := &Tree{src: t.src, part: t.part, owner: t.owner}
	for _, f := range t.files {
		if !contains(names, f.Path) {
			less.files = append(less.files, f)
		}
	}
	return less
}

func contains(names []string, path string) bool {
	for _, name := range names {
		if name == path {
			return true
		}
	}
	return false
}
