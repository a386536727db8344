package exchange

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"paas/platform"
)

// pulled is an image in the store, with a file of ten equal digits a layer.
func pulled(t *testing.T, x *Exchange) platform.Image {
	t.Helper()
	o := newOther(t)
	o.put(t, "tool:1", picture(t, v1.Config{Cmd: []string{"/bin/tool"}, ExposedPorts: map[string]struct{}{"80/tcp": {}}},
		layer(t, file{name: "one", content: strings.Repeat("1", 10)}),
		layer(t, file{name: "two", content: strings.Repeat("2", 10)}, file{name: "link", link: "/one"})))
	v, err := x.Pull(t.Context(), o.at("tool:1"), transfer())
	ok(t, err)
	return v.Image
}

func TestSaveAndLoad(t *testing.T) {
	x := open(t)
	img := pulled(t, x)
	for _, oci := range []bool{false, true} {
		var first, second bytes.Buffer
		ok(t, x.Save(t.Context(), img, "tool:v1", oci, &first))
		ok(t, x.Save(t.Context(), img, "tool:v1", oci, &second))
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Error("the same image makes two archives")
		}
		y := open(t)
		all, err := y.Load(t.Context(), &first, transfer())
		ok(t, err)
		if len(all) != 1 || all[0].Reference != "index.docker.io/library/tool:v1" {
			t.Fatalf("loaded %+v", all)
		}
		got := all[0].Image
		if readFile(t, y, got, "link") != "1111111111" || readFile(t, y, got, "two") != "2222222222" {
			t.Error("the files are others")
		}
		if got.Commands["web"][0] != "/bin/tool" || got.Port != 80 {
			t.Errorf("%+v", got)
		}
	}
}

// Pushing an image leaves out what the registry has, and what arrives is the same for everybody.
func TestPush(t *testing.T) {
	x, o := open(t), newOther(t)
	img := pulled(t, x)
	first, err := x.Push(t.Context(), img, o.at("copy:1"), transfer())
	ok(t, err)
	sent := len(o.requests)
	second, err := x.Push(t.Context(), img, o.at("copy:2"), transfer())
	ok(t, err)
	for _, r := range o.requests[sent:] {
		if strings.HasPrefix(r, "POST") || strings.HasPrefix(r, "PATCH") {
			t.Errorf("sent again: %s", r)
		}
	}
	m, err := x.Packed(t.Context(), img, Gzip)
	ok(t, err)
	if first != second || first != m.Digest {
		t.Errorf("pushed %s and %s, packed %s", first, second, m.Digest)
	}
	y := open(t)
	v, err := y.Pull(t.Context(), o.at("copy:2"), transfer())
	ok(t, err)
	if v.Digest != first || readFile(t, y, v.Image, "two") != "2222222222" {
		t.Errorf("pulled %s", v.Digest)
	}
}

// A packed blob that was collected is made again, byte for byte.
func TestPackedBlobsAreMadeAgain(t *testing.T) {
	x := open(t)
	img := pulled(t, x)
	for _, c := range []Compression{Gzip, Zstd} {
		m, err := x.Packed(t.Context(), img, c)
		ok(t, err)
		var doc ocispec.Manifest
		ok(t, json.Unmarshal(m.Body, &doc))
		for _, d := range append(doc.Layers, doc.Config, ocispec.Descriptor{Digest: digest.Digest(m.Digest)}) {
			var texts [2]string
			for i := range texts {
				f, err := x.PackedBlob(t.Context(), []platform.Image{img}, d.Digest)
				ok(t, err)
				text, err := io.ReadAll(f)
				ok(t, err)
				texts[i] = string(text)
				ok(t, os.Remove(f.Name()))
				ok(t, f.Close())
			}
			if texts[0] != texts[1] || digest.FromString(texts[1]) != d.Digest {
				t.Errorf("%s became another", d.Digest)
			}
		}
		if _, err := x.PackedBlob(t.Context(), nil, doc.Layers[0].Digest); err == nil || !strings.Contains(err.Error(), fs.ErrNotExist.Error()) {
			t.Errorf("another app's blob: %v", err)
		}
	}
}

