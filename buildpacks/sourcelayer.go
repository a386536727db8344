package buildpacks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"paas/buildpacks/plan"
	"paas/platform"
)

// The source's layer is a delta over the same app's layer of its last build: only changed blobs are
// written, deleted paths are whited out. maxDelta layers deep it is written whole again, since every
// layer costs a lookup.
const maxDelta = 8

// written is what an app's last source layers hold.
type written struct {
	Key    string            `json:"key"`
	Layers []string          `json:"layers"` // bottom first
	Files  map[string]string `json:"files"`  // path -> mode and blob id
}

func (b *build) addSource(ctx context.Context, s plan.Step, files []platform.File) error {
	key := keyOf("source", fileKey(files))
	unlock := b.locks.lock(key)
	defer unlock()
	layers, ok := b.knownLayers(key)
	if !ok {
		var err error
		if layers, err = b.writeSource(ctx, key, files); err != nil {
			return err
		}
	} else {
		b.req.Story.Line("Using the same source as before")
	}
	for _, layer := range layers {
		b.layers = append(b.layers, layer)
		if !s.Build {
			b.image = append(b.image, layer)
		}
	}
	b.key = keyOf("layer", b.key, key)
	return nil
}

// writeSource writes the files as a delta if that is less, else whole, and remembers both ways.
func (b *build) writeSource(ctx context.Context, key string, files []platform.File) ([]string, error) {
	before := b.lastSource()
	now := written{Key: key, Files: map[string]string{}}
	var changed []platform.File
	for _, f := range files {
		mark := strconv.FormatUint(uint64(f.Mode), 8) + " " + f.ID
		now.Files[f.Path] = mark
		if before.Files[f.Path] != mark {
			changed = append(changed, f)
		}
	}
	removed := removedPaths(before.Files, now.Files)
	delta := len(before.Layers) > 0 && len(before.Layers) < maxDelta && 2*(len(changed)+len(removed)) < len(files)
	if !delta {
		changed, removed, before.Layers = files, nil, nil
	}
	layer := keyOf("written", before.Layers, key)
	if err := b.commitSource(ctx, layer, changed, removed); err != nil {
		return nil, err
	}
	now.Layers = append(slices.Clone(before.Layers), layer)
	return now.Layers, b.remember(now)
}

func (b *build) commitSource(ctx context.Context, layer string, changed []platform.File, removed []string) error {
	draft, err := b.Images.Draft()
	if err != nil {
		return err
	}
	defer func() { _ = draft.Discard() }()
	if err := writeFiles(ctx, draft.Dir, b.req.Source, changed); err != nil {
		return err
	}
	for _, p := range removed {
		if err := whiteout(draft.Dir, p); err != nil {
			return fmt.Errorf("white out %q: %w", p, err)
		}
	}
	return draft.Commit(layer)
}

// removedPaths are the topmost paths that were there and are not: a directory of which nothing is left
// goes as one. A path that became a directory, or was one, is hidden by what took its place.
func removedPaths(before, now map[string]string) (removed []string) {
	dirs := map[string]bool{}
	for p := range now {
		for d := path.Dir(p); d != "." && !dirs[d]; d = path.Dir(d) {
			dirs[d] = true
		}
	}
	seen := map[string]bool{}
	for p := range before {
		if _, stays := now[p]; stays || dirs[p] {
			continue
		}
		top := p
		for d := path.Dir(p); d != "." && !dirs[d]; d = path.Dir(d) {
			top = d
		}
		if _, replaced := now[top]; !replaced && !seen[top] {
			seen[top] = true
			removed = append(removed, top)
		}
	}
	return removed
}

func (b *build) lastSource() (w written) {
	text, err := os.ReadFile(b.sourceIndex())
	if err != nil || json.Unmarshal(text, &w) != nil || !b.haveAll(w.Layers) {
		return written{}
	}
	return w
}

func (b *build) sourceIndex() string {
	return filepath.Join(b.Dir, "index", fmt.Sprintf("app-%d.json", b.req.App.ID))
}

// knownLayers finds layers that hold exactly the source.
func (b *build) knownLayers(key string) (layers []string, ok bool) {
	text, err := os.ReadFile(filepath.Join(b.Dir, "index", key))
	if err != nil {
		return nil, false
	}
	layers = strings.Fields(string(text))
	return layers, len(layers) > 0 && b.haveAll(layers)
}

func (b *build) haveAll(layers []string) bool {
	for _, l := range layers {
		if !b.Images.Has(l) {
			return false
		}
	}
	return true
}

// remember writes both indexes. They are caches: losing one costs a whole layer, no more.
func (b *build) remember(w written) error {
	text, err := json.Marshal(w)
	if err != nil {
		return err
	}
	return errors.Join(replace(b.sourceIndex(), text),
		replace(filepath.Join(b.Dir, "index", w.Key), []byte(strings.Join(w.Layers, "\n")+"\n")))
}

// replace writes a small file atomically.
func replace(name string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
