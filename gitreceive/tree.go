package gitreceive

import (
	"fmt"
	"io"
	"sync"

	"paas/gitreceive/pack"
	"paas/platform"
)

const (
	maxFiles = 1_000_000 // files of one tree: a small pack can describe a tree that never ends
	maxPath  = 4096      // bytes, Linux's PATH_MAX
)

// tree is a commit's tree as the platform reads it, straight from the packs: export-ignore and other
// attributes change nothing, and submodules are seen.
type tree struct {
	store *pack.Store
	root  pack.ID
	files func() ([]platform.File, error)
}

func newTree(store *pack.Store, root pack.ID) *tree {
	t := &tree{store: store, root: root}
	t.files = sync.OnceValues(t.list)
	return t
}

// ID is the tree's object id in hex.
func (t *tree) ID() string { return t.root.String() }

// Files lists every blob, symlink and submodule in path order. The list is made once.
func (t *tree) Files() ([]platform.File, error) { return t.files() }

// Open reads a blob, or a symlink's target, as a stream.
func (t *tree) Open(id string) (io.ReadCloser, error) {
	hash, err := parseID(id)
	if err != nil {
		return nil, err
	}
	return t.store.Open(hash)
}

// folder is a tree that is being listed.
type folder struct {
	prefix string
	rest   []pack.TreeEntry
}

// list walks the tree depth first, which is path order since git sorts a folder as if it ended in "/".
// Folders may be nested as deep as a path is long, so they are kept in a stack of our own.
func (t *tree) list() (files []platform.File, err error) {
	w := lister{tree: t, seen: map[pack.ID][]pack.TreeEntry{}}
	top, err := w.open("", t.root)
	if err != nil {
		return nil, err
	}
	for stack := []folder{top}; len(stack) > 0; {
		at := &stack[len(stack)-1]
		if len(at.rest) == 0 {
			stack = stack[:len(stack)-1]
			continue
		}
		e, path := at.rest[0], at.prefix+at.rest[0].Name
		at.rest = at.rest[1:]
		if len(path) > maxPath || len(files) == maxFiles {
			return nil, platform.Errorf(platform.Failed, "the commit has more than %d files, or a path of more than %d bytes", maxFiles, maxPath)
		}
		if e.Mode != pack.Folder {
			files = append(files, platform.File{Path: path, Mode: platform.FileMode(e.Mode), ID: e.ID.String()})
			continue
		}
		below, err := w.open(path+"/", e.ID)
		if err != nil {
			return nil, err
		}
		stack = append(stack, below)
	}
	return files, nil
}

// lister remembers small folders, since the same one may be in a tree many times over.
type lister struct {
	*tree
	seen map[pack.ID][]pack.TreeEntry
}

const (
	foldersSeen = 1000
	smallFolder = 100 // entries
)

func (w lister) open(prefix string, id pack.ID) (folder, error) {
	if entries, ok := w.seen[id]; ok {
		return folder{prefix, entries}, nil
	}
	body, err := w.store.Tree(id)
	if err != nil {
		return folder{}, fmt.Errorf("read folder %q: %w", prefix, err)
	}
	f := folder{prefix: prefix}
	for e, err := range pack.TreeEntries(body) {
		if err != nil {
			return folder{}, fmt.Errorf("read folder %q: %w", prefix, err)
		}
		f.rest = append(f.rest, e)
	}
	if len(w.seen) < foldersSeen && len(f.rest) <= smallFolder {
		w.seen[id] = f.rest
	}
	return f, nil
}
