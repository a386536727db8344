package image

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"paas/platform"
)

// Many imports of images that share layers, at once: every layer is there and whole, nothing is left
// over, and one that fails takes nothing from the others.
func TestImportsAtOnce(t *testing.T) {
	s := openStore(t)
	shared := testLayer{tarOf(t, dir("shared"), file("shared/f", strings.Repeat("s", 1<<20))), ocispec.MediaTypeImageLayerZstd}
	var layouts []string
	for i := range 6 {
		own := testLayer{tarOf(t, file(fmt.Sprintf("own%d", i), "x")), ocispec.MediaTypeImageLayerGzip}
		if i == 3 {
			own = testLayer{tarOf(t, file("../escape", "x")), ocispec.MediaTypeImageLayerGzip}
		}
		layouts = append(layouts, layoutOf(t, shared, own, shared))
	}
	var wg sync.WaitGroup
	for i, dir := range layouts {
		wg.Go(func() {
			names, _, err := s.ImportLayout(t.Context(), dir, "")
			if (err != nil) != (i == 3) {
				t.Errorf("image %d: %v", i, err)
			}
			for _, name := range names {
				equal(t, "has "+name, s.Has(name), true)
			}
		})
	}
	wg.Wait()
	left, err := s.names("layers")
	check(t, err)
	equal(t, "layers", len(left), 6)
	leases, err := s.names("leases")
	check(t, err)
	equal(t, "leases", len(leases), 0)
	nothingLeft(t, s)
}

// Images in the wild have the same layer twice, the empty one most often; overlayfs refuses that.
func TestTheSameLayerTwice(t *testing.T) {
	for name, s := range map[string]*Store{"mapped": openStore(t), "shifted": reducedStore(t)} {
		twice := testLayer{tarOf(t, file("f", "twice"), file(".wh.gone", "")), ocispec.MediaTypeImageLayerZstd}
		between := testLayer{tarOf(t, file("f", "between"), file("gone", "x"), file("other", "o")), ocispec.MediaTypeImageLayerZstd}
		names, _, err := s.ImportLayout(t.Context(), layoutOf(t, twice, between, twice), "")
		check(t, err)
		m, err := s.Mount(t.Context(), Root{Layers: names, IDs: testIDs(t)})
		check(t, err)
		equal(t, name, inside(t, m, "cat f; echo; ls"), "twice\nf\nother")
		check(t, m.Close())
	}
}

func TestImportTellsWhatMadeALayer(t *testing.T) {
	l := testLayer{tarOf(t, file("f", "x")), ocispec.MediaTypeImageLayer}
	dir := layoutWith(t, l, func(c *ocispec.Image) {
		c.History = []ocispec.History{{CreatedBy: "ENV A=b", EmptyLayer: true}, {CreatedBy: "COPY f /"}, {CreatedBy: "too many"}}
	})
	s := openStore(t)
	names, _, err := s.ImportLayout(t.Context(), dir, "")
	check(t, err)
	equal(t, "note", s.Note(names[0]), "image: COPY f /")
}

// layoutWith is layoutOf with a changed configuration.
func layoutWith(t *testing.T, l testLayer, change func(*ocispec.Image)) string {
	t.Helper()
	dir := layoutOf(t, l)
	config := ocispec.Image{RootFS: ocispec.RootFS{DiffIDs: []digest.Digest{digest.FromBytes(l.plain)}}}
	change(&config)
	m := ocispec.Manifest{
		Config: blobOf(t, dir, ocispec.MediaTypeImageConfig, asJSON(t, config)),
		Layers: []ocispec.Descriptor{blobOf(t, dir, l.mediaType, l.packed(t))},
	}
	index := ocispec.Index{Manifests: []ocispec.Descriptor{blobOf(t, dir, ocispec.MediaTypeImageManifest, asJSON(t, m))}}
	write(t, filepath.Join(dir, "index.json"), string(asJSON(t, index)))
	return dir
}

func TestARefusedEntryIsNamed(t *testing.T) {
	s := openStore(t)
	fine := testLayer{tarOf(t, file("f", "x")), ocispec.MediaTypeImageLayer}
	bad := testLayer{tarOf(t, dir("dev"), special("dev/sda", tar.TypeBlock)), ocispec.MediaTypeImageLayerZstd}
	_, _, err := s.ImportLayout(t.Context(), layoutOf(t, fine, bad), "")
	var e *platform.Error
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`the image's layer %s cannot be used: entry "dev/sda": device nodes are refused`, digest.FromBytes(bad.plain))
	equal(t, "sentence", e.Message, want)
	nothingLeft(t, s)
}

func TestImportIntoTheReserveIsRefused(t *testing.T) {
	s, err := OpenWith(Options{Dir: openDir(t) + "/store", Reserve: 1 << 60})
	check(t, err)
	l := testLayer{tarOf(t, file("f", "x")), ocispec.MediaTypeImageLayer}
	_, _, err = s.ImportLayout(t.Context(), layoutOf(t, l), "")
	var e *platform.Error
	if !errors.As(err, &e) || !strings.Contains(e.Message, "reserve") {
		t.Error(err)
	}
	noLayers(t, s)
}

// Whatever an image's documents say, an import fails or gives what they promise.
func FuzzImageDocuments(f *testing.F) {
	l := testLayer{tarOf(f, file("f", "x")), ocispec.MediaTypeImageLayer}
	d := digest.FromBytes(l.plain)
	f.Add(asJSON(f, ocispec.Index{}), asJSON(f, ocispec.Manifest{}), asJSON(f, ocispec.Image{}))
	f.Add([]byte(`{"manifests":[{"digest":"MANIFEST","size":-1}]}`), []byte(`{"layers":[{"digest":"`+string(d)+`","size":2048}],"config":{"digest":"CONFIG"}}`),
		[]byte(`{"rootfs":{"diff_ids":["`+string(d)+`"]},"history":[{"created_by":"x"},{"empty_layer":true}]}`))
	f.Add([]byte(`{"manifests":[{"digest":"MANIFEST","mediaType":"`+ocispec.MediaTypeImageIndex+`"}]}`), []byte(`{"manifests":[{"digest":"MANIFEST"}]}`), []byte(`[]`))
	s, err := Open(filepath.Join(f.TempDir(), "store"))
	check(f, err)
	f.Fuzz(func(t *testing.T, index, manifest, config []byte) {
		dir := t.TempDir()
		blobOf(t, dir, l.mediaType, l.plain)
		manifest = withDescriptor(manifest, "CONFIG", blobOf(t, dir, "", config))
		index = withDescriptor(index, "MANIFEST", blobOf(t, dir, "", manifest))
		check(t, os.WriteFile(filepath.Join(dir, "index.json"), index, 0o600))
		names, _, err := s.ImportLayout(t.Context(), dir, "")
		if err == nil && len(names) == 0 {
			t.Error("an image without layers")
		}
		for _, name := range names {
			if !s.Has(name) {
				t.Errorf("%s is not there", name)
			}
		}
		nothingLeft(t, s)
	})
}

// withDescriptor puts a blob's digest and size where the document has a placeholder, so that most inputs
// get past the digest.
func withDescriptor(document []byte, placeholder string, d ocispec.Descriptor) []byte {
	size, _ := json.Marshal(d.Size)
	text := strings.ReplaceAll(string(document), `"`+placeholder+`"`, `"`+string(d.Digest)+`","size":`+string(size))
	return []byte(text)
}
