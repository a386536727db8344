package image

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"paas/platform"
)

// Explore tells what each layer, bottom first, adds to the ones below it, what it changes and removes,
// and which bytes are wasted: those of files that a later layer replaces or deletes. With a path it also
// tells what each layer does to that path, or to each entry of it. It reads every layer's tree.
func (s *Store) Explore(ctx context.Context, layers []string, below string) (platform.Contents, error) {
	e := &explorer{
		ctx: ctx, root: newFolder(0), waste: map[string]*platform.Waste{},
		below: strings.Trim(path.Clean("/"+below), "/"), detail: below != "",
	}
	for i, layer := range layers {
		if err := e.layer(i, s.Dir(layer)); err != nil {
			return platform.Contents{}, fmt.Errorf("explore layer %s: %w", layer, err)
		}
		e.out.Layers[i].Layer, e.out.Layers[i].Note = layer, s.Note(layer)
	}
	return e.result(), nil
}

// node is a path of the image so far.
type node struct {
	layer    int // that it comes from, from 0
	bytes    int64
	children map[string]*node // nil for anything but a directory
}

func newFolder(layer int) *node { return &node{layer: layer, children: map[string]*node{}} }

type explorer struct {
	ctx    context.Context
	out    platform.Contents
	root   *node
	now    int             // the layer that is being put on top
	seen   map[uint64]bool // inodes of the layer that were counted
	waste  map[string]*platform.Waste
	below  string
	detail bool
	places map[string]*platform.PathChanges // of the layer, by path
}

func (e *explorer) layer(number int, dir string) error {
	e.now, e.seen, e.places = number, map[uint64]bool{}, map[string]*platform.PathChanges{}
	e.out.Layers = append(e.out.Layers, platform.LayerChanges{Number: number + 1})
	if err := e.folder(dir, "", e.root); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(e.places)) {
		e.out.Paths = append(e.out.Paths, *e.places[name])
	}
	return nil
}

// folder puts a directory of the layer over what is there.
func (e *explorer) folder(dir, name string, over *node) error {
	if err := e.ctx.Err(); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	opaque, err := attr(dir, opaqueAttr)
	if err != nil {
		return err
	}
	if string(opaque) == "y" {
		e.hide(name, over, entries)
	}
	for _, entry := range entries {
		if err := e.entry(filepath.Join(dir, entry.Name()), path.Join(name, entry.Name()), over); err != nil {
			return err
		}
	}
	return nil
}

// hide removes what an opaque directory hides and does not have itself.
func (e *explorer) hide(name string, over *node, entries []os.DirEntry) {
	for _, child := range slices.Sorted(maps.Keys(over.children)) {
		again := slices.ContainsFunc(entries, func(d os.DirEntry) bool { return d.Name() == child })
		if old := over.children[child]; !again {
			e.remove(path.Join(name, child), old)
			delete(over.children, child)
		} else if old.children != nil {
			e.hide(path.Join(name, child), old, nil)
		}
	}
}

func (e *explorer) entry(file, name string, over *node) error {
	st, err := lstatat(unix.AT_FDCWD, file)
	if err != nil {
		return &os.PathError{Op: "stat", Path: file, Err: err}
	}
	base := path.Base(name)
	old := over.children[base]
	switch {
	case isWhiteout(st):
		if old != nil {
			e.remove(name, old)
			delete(over.children, base)
		}
		return nil
	case isDir(st):
		return e.directory(file, name, over)
	}
	size := e.size(st)
	if old != nil && old.children == nil {
		e.count(name, changed, size)
		e.wasted(name, old)
	} else {
		if old != nil {
			e.remove(name, old)
		}
		e.count(name, added, size)
	}
	over.children[base] = &node{layer: e.now, bytes: size}
	e.out.Layers[e.now].Bytes += size
	return nil
}

func (e *explorer) directory(file, name string, over *node) error {
	base := path.Base(name)
	old := over.children[base]
	if old == nil || old.children == nil {
		if old != nil {
			e.remove(name, old)
		}
		old = newFolder(e.now)
		over.children[base] = old
	}
	return e.folder(file, name, old)
}

// size counts a file with several names once, and of one with holes what it takes.
func (e *explorer) size(st *unix.Stat_t) int64 {
	if st.Nlink > 1 {
		if e.seen[st.Ino] {
			return 0
		}
		e.seen[st.Ino] = true
	}
	const tiny = 64 << 10 // what some file systems keep in the inode
	if taken := st.Blocks * 512; taken < st.Size && st.Size > tiny {
		return taken
	}
	return st.Size
}

// remove counts a file, or all below a directory, as gone.
func (e *explorer) remove(name string, old *node) {
	if old.children == nil {
		e.count(name, removed, old.bytes)
		e.wasted(name, old)
		return
	}
	for child, n := range old.children {
		e.remove(path.Join(name, child), n)
	}
}

// wasted counts the bytes of a version of a file that the image does not show.
func (e *explorer) wasted(name string, old *node) {
	e.out.Layers[old.layer].Wasted += old.bytes
	if old.bytes == 0 {
		return
	}
	w := e.waste[name]
	if w == nil {
		w = &platform.Waste{Path: "/" + name}
		e.waste[name] = w
	}
	w.Bytes += old.bytes
	w.Versions++
}

// change is what a layer does to a path.
type change int

const (
	added change = iota
	changed
	removed
)

func (e *explorer) count(name string, c change, bytes int64) {
	tally(&e.out.Layers[e.now].Changes, c, bytes)
	place, inside := e.place(name)
	if !inside {
		return
	}
	p := e.places[place]
	if p == nil {
		p = &platform.PathChanges{Number: e.now + 1, Path: "/" + place}
		e.places[place] = p
	}
	tally(&p.Changes, c, bytes)
}

func tally(c *platform.Changes, what change, bytes int64) {
	t := []*platform.Tally{&c.Added, &c.Changed, &c.Removed}[what]
	t.Files++
	t.Bytes += bytes
}

// place is the entry of the explored directory that the path belongs to, or the explored path itself.
func (e *explorer) place(name string) (string, bool) {
	if !e.detail || name == e.below {
		return name, e.detail
	}
	rest, inside := strings.CutPrefix(name, e.below+"/")
	if e.below == "" {
		rest, inside = name, true
	}
	first, _, _ := strings.Cut(rest, "/")
	return path.Join(e.below, first), inside
}

// mostWaste is how many of the wasted paths are told.
const mostWaste = 100

func (e *explorer) result() platform.Contents {
	for _, l := range e.out.Layers {
		e.out.Bytes += l.Bytes
		e.out.Wasted += l.Wasted
	}
	e.out.Efficiency = 1
	if e.out.Bytes > 0 {
		e.out.Efficiency = float64(e.out.Bytes-e.out.Wasted) / float64(e.out.Bytes)
	}
	for _, w := range e.waste {
		e.out.Waste = append(e.out.Waste, *w)
	}
	slices.SortFunc(e.out.Waste, func(a, b platform.Waste) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Path, b.Path))
	})
	e.out.Waste = e.out.Waste[:min(len(e.out.Waste), mostWaste)]
	return e.out
}

// Kept tells whether all of the layers are there. Unlike Has it keeps none of them from the collector.
func (s *Store) Kept(layers []string) bool {
	return !slices.ContainsFunc(layers, func(layer string) bool {
		there, err := exists(filepath.Join(s.dir, "layers", filepath.Base(layer)))
		return err == nil && !there
	})
}