// bundleOf is a tar archive of files, in a form that the archive's own rules need not allow.
func bundleOf(t testing.TB, headers ...entryOf) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range headers {
		h := e.Header
		h.Size = int64(len(e.content))
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		ok(t, w.WriteHeader(&h))
		_, err := w.Write(e.content)
		ok(t, err)
	}
	ok(t, w.Close())
	return b.Bytes()
}

type entryOf struct {
	tar.Header
	content []byte
}

func named(name string, content []byte) entryOf {
	return entryOf{tar.Header{Name: name, Mode: 0o644}, content}
}

func linked(name, to string, kind byte) entryOf {
	return entryOf{tar.Header{Name: name, Linkname: to, Typeflag: kind}, nil}
}

func rawLayer(t testing.TB, files ...entryOf) []byte { return bundleOf(t, files...) }

// saved is a docker save archive of layers; change may spoil the pieces.
func saved(t testing.TB, layers [][]byte, more ...entryOf) []byte {
	t.Helper()
	return savedFor(t, ocispec.Platform{OS: "linux", Architecture: "amd64"}, layers, more...)
}

func savedFor(t testing.TB, machine ocispec.Platform, layers [][]byte, more ...entryOf) []byte {
	t.Helper()
	config := ocispec.Image{History: []ocispec.History{{CreatedBy: "ENV", EmptyLayer: true}, {CreatedBy: "COPY x"}}, Platform: machine, Config: ocispec.ImageConfig{Cmd: []string{"/x"}}, RootFS: ocispec.RootFS{Type: "layers"}}
	m := dockerManifest{RepoTags: []string{"old:1"}}
	var entries []entryOf
	for i, l := range layers {
		name := fmt.Sprintf("%d/layer.tar", i)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(l))
		m.Layers = append(m.Layers, name)
		entries = append(entries, named(name, l))
	}
	body, err := json.Marshal(config)
	ok(t, err)
	m.Config = digest.FromBytes(body).Encoded() + ".json"
	manifest, err := json.Marshal([]dockerManifest{m})
	ok(t, err)
	entries = append(entries, named(m.Config, body), named("manifest.json", manifest))
	return bundleOf(t, append(entries, more...)...)
}

// Docker of old saved a layer that two images share once, and linked to it.
func TestLoadFollowsLinksBetweenLayers(t *testing.T) {
	x := open(t)
	l := rawLayer(t, named("x", []byte("content")))
	archive := saved(t, [][]byte{l}, linked("0/layer.tar", "../1/layer.tar", tar.TypeSymlink), named("1/layer.tar", l))
	all, err := x.Load(t.Context(), bytes.NewReader(archive), transfer())
	ok(t, err)
	if len(all) != 1 || readFile(t, x, all[0].Image, "x") != "content" {
		t.Errorf("%+v", all)
	}
}

func TestHostileArchives(t *testing.T) {
	good := rawLayer(t, named("x", []byte("content")))
	swapped := bytes.Replace(saved(t, [][]byte{good}), []byte("content"), []byte("kontent"), 1)
	for what, archive := range map[string][]byte{
		"nothing":              nil,
		"no tar":               []byte(strings.Repeat("x", 2000)),
		"empty tar":            bundleOf(t),
		"another layer":        swapped,
		"climbing layer":       saved(t, [][]byte{rawLayer(t, named("../../etc/cron.d/x", []byte("x")))}),
		"layer through a link": saved(t, [][]byte{rawLayer(t, linked("etc", "/etc", tar.TypeSymlink), named("etc/x", []byte("x")))}),
		"device in a layer":    saved(t, [][]byte{rawLayer(t, linked("sda", "", tar.TypeBlock))}),
		"link to nothing":      saved(t, [][]byte{rawLayer(t, linked("x", "etc/shadow", tar.TypeLink))}),
		"endless name":         saved(t, [][]byte{rawLayer(t, named(strings.Repeat("x", 5000), nil))}),
		"half a layer":         saved(t, [][]byte{good[:515]}),
		"layer of noise":       saved(t, [][]byte{[]byte(strings.Repeat("noise", 1000))}),
		"half a gzip":          saved(t, [][]byte{{0x1f, 0x8b, 8, 0}}),
		"link out of it":       saved(t, nil, linked("0/layer.tar", "../../../../etc/passwd", tar.TypeSymlink)),
		"config by path": bundleOf(t, named("manifest.json",
			[]byte(`[{"Config":"../../../etc/passwd","RepoTags":["x:1"],"Layers":["/etc/passwd"]}]`))),
		"no JSON":   bundleOf(t, named("manifest.json", []byte("x"))),
		"bad index": bundleOf(t, named("index.json", []byte(`{"manifests":[{"digest":"sha256:../../x","size":1}]}`))),
	} {
		t.Run(what, func(t *testing.T) {
			x := open(t)
			all, err := x.Load(t.Context(), bytes.NewReader(archive), transfer())
			if err == nil {
				t.Errorf("it was taken: %+v", all)
			}
			if platform.KindOf(err) == platform.Internal {
				t.Errorf("its owner is not told why: %v", err)
			}
			nothingLeft(t, x)
		})
	}
}

