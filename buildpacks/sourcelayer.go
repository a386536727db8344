package buildpacks

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"paas/buildpacks/plan"
	"paas/platform"
)

// The source becomes a layer whole the first time. After that a build writes only what changed since the
// app's last one, as another layer on top, and whites out what is gone. Every layer costs a lookup, so when there are
// more than maxDeltas the next build shall start from fewer: they are squashed in the background, and a build that
// comes before that is done makes one from the whole layer itself, which takes the place of all the others.
const maxDeltas = 8

// addSource puts the step's files on top, in as many layers as they are in.
func (b *build) addSource(ctx context.Context, s plan.Step, files []platform.File) error {
	x := b.sourceIndex(s)
	last := x.read()
	key := filesKey(files)
	layers, ok := last.find(key)
	if !ok || !b.usable(layers, last.hidden) {
		var err error
		if layers, err = b.writeSource(ctx, x, last, key, files); err != nil {
			return err
		}
	} else {
		b.req.Story.Line("Using the same files as before")
	}
	for _, layer := range layers {
		b.stack(layer, !s.Build)
	}
	b.steps = append(b.steps, layers...)
	b.key = keyOf("source", b.key, key)
	return nil
}

// delta is a layer to write over others.
type delta struct {
	over   []string        // the layers below it, bottom first
	write  []platform.File // in path order
	white  []string        // paths to white out
	hidden []string        // paths that a lower layer must not have: see usable
}

// writeSource writes the files as the cheapest layer that will do, and remembers them.
func (b *build) writeSource(ctx context.Context, x sourceIndex, last written, key string, files []platform.File) ([]string, error) {
	d := b.chooseDelta(x, last, files)
	now, err := b.sourceLayer(ctx, d, key, files)
	if err != nil {
		return nil, err
	}
	unlock, err := b.locks.lock(ctx, "index "+string(x))
	if err != nil {
		return nil, err
	}
	defer unlock()
	if slices.Equal(d.over, last.layers) {
		now.recent = last.recent // what they hide is hidden here too
	}
	now.remember(key)
	if len(d.over) == 0 {
		if err := x.base().write(now); err != nil {
			return nil, err
		}
	}
	if b.wantsSquash(now) {
		b.squashes = append(b.squashes, squash{x, slices.Clone(b.steps)})
	}
	return now.layers, x.write(now)
}

// sourceLayer makes the layer of a delta.
func (b *build) sourceLayer(ctx context.Context, d delta, key string, files []platform.File) (now written, err error) {
	layer := b.own(keyOf("source layer", d.over, key))
	err = b.layer(ctx, b.req.Story, product{layer, sourceNote(d)}, func(upper string) error {
		if err := writeFiles(ctx, upper, b.req.Source, d.write); err != nil {
			return err
		}
		return whiteOut(upper, d.white)
	})
	return written{layers: append(slices.Clone(d.over), layer), hidden: d.hidden, files: files}, err
}

// sourceNote says what is in a layer of the source.
func sourceNote(d delta) string {
	if len(d.over) == 0 {
		return fmt.Sprintf("source: %d files", len(d.write))
	}
	return fmt.Sprintf("source: %d files changed, %d removed", len(d.write), len(d.white))
}

func (b *build) chooseDelta(x sourceIndex, last written, files []platform.File) delta {
	if len(last.layers) > 0 && len(last.layers) <= maxDeltas && !b.heavy(last.layers) {
		if d := last.delta(files); b.worth(d, files) {
			return d
		}
	}
	if len(last.layers) > 1 {
		if d := x.base().read().delta(files); b.worth(d, files) {
			return d
		}
	}
	return delta{write: files}
}

// heavySlack is how many bytes deltas may have beside as many as the whole layer.
const heavySlack = 16 << 20

// heavy tells whether the deltas over a whole layer weigh more than it: every release with them keeps what
// later ones replaced. It asks for no size that is not known already.
func (b *build) heavy(layers []string) bool {
	whole := b.Images.KnownBytes(layers[:1])
	return whole > 0 && b.Images.KnownBytes(layers[1:]) > whole+heavySlack
}

// worth tells whether the delta is right here, and cheaper than all the files.
func (b *build) worth(d delta, files []platform.File) bool {
	return len(d.over) > 0 && 2*(len(d.write)+len(d.white)) < len(files) && b.usable(d.over, d.hidden)
}

// usable tells whether source layers are all there and make the same tree here as files written whole: they
// hide some paths, which is right only while no step below, such as the one that installs dependencies,
// left something there.
func (b *build) usable(layers, hidden []string) bool {
	for _, l := range layers {
		if b.holding.hold(l) != nil || !b.Images.Has(l) {
			return false
		}
	}
	for _, l := range b.steps {
		if holdsAny(b.Images.Dir(l)+appDir, hidden) {
			return false
		}
	}
	return true
}

// holdsAny errs on the side of yes.
func holdsAny(dir string, paths []string) bool {
	if len(paths) == 0 {
		return false
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	defer func() { _ = root.Close() }()
	return slices.ContainsFunc(paths, func(p string) bool {
		_, err := root.Lstat(p)
		return !errors.Is(err, fs.ErrNotExist)
	})
}

// delta is what makes files of s, or nothing usable if s is empty.
func (s written) delta(files []platform.File) delta {
	d := delta{over: s.layers, hidden: slices.Clone(s.hidden)}
	gone := func(p string) {
		top, white := goneTop(p, files)
		d.hidden = append(d.hidden, top)
		if white && (len(d.white) == 0 || d.white[len(d.white)-1] != top) {
			d.white = append(d.white, top)
		}
	}
	before := s.files
	for _, f := range files {
		for len(before) > 0 && before[0].Path < f.Path {
			gone(before[0].Path)
			before = before[1:]
		}
		if len(before) > 0 && before[0].Path == f.Path {
			if before[0] == f {
				before = before[1:]
				continue
			}
			before = before[1:]
		}
		d.write = append(d.write, f)
	}
	for _, f := range before {
		gone(f.Path)
	}
	slices.Sort(d.hidden)
	d.hidden = slices.Compact(d.hidden)
	return d
}

// goneTop is the topmost path that is gone with p: a directory of which nothing is left goes as one. It
// need not be whited out when what took its place hides it.
func goneTop(p string, files []platform.File) (top string, white bool) {
	if dirIn(files, p) {
		return p, false
	}
	top = p
	for d := path.Dir(p); d != "." && !dirIn(files, d); d = path.Dir(d) {
		top = d
	}
	i := search(files, top)
	return top, i == len(files) || files[i].Path != top
}

// dirIn tells whether files, in path order, has something below dir.
func dirIn(files []platform.File, dir string) bool {
	i := search(files, dir+"/")
	return i < len(files) && strings.HasPrefix(files[i].Path, dir+"/")
}

func search(files []platform.File, p string) int {
	i, _ := slices.BinarySearchFunc(files, p, func(f platform.File, p string) int { return strings.Compare(f.Path, p) })
	return i
}
