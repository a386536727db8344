package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"paas/platform"
)

// testLayer is a layer as a foreign tool would write it.
type testLayer struct {
	plain     []byte
	mediaType string
}

func (l testLayer) packed(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	switch l.mediaType {
	case ocispec.MediaTypeImageLayerGzip, dockerGzip:
		z := gzip.NewWriter(&b)
		_, err := z.Write(l.plain)
		check(t, errors.Join(err, z.Close()))
	case ocispec.MediaTypeImageLayerZstd:
		z, err := zstd.NewWriter(&b)
		check(t, err)
		_, err = z.Write(l.plain)
		check(t, errors.Join(err, z.Close()))
	default:
		return l.plain
	}
	return b.Bytes()
}

// layoutOf writes an image layout with one image for this machine, tagged v1.
func layoutOf(t testing.TB, layers ...testLayer) string {
	t.Helper()
	dir := t.TempDir()
	var m ocispec.Manifest
	config := ocispec.Image{Config: ocispec.ImageConfig{Env: []string{"A=b"}, User: "1000"}}
	for _, l := range layers {
		m.Layers = append(m.Layers, blobOf(t, dir, l.mediaType, l.packed(t)))
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(l.plain))
	}
	m.Config = blobOf(t, dir, ocispec.MediaTypeImageConfig, asJSON(t, config))
	d := blobOf(t, dir, ocispec.MediaTypeImageManifest, asJSON(t, m))
	inner := ocispec.Index{Manifests: []ocispec.Descriptor{
		{Digest: "sha256:" + digest.Digest(strings.Repeat("0", 64)), Platform: &ocispec.Platform{OS: "plan9", Architecture: "mips"}}, d,
	}}
	nested := blobOf(t, dir, ocispec.MediaTypeImageIndex, asJSON(t, inner))
	nested.Annotations = map[string]string{ocispec.AnnotationRefName: "v1"}
	write(t, filepath.Join(dir, "index.json"), string(asJSON(t, ocispec.Index{Manifests: []ocispec.Descriptor{nested}})))
	write(t, filepath.Join(dir, "oci-layout"), `{"imageLayoutVersion":"1.0.0"}`)
	return dir
}

func blobOf(t testing.TB, dir, mediaType string, data []byte) ocispec.Descriptor {
	t.Helper()
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	path := filepath.Join(dir, "blobs/sha256", d.Digest.Encoded())
	check(t, os.MkdirAll(filepath.Dir(path), 0o755))
	check(t, os.WriteFile(path, data, 0o644))
	return d
}

func asJSON(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	check(t, err)
	return data
}

func TestImportLayout(t *testing.T) {
	layers := []testLayer{
		{tarOf(t, dir("etc"), file("etc/passwd", "root"), file("gone", "x")), ocispec.MediaTypeImageLayerGzip},
		{tarOf(t, file(".wh.gone", "")), ocispec.MediaTypeImageLayerZstd},
		{tarOf(t, file("etc/hosts", "h")), ocispec.MediaTypeImageLayer},
		{tarOf(t, file("etc/docker", "d")), dockerGzip},
	}
	from := layoutOf(t, layers...)
	for kind, from := range map[string]string{"directory": from, "archive": tarOfDir(t, from)} {
		t.Run(kind, func(t *testing.T) {
			s := openStore(t)
			names, config, err := s.ImportLayout(t.Context(), from, "v1")
			check(t, err)
			equal(t, "environment", fmt.Sprint(config.Config.Env), "[A=b]")
			equal(t, "first name", names[0], "sha256-"+digest.FromBytes(layers[0].plain).Encoded()[:32])
			var lowers []string
			for _, name := range names {
				lowers = append(lowers, s.Dir(name))
			}
			m, err := Overlay(MountSpec{Lowers: lowers, UserNS: userns(t)})
			check(t, err)
			equal(t, "files", inside(t, m, "echo *; echo etc/*; cat etc/passwd"), "etc\netc/docker etc/hosts etc/passwd\nroot")
			check(t, m.Close())
			again, _, err := s.ImportLayout(t.Context(), from, "")
			check(t, err)
			equal(t, "again", fmt.Sprint(again), fmt.Sprint(names))
			nothingLeft(t, s)
		})
	}
}

