package source

import "paas/platform"

// Of a workspace the app is one package, and all of the tree is needed to build it.

// WithPart is the tree whose app is in dir.
func (t *Tree) WithPart(dir string) *Tree {
	return &Tree{src: t.src, files: t.files, part: dir, owner: t.owner}
}

// OfPart is the tree below Part, or all of it.
func (t *Tree) OfPart() *Tree {
	if t.part == "" {
		return t
	}
	below := &Tree{src: t.src, owner: t.owner}
	for _, f := range t.Below(t.part) {
		f.Path = f.Path[len(t.part)+1:]
		below.files = append(below.files, f)
	}
	return below
}

// Part is the directory of the app if the owner has named one and the tree is more than the app, or "".
func (t *Tree) Part() string { return t.part }

// WithConfig is the tree of an app that has these config vars.
func (t *Tree) WithConfig(c platform.Config) *Tree {
	return &Tree{src: t.src, files: t.files, part: t.part, owner: c}
}

// Config is the value of a config var of the app, or "".
func (t *Tree) Config(name string) string { return t.owner[name] }
