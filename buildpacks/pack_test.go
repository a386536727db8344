package buildpacks

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"paas/buildpacks/dockerfile/wire"
	"paas/buildpacks/plan"
	"paas/platform"
)

// appLayout writes what a lifecycle makes of the run image in the layout: one layer more, with absolute names.
func appLayout(t *testing.T, upper string, runs wire.Base) string {
	t.Helper()
	dir := filepath.Join(upper, packLayout, packPath(packApp))
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for _, h := range []tar.Header{{Name: "/workspace", Typeflag: tar.TypeDir, Mode: 0o755}, {Name: "/workspace/page", Typeflag: tar.TypeReg, Mode: 0o644, Size: 2}} {
		check(t, w.WriteHeader(&h))
		_, err := w.Write([]byte("hi")[:h.Size])
		check(t, err)
	}
	check(t, w.Close())
	id := digest.FromBytes(layer.Bytes())
	config := ocispec.Image{RootFS: ocispec.RootFS{Type: "layers", DiffIDs: append(packDiffs(runs, ocispec.Image{}), id)}}
	m := ocispec.Manifest{}
	for _, d := range config.RootFS.DiffIDs {
		m.Layers = append(m.Layers, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: d})
	}
	check(t, os.MkdirAll(filepath.Join(dir, "blobs/sha256"), 0o755))
	check(t, os.WriteFile(filepath.Join(dir, "blobs/sha256", id.Encoded()), layer.Bytes(), 0o600))
	var err error
	m.Config, err = writeBlob(dir, ocispec.MediaTypeImageConfig, config)
	check(t, err)
	d, err := writeBlob(dir, ocispec.MediaTypeImageManifest, m)
	check(t, err)
	text, err := json.Marshal(ocispec.Index{Manifests: []ocispec.Descriptor{d}})
	check(t, err)
	check(t, os.WriteFile(filepath.Join(dir, ocispec.ImageIndexFile), text, 0o600))
	return dir
}

// What a builder image's lifecycle has written becomes layers over the run image's, and nothing of the host is read
// for it, whatever strangers' programs have put there.
func TestUnpackApp(t *testing.T) {
	e := bareEngine(t, nil)
	base, err := e.Images.Draft()
	check(t, err)
	check(t, base.Commit("runs"))
	runs := wire.Base{Layers: []string{"runs"}, Config: []byte(`{"config":{"Env":["A=1"]}}`)}
	b := &build{Engine: e}
	upper := t.TempDir()
	dir := appLayout(t, upper, runs)
	made, err := b.unpackApp(t.Context(), builderImage{runs: runs}, upper)
	check(t, err)
	if len(made.Layers) != 2 || made.Layers[0] != "runs" {
		t.Fatalf("layers %v", made.Layers)
	}
	if text, err := os.ReadFile(filepath.Join(e.Images.Dir(made.Layers[1]), "workspace/page")); string(text) != "hi" {
		t.Errorf("the layer has %q, %v", text, err)
	}
	for name, spoil := range map[string]func() error{
		"an index that leads out": func() error { return os.Symlink("/etc/passwd", filepath.Join(dir, ocispec.ImageIndexFile)) },
		"an index that is a pipe": func() error { return os.Mkdir(filepath.Join(dir, ocispec.ImageIndexFile), 0o755) },
		"a digest that leads elsewhere": func() error {
			return os.WriteFile(filepath.Join(dir, ocispec.ImageIndexFile), []byte(`{"manifests":[{"digest":"sha256:../../../../etc/passwd"}]}`), 0o600)
		},
		"none": func() error { return os.RemoveAll(dir) },
	} {
		check(t, os.MkdirAll(dir, 0o755)) // "none" may have been the first
		check(t, os.RemoveAll(filepath.Join(dir, ocispec.ImageIndexFile)))
		check(t, spoil())
		if _, err := b.unpackApp(t.Context(), builderImage{runs: runs}, upper); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// A project.toml says which builder image; what it cannot be asked for is refused with a sentence.
func TestPlanOfABuilderImage(t *testing.T) {
	for text, want := range map[string]string{
		"[io.buildpacks]\nbuilder = \"example.org/b:1\"\n[[io.buildpacks.build.env]]\nname = \"A\"\nvalue = \"1\"\n":             "example.org/b:1",
		"[io.buildpacks]\nbuilder = \"example.org/b:1\"\n[[io.buildpacks.group]]\nid = \"x/y\"\n":                                "beside a builder image",
		"[[io.buildpacks.group]]\nid = \"x/y\"\n":                                                                                "no builder image",
		"[[io.buildpacks.group]]\nid = \"x/y\"\n[io.buildpacks.group.script]\napi = \"0.10\"\ninline = \"true\"\nshell=\"sh\"\n": "not supported",
	} {
		_, p, err := Choose(t.Context(), platform.BuildRequest{Source: files("project.toml", text, "a", "1")})
		if err != nil {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v", text, err)
			}
			continue
		}
		if p.Builder != plan.Pack || p.BuilderImage != want || p.BuildEnv["A"] != "1" || len(p.Steps) != 0 {
			t.Errorf("%q: %+v", text, p)
		}
	}
}
