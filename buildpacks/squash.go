package buildpacks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"paas/platform"
)

// squash is what to do when an app's source lies in as many deltas as it may, or in ones that weigh too much: the
// layers that the next build starts from are made ahead, while nobody waits for them. They are those that this
// build would have made then, of the same files.
type squash struct {
	index sourceIndex
	steps []string // the layers below with something in /app
}

// wantsSquash tells whether another delta would be too many.
func (b *build) wantsSquash(s written) bool { return len(s.layers) > maxDeltas || b.heavy(s.layers) }

// squashLater does it in the background. The layers that are there hold the files: the push's objects may be gone.
func (b *build) squashLater() {
	for _, s := range b.squashes {
		b.sweeps.Go(func() {
			behind := &build{Engine: b.Engine, steps: s.steps}
			behind.req.App, behind.req.Team, behind.req.Alone, behind.req.Story = b.req.App, b.req.Team, b.req.Alone, platform.NewStory(io.Discard, nil)
			if err := behind.squash(b.life, s); err != nil && b.life.Err() == nil {
				b.Log.Warn("squash the source's layers", "app", b.req.App.Name, "err", err)
			}
		})
	}
}

func (b *build) squash(ctx context.Context, s squash) error {
	done, err := b.Engine.begin(b.req.App.ID)
	if err != nil {
		return err
	}
	defer done()
	last := s.index.read()
	if !b.wantsSquash(last) || !b.usable(last.layers, nil) || b.Images.Room() != nil {
		return nil
	}
	tree, err := b.layered(last)
	if err != nil {
		return err
	}
	b.req.Source = tree
	d := s.index.base().read().delta(last.files)
	if b.heavy(last.layers) || !b.worth(d, last.files) {
		d = delta{write: last.files}
	}
	now, err := b.sourceLayer(ctx, d, filesKey(last.files), last.files)
	if err != nil {
		return err
	}
	return b.replaceSource(ctx, s.index, last, now)
}

// replaceSource notes the new layers, unless a build has noted others meanwhile.
func (b *build) replaceSource(ctx context.Context, x sourceIndex, last, now written) error {
	unlock, err := b.locks.lock(ctx, "index "+string(x))
	if err != nil {
		return err
	}
	defer unlock()
	if !slices.Equal(x.read().layers, last.layers) {
		return nil
	}
	now.recent = slices.DeleteFunc(last.recent, func(r recent) bool { return slices.Equal(r.layers, last.layers) })
	now.remember(filesKey(now.files))
	if len(now.layers) == 1 {
		if err := x.base().write(now); err != nil {
			return err
		}
	}
	return errors.Join(x.write(now), b.rememberSquashed(b.req.App.ID, now.layers))
}

// layered is the source as its layers hold it.
type layered struct {
	files []platform.File
	at    map[string]string // where a content is, by its id
}

func (b *build) layered(s written) (*layered, error) {
	t := &layered{files: s.files, at: map[string]string{}}
	var roots []*os.Root
	defer func() {
		for _, root := range roots {
			_ = root.Close()
		}
	}()
	for _, layer := range slices.Backward(s.layers) {
		root, err := os.OpenRoot(b.Images.Dir(layer) + appDir)
		if err != nil {
			return nil, err
		}
		roots = append(roots, root)
	}
	for _, f := range s.files {
		i := slices.IndexFunc(roots, func(root *os.Root) bool { _, err := root.Lstat(f.Path); return err == nil })
		if i < 0 {
			return nil, fmt.Errorf("no layer has %q", f.Path)
		}
		t.at[f.ID] = filepath.Join(roots[i].Name(), f.Path)
	}
	return t, nil
}

// ID implements platform.Tree: nobody asks.
func (t *layered) ID() string { return "" }

// Files implements platform.Tree.
func (t *layered) Files() ([]platform.File, error) { return t.files, nil }

// Open implements platform.Tree. A link's content is where it leads to.
func (t *layered) Open(id string) (io.ReadCloser, error) {
	if target, err := os.Readlink(t.at[id]); err == nil {
		return io.NopCloser(strings.NewReader(target)), nil
	}
	return os.Open(t.at[id])
}
