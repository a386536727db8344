package buildpacks

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"paas/platform"
	"paas/runtime/image"
)

// smallBase makes a base image of a few files; text makes it another one.
func smallBase(t *testing.T, e *Engine, text string) platform.Stack {
	t.Helper()
	layer, err := e.content(t.Context(), "base image: "+text, func(d *image.Draft) error {
		for name, content := range map[string]string{
			"etc/debian_version": "13.7\n", "etc/os-release": "ID=debian\nVERSION_CODENAME=trixie\n", "usr/lib/libssl.so": text,
		} {
			path := filepath.Join(d.Dir, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
				return err
			}
			if err := os.Chtimes(path, longAgo, longAgo); err != nil {
				return err
			}
		}
		for _, dir := range []string{"etc", "usr/lib", "usr"} {
			if err := os.Chtimes(filepath.Join(d.Dir, dir), longAgo, longAgo); err != nil {
				return err
			}
		}
		return nil
	})
	check(t, err)
	s, err := e.describe(platform.Stack{Name: "debian", Layer: layer, Kind: debianKind(), Source: "Debian packages"})
	check(t, err)
	return s
}

var longAgo = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// layerOf makes a layer with one file.
func layerOf(t *testing.T, e *Engine, name, path string) string {
	t.Helper()
	draft, err := e.Images.Draft()
	check(t, err)
	full := filepath.Join(draft.Dir, path)
	check(t, os.MkdirAll(filepath.Dir(full), 0o755))
	check(t, os.WriteFile(full, []byte(name), 0o644))
	check(t, draft.Commit(name))
	return name
}

// A base is named by what is in it: the same on another host, another one when a package is newer.
func TestBasesAreNamedByContent(t *testing.T) {
	a, b := bareEngine(t, nil), bareEngine(t, nil)
	one, same, newer := smallBase(t, a, "1.0"), smallBase(t, b, "1.0"), smallBase(t, b, "1.1")
	if one.Layer != same.Layer || one.Layer == newer.Layer || one.Debian != "13.7" {
		t.Errorf("bases %+v, %+v, %+v", one, same, newer)
	}
	if a.BuildVariant(one) != b.BuildVariant(same) || b.BuildVariant(same) == b.BuildVariant(newer) {
		t.Error("the build variant does not go with its base")
	}
}

// A base that was made here is found again, by this engine and by another one over the same store, and comes back
// from its blob when its layer is gone.
func TestBaseIsFoundAgain(t *testing.T) {
	e := bareEngine(t, nil)
	story := platform.NewStory(t.Output(), nil)
	layer, err := e.content(t.Context(), baseNote(), func(d *image.Draft) error {
		return os.WriteFile(filepath.Join(d.Dir, "file"), []byte("x"), 0o644)
	})
	check(t, err)
	if found, err := e.baseLayer(t.Context(), story); err != nil || found != layer {
		t.Errorf("found %q by its note: %v", found, err)
	}
	check(t, e.keep(pin(), []string{layer}))
	check(t, os.RemoveAll(e.Images.Dir(layer)))
	if found, err := e.baseLayer(t.Context(), story); err != nil || found != layer || !e.Images.Has(layer) {
		t.Errorf("restored %q: %v", found, err)
	}
	check(t, os.RemoveAll(e.Images.Dir(layer)))
	blob, err := os.OpenFile(e.blobPath(layer), os.O_RDWR, 0)
	check(t, err)
	_, err = blob.WriteAt([]byte("damage"), 20)
	check(t, errors.Join(err, blob.Close()))
	if err := e.restore(t.Context(), layer); err == nil || e.Images.Has(layer) {
		t.Errorf("a damaged blob was restored: %v", err)
	}
	if err := e.RestoreBase(t.Context(), platform.Stack{Name: "x", Layer: "sha256-" + strings.Repeat("0", 32)}); platform.KindOf(err) != platform.NotFound {
		t.Errorf("what never was: %v", err)
	}
}

// A stack goes to another host in a file, with its build variant, under its own names; half of it is refused.
func TestStackFile(t *testing.T) {
	a, b := bareEngine(t, nil), bareEngine(t, nil)
	s := smallBase(t, a, "1.0")
	layerOf(t, a, a.BuildVariant(s), "usr/bin/cc")
	var file bytes.Buffer
	check(t, a.ExportBase(t.Context(), s, &file))
	for _, part := range []int{0, 10, file.Len() / 2, file.Len() - 20} {
		if _, err := b.ImportBase(t.Context(), bytes.NewReader(file.Bytes()[:part])); platform.KindOf(err) != platform.Failed {
			t.Errorf("%d of %d bytes: %v", part, file.Len(), err)
		}
	}
	got, err := b.ImportBase(t.Context(), bytes.NewReader(file.Bytes()))
	check(t, err)
	if got.Layer != s.Layer || got.Kind != s.Kind || got.Debian != "13.7" {
		t.Errorf("imported %+v of %+v", got, s)
	}
	if _, err := os.Stat(filepath.Join(b.Images.Dir(b.BuildVariant(got)), "usr/bin/cc")); err != nil {
		t.Error(err)
	}
	check(t, b.RetainBlobs(map[string]bool{got.Layer: true}))
	left, err := filepath.Glob(filepath.Join(b.Dir, "stacks", "*"))
	if check(t, err); len(left) != 2 {
		t.Errorf("blobs %v stay", left)
	}
}

