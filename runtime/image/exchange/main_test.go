package exchange

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/opencontainers/go-digest"

	"paas/buildpacks/manifest"
	"paas/buildpacks/procfile"
	"paas/platform"
	"paas/runtime/image"
	"paas/runtime/image/blobs"
)

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB) *Exchange {
	t.Helper()
	dir := t.TempDir()
	images, err := image.Open(filepath.Join(dir, "store"))
	ok(t, err)
	area, err := blobs.Open(filepath.Join(dir, "registry"))
	ok(t, err)
	x, err := Open(Options{Dir: filepath.Join(dir, "made"), Images: images, Blobs: area, Procfile: procfile.Parse, Declare: manifest.Declare})
	ok(t, err)
	x.backoff, x.keep = time.Millisecond, 64<<10
	return x
}

func transfer(logins ...platform.Login) platform.Transfer {
	return platform.Transfer{Logins: logins, Private: true, Plain: true, Say: func(string) {}}
}

type file struct{ name, content, link string }

// layer is a layer of files; those that link are symlinks.
func layer(t testing.TB, files ...file) v1.Layer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Size: int64(len(f.content)), Mode: 0o755}
		if f.link != "" {
			h = &tar.Header{Typeflag: tar.TypeSymlink, Name: f.name, Linkname: f.link}
		}
		ok(t, w.WriteHeader(h))
		_, err := w.Write([]byte(f.content))
		ok(t, err)
	}
	ok(t, w.Close())
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
	ok(t, err)
	return l
}

// picture is an image of layers with a configuration.
func picture(t testing.TB, config v1.Config, layers ...v1.Layer) v1.Image {
	t.Helper()
	img, err := mutate.AppendLayers(empty.Image, layers...)
	ok(t, err)
	file, err := img.ConfigFile()
	ok(t, err)
	file = file.DeepCopy()
	file.Config, file.OS, file.Architecture = config, "linux", "amd64"
	img, err = mutate.ConfigFile(img, file)
	ok(t, err)
	return img
}

// other is somebody else's registry, which may be made to misbehave.
type other struct {
	*httptest.Server
	mu       sync.Mutex
	requests []string // method, path and Range
	spoil    func(w http.ResponseWriter, r *http.Request, next http.Handler)
}

func newOther(t *testing.T) *other {
	t.Helper()
	o := &other{}
	next := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		o.requests = append(o.requests, r.Method+" "+r.URL.Path+" "+r.Header.Get("Range"))
		o.mu.Unlock()
		if o.spoil != nil {
			o.spoil(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	}))
	t.Cleanup(o.Close)
	return o
}

func (o *other) at(repo string) string { return strings.TrimPrefix(o.URL, "http://") + "/" + repo }

func (o *other) put(t *testing.T, repo string, img v1.Image) {
	t.Helper()
	ref, err := name.ParseReference(o.at(repo), name.Insecure)
	ok(t, err)
	ok(t, remote.Write(ref, img))
}

// noise is content that does not compress.
func noise(n int) string {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		sum := digest.FromString(fmt.Sprint(i))
		b.WriteString(sum.Encoded())
	}
	return b.String()
}

func readFile(t *testing.T, x *Exchange, img platform.Image, path string) string {
	t.Helper()
	text, err := x.Images.ReadFile(img.Layers, path, 64<<20)
	ok(t, err)
	return string(text)
}

// nothingLeft checks that the store has no layer and no draft.
func nothingLeft(t *testing.T, x *Exchange) {
	t.Helper()
	for _, sub := range []string{"layers", "drafts"} {
		entries, err := os.ReadDir(filepath.Join(filepath.Dir(x.Dir), "store", sub))
		ok(t, err)
		if len(entries) > 0 {
			t.Errorf("%s is left in %s", entries[0].Name(), sub)
		}
	}
}