func TestImportOfWhatIsNotThere(t *testing.T) {
	s := openStore(t)
	_, _, err := s.ImportLayout(t.Context(), layoutOf(t, testLayer{tarOf(t), ocispec.MediaTypeImageLayer}), "v2")
	equal(t, "kind of "+fmt.Sprint(err), platform.KindOf(err), platform.NotFound)
	if _, _, err := s.ImportLayout(t.Context(), "/nonexistent", ""); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// A damaged or lying layer is refused whole.
func TestImportOfDamagedLayers(t *testing.T) {
	good := testLayer{tarOf(t, file("f", strings.Repeat("content", 1000))), ocispec.MediaTypeImageLayerGzip}
	packed := good.packed(t)
	blob := filepath.Join("blobs/sha256", digest.FromBytes(packed).Encoded())
	for name, damaged := range map[string][]byte{
		"truncated":         packed[:len(packed)-9],
		"longer":            append(packed[:len(packed):len(packed)], "tail"...),
		"a bit flipped":     append([]byte{packed[0], packed[1], packed[2], packed[3], packed[4] ^ 1}, packed[5:]...),
		"another layer":     testLayer{tarOf(t, file("f", "evil")), good.mediaType}.packed(t),
		"empty":             {},
		"no gzip after all": good.plain,
	} {
		t.Run(name, func(t *testing.T) {
			s, from := openStore(t), layoutOf(t, good)
			check(t, os.WriteFile(filepath.Join(from, blob), damaged, 0o644))
			_, _, err := s.ImportLayout(t.Context(), from, "")
			if err == nil {
				t.Error("it was taken")
			}
			noLayers(t, s)
		})
	}
}

// The compressed blob is right, and the configuration lies about what is in it.
func TestImportChecksTheDiffID(t *testing.T) {
	s, from := openStore(t), t.TempDir()
	l := testLayer{tarOf(t, file("f", "x")), ocispec.MediaTypeImageLayerGzip}
	config := ocispec.Image{RootFS: ocispec.RootFS{DiffIDs: []digest.Digest{digest.FromString("other")}}}
	m := ocispec.Manifest{
		Config: blobOf(t, from, ocispec.MediaTypeImageConfig, asJSON(t, config)),
		Layers: []ocispec.Descriptor{blobOf(t, from, l.mediaType, l.packed(t))},
	}
	index := ocispec.Index{Manifests: []ocispec.Descriptor{blobOf(t, from, ocispec.MediaTypeImageManifest, asJSON(t, m))}}
	write(t, filepath.Join(from, "index.json"), string(asJSON(t, index)))
	_, _, err := s.ImportLayout(t.Context(), from, "")
	if err == nil || !strings.Contains(err.Error(), "the content is not sha256:") {
		t.Error(err)
	}
	noLayers(t, s)
}

func TestImportStopsWithItsContext(t *testing.T) {
	s := openStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := s.ImportLayout(ctx, layoutOf(t, testLayer{tarOf(t, file("f", "x")), ocispec.MediaTypeImageLayer}), "")
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	noLayers(t, s)
}

func TestImportOfAHostileLayer(t *testing.T) {
	s := openStore(t)
	bad := testLayer{tarOf(t, file("fine", "x"), symlink("a", "/tmp"), file("a/escape", "x")), ocispec.MediaTypeImageLayerZstd}
	_, _, err := s.ImportLayout(t.Context(), layoutOf(t, bad), "")
	if err == nil || !strings.Contains(err.Error(), `entry "a/escape"`) {
		t.Error(err)
	}
	noLayers(t, s)
}

func noLayers(t *testing.T, s *Store) {
	t.Helper()
	left, err := s.names("layers")
	check(t, err)
	equal(t, "layers", fmt.Sprint(left), "[]")
	nothingLeft(t, s)
}

// What comes out goes in again as the same trees; the second time out it is the same bytes.
func TestExportAndImport(t *testing.T) {
	s := openStore(t)
	layer(t, s, "base", "etc/passwd", "root", "dir/a", "a", "again/old", "o", "gone", "x")
	d, err := s.Draft()
	check(t, err)
	m, err := Overlay(MountSpec{Lowers: []string{s.Dir("base")}, Upper: d.Dir, Work: d.Work, UserNS: userns(t)})
	check(t, err)
	inside(t, m, `rm gone; rm -r again; mkdir again; echo n > again/new; echo y >> dir/a; ln dir/a dir/b
		ln -s /etc/passwd link; chmod 4755 dir/b; chown 33:33 again; mkfifo pipe; mkdir -m 1777 tmp`)
	check(t, m.Close())
	check(t, unix.Setxattr(filepath.Join(d.Dir, "again/new"), "user.note", []byte("a\x00b"), 0))
	check(t, d.Commit("top"))

	img := platform.Image{
		ID: "sha256:x", Layers: []string{"base", "top"}, Env: map[string]string{"PATH": "/bin", "A": "1"}, WorkDir: "/app",
		UID: 1000, GID: 1000, Shell: []string{"/bin/bash", "-c"},
		Processes: map[platform.ProcessType]string{platform.Web: "node ."},
	}
	out, out2 := filepath.Join(t.TempDir(), "out"), filepath.Join(t.TempDir(), "out")
	check(t, s.ExportLayout(t.Context(), img, out))
	check(t, s.ExportLayout(t.Context(), img, out2))
	check(t, s.ExportLayout(t.Context(), img, out2)) // over itself
	equal(t, "second export", treeSum(t, out2), treeSum(t, out))

	other := openStore(t)
	names, config, err := other.ImportLayout(t.Context(), out, "latest")
	check(t, err)
	c := config.Config
	equal(t, "configuration", fmt.Sprintf("%v %v %v %v %v", c.Env, c.User, c.WorkingDir, c.Entrypoint, c.Cmd), "[A=1 PATH=/bin] 1000:1000 /app [/bin/bash -c] [node .]")
	for i, name := range []string{"base", "top"} {
		equal(t, name, listing(t, other.Dir(names[i])), listing(t, s.Dir(name)))
	}
}

func TestExportRefusesWhatAnArchiveCannotSay(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"reserved name": func(dir string) error { return os.WriteFile(filepath.Join(dir, ".wh.x"), nil, 0o644) },
		"device node":   func(dir string) error { return unix.Mknod(filepath.Join(dir, "null"), unix.S_IFCHR, 0x103) },
		"redirect": func(dir string) error {
			return errors.Join(os.Mkdir(filepath.Join(dir, "d"), 0o755), unix.Setxattr(filepath.Join(dir, "d"), "trusted.overlay.redirect", []byte("/x"), 0))
		},
	} {
		s := openStore(t)
		d, err := s.Draft()
		check(t, err)
		check(t, spoil(d.Dir))
		check(t, d.Commit("bad"))
		out := t.TempDir()
		if err := s.ExportLayout(t.Context(), platform.Image{Layers: []string{"bad"}}, out); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := os.Stat(filepath.Join(out, "index.json")); err == nil {
			t.Errorf("%s: there is an index", name)
		}
	}
}

// treeSum lists a tree with digests.
func treeSum(t *testing.T, root string) string {
	t.Helper()
	var b strings.Builder
	check(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		rel, _ := filepath.Rel(root, path)
		_, _ = fmt.Fprintln(&b, rel, digest.FromBytes(data))
		return err
	}))
	return b.String()
}

func tarOfDir(t *testing.T, root string) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "image.tar"))
	check(t, err)
	w := tar.NewWriter(f)
	check(t, errors.Join(w.AddFS(os.DirFS(root)), w.Close(), f.Close()))
	return f.Name()
}