// What made a layer comes along with an image, and images:tree shows it. It is never taken for a note of our own.
func TestLoadKeepsWhatMadeALayer(t *testing.T) {
	x := open(t)
	_, err := x.Load(t.Context(), bytes.NewReader(saved(t, [][]byte{rawLayer(t, named("x", []byte("noted")))})), transfer())
	ok(t, err)
	if found := x.Images.Noted("image: COPY x"); len(found) != 1 || len(x.Images.Noted("COPY x")) != 0 {
		t.Errorf("noted are %q", found)
	}
}

// An image for another machine is refused when it comes, not when its program cannot be executed.
func TestImageForAnotherMachine(t *testing.T) {
	l := rawLayer(t, named("x", []byte("content")))
	for _, machine := range []ocispec.Platform{{OS: "linux", Architecture: "s390x"}, {OS: "windows", Architecture: "amd64"}} {
		x := open(t)
		_, err := x.Load(t.Context(), bytes.NewReader(savedFor(t, machine, [][]byte{l})), transfer())
		if platform.KindOf(err) != platform.Failed || !strings.Contains(err.Error(), machine.OS+"/"+machine.Architecture) {
			t.Errorf("%+v: %v", machine, err)
		}
		nothingLeft(t, x)
	}
}

// Indexes that name each other come to an end.
func TestLoadOfANestedIndex(t *testing.T) {
	x := open(t)
	inner := []byte(`{"schemaVersion":2,"manifests":[]}`)
	entries := []entryOf{}
	for range 6 {
		d := digest.FromBytes(inner)
		entries = append(entries, named("blobs/sha256/"+d.Encoded(), inner))
		inner = fmt.Appendf(nil, `{"schemaVersion":2,"manifests":[{"digest":%q,"size":%d,"mediaType":%q}]}`, d, len(inner), ocispec.MediaTypeImageIndex)
	}
	_, err := x.Load(t.Context(), bytes.NewReader(bundleOf(t, append(entries, named("index.json", inner))...)), transfer())
	if err == nil || !strings.Contains(err.Error(), "nested") {
		t.Errorf("error %v", err)
	}
}

func FuzzBundle(f *testing.F) {
	f.Add(saved(f, [][]byte{rawLayer(f, named("x", []byte("content")))}))
	f.Add(bundleOf(f, named("index.json", []byte(`{"manifests":[{"digest":"sha256:00","size":-1}]}`))))
	f.Add(bundleOf(f, named("manifest.json", []byte(`[{"Config":"","RepoTags":[""],"Layers":[""]}]`))))
	f.Fuzz(func(t *testing.T, archive []byte) {
		b, err := openBundle(context.Background(), bytes.NewReader(archive))
		if err != nil {
			return
		}
		entries, err := b.images(context.Background())
		if err != nil {
			return
		}
		for _, e := range entries {
			for _, d := range e.layers {
				if r, err := e.open(t.Context(), d); err == nil {
					_, _ = io.Copy(io.Discard, r) // whatever it says, it ends
				}
			}
		}
	})
}

// A registry that fails now and then gets the image all the same.
func TestPushTriesAgain(t *testing.T) {
	x, o := open(t), newOther(t)
	img := pulled(t, x)
	var failures atomic.Int32
	o.spoil = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if (r.Method == http.MethodPatch || r.Method == http.MethodPut) && failures.Add(1) <= 3 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		next.ServeHTTP(w, r)
	}
	_, err := x.Push(t.Context(), img, o.at("copy:1"), transfer())
	ok(t, err)
	if failures.Load() < 4 {
		t.Errorf("%d uploads", failures.Load())
	}
}