// Another version goes below an image's own layers, and the result is what a build over it would be.
func TestRebase(t *testing.T) {
	e := bareEngine(t, nil)
	old, next := smallBase(t, e, "1.0"), smallBase(t, e, "1.1")
	names := []string{"python3"}
	for _, s := range []platform.Stack{old, next} {
		layerOf(t, e, packagesKey(s.Layer, names), "usr/bin/python3")
	}
	app, tool := layerOf(t, e, "app-layer", "app/main"), layerOf(t, e, "tool-layer", "usr/local/bin/tool")
	built := func(s platform.Stack) platform.Image {
		packages := packagesKey(s.Layer, names)
		img, err := named(platform.Image{
			Layers: []string{s.Layer, packages, tool, app}, WorkDir: "/app",
			Stack: &platform.Footing{Stack: s.Name, Kind: s.Kind, Layer: s.Layer, Key: "key", Packages: map[string][]string{packages: names}},
		})
		check(t, err)
		return img
	}
	story := platform.NewStory(t.Output(), nil)
	got, err := e.Rebase(t.Context(), built(old), next, story)
	check(t, err)
	if want := built(next); got.ID != want.ID || !slices.Equal(got.Layers, want.Layers) || got.ID == built(old).ID {
		t.Errorf("rebased %+v, want %+v", got, want)
	}
	back, err := e.Rebase(t.Context(), got, old, story)
	if check(t, err); back.ID != built(old).ID {
		t.Errorf("and back %+v", back)
	}
	for name, path := range map[string]string{"layer-of-etc": "etc/passwd", "layer-of-usr": "usr/lib/x", "layer-of-dpkg": "var/lib/dpkg/status"} {
		img := built(old)
		img.Layers = append(img.Layers, layerOf(t, e, name, path))
		if _, err := e.Rebase(t.Context(), img, next, story); platform.KindOf(err) != platform.Conflict {
			t.Errorf("%s is rebased: %v", name, err)
		}
	}
	committed := built(old)
	committed.Layers, committed.ID = append(committed.Layers, layerOf(t, e, "more", "app/more")), "sha256:other"
	if got, err := e.Rebase(t.Context(), committed, next, story); err != nil || got.ID == built(next).ID {
		t.Errorf("an image with more in it has the id of one without: %v", err)
	}
	next.Kind = "Debian forky, recipe 1"
	if _, err := e.Rebase(t.Context(), built(old), next, story); platform.KindOf(err) != platform.Conflict {
		t.Errorf("another Debian: %v", err)
	}
	if _, err := e.Rebase(t.Context(), platform.Image{Layers: []string{app}}, old, story); platform.KindOf(err) != platform.Conflict {
		t.Errorf("an image from elsewhere: %v", err)
	}
}

// What steps leave where something was mounted keeps no app from being rebased: empty files that hide nothing. It
// did, with pip's configuration in /etc.
func TestMountStubsDoNotKeepAppsFromRebase(t *testing.T) {
	e := bareEngine(t, nil)
	old, next := smallBase(t, e, "1.0"), smallBase(t, e, "1.1")
	story := platform.NewStory(t.Output(), nil)
	rebase := func(name, path string) error {
		layer := layerOf(t, e, name, path)
		check(t, os.Truncate(filepath.Join(e.Images.Dir(layer), path), 0))
		img := platform.Image{Layers: []string{old.Layer, layer}, Stack: &platform.Footing{Stack: "debian", Kind: old.Kind, Layer: old.Layer}}
		_, err := e.Rebase(t.Context(), img, next, story)
		return err
	}
	if err := rebase("stub", "etc/pip.conf"); err != nil {
		t.Errorf("a stub: %v", err)
	}
	if err := rebase("emptied", "etc/debian_version"); platform.KindOf(err) != platform.Conflict {
		t.Errorf("a file of the base made empty: %v", err)
	}
}

// Only Debian of the suite that toolchains are packaged for can be a stack.
func TestBaseMustSuit(t *testing.T) {
	e := bareEngine(t, nil)
	layer := layerOf(t, e, "other", "etc/os-release")
	_, err := e.BaseOf(t.Context(), platform.Image{Layers: []string{layer}}, platform.NewStory(t.Output(), nil))
	if platform.KindOf(err) != platform.Failed || !strings.Contains(err.Error(), "must be Debian trixie") {
		t.Errorf("BaseOf: %v", err)
	}
}
