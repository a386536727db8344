package source

// Of a workspace the app is one package, and all of the tree is needed to build it.

// WithPart is the tree whose app is in dir.
func (t *Tree) WithPart(dir string) *Tree {
	return &Tree{src: t.src, files: t.files, part: dir}
}

// OfPart is the tree below Part, or all of it.
func (t *Tree) OfPart() *Tree {
	if t.part == "" {
		return t
	}
	below := &Tree{src: t.src}
	for _, f := range t.Below(t.part) {
		f.Path = f.Path[len(t.part)+1:]
		below.files = append(below.files, f)
	}
	return below
}

// Part is the directory of the app if the owner has named one and the tree is more than the app, or "".
func (t *Tree) Part() string { return t.part }
