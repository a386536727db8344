package blobs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"paas/platform"
)

func open(t *testing.T) *Area {
	t.Helper()
	a, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// later lets the area's clock run ahead.
func (a *Area) later(d time.Duration) { a.now = func() time.Time { return time.Now().Add(d) } }

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func isKind(t *testing.T, want platform.Kind, err error) {
	t.Helper()
	if platform.KindOf(err) != want || err == nil {
		t.Errorf("error %v has kind %d, want %d", err, platform.KindOf(err), want)
	}
}

// push uploads a blob in pieces.
func push(t *testing.T, a *Area, repo platform.Repository, pieces ...string) digest.Digest {
	t.Helper()
	id, err := a.StartUpload(t.Context(), repo)
	ok(t, err)
	for _, piece := range pieces {
		_, err := a.Append(t.Context(), repo, id, -1, strings.NewReader(piece))
		ok(t, err)
	}
	d := digest.FromString(strings.Join(pieces, ""))
	ok(t, a.FinishUpload(t.Context(), repo, id, d))
	return d
}

// image pushes a manifest of a configuration and one layer under a tag.
func image(t *testing.T, a *Area, repo platform.Repository, tag, layer string) platform.Manifest {
	t.Helper()
	config, blob := push(t, a, repo, "{}"), push(t, a, repo, layer)
	m, err := a.PutManifest(t.Context(), repo, tag, manifest(config, blob))
	ok(t, err)
	return m
}

func manifest(config digest.Digest, layers ...digest.Digest) platform.Manifest {
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: config, Size: 2}}
	for _, d := range layers {
		m.Layers = append(m.Layers, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: d, Size: 1})
	}
	body, _ := json.Marshal(m) // of plain values
	return platform.Manifest{MediaType: m.MediaType, Body: body}
}

func read(t *testing.T, a *Area, repo platform.Repository, d digest.Digest) (string, error) {
	t.Helper()
	f, _, err := a.Blob(t.Context(), repo, d)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(f)
	return string(text), errors.Join(err, f.Close())
}

func TestPushAndPull(t *testing.T) {
	a := open(t)
	m := image(t, a, "blog/worker", "edge", "layer")
	got, err := a.Manifest(t.Context(), "blog/worker", "edge")
	ok(t, err)
	if got.Digest != m.Digest || !bytes.Equal(got.Body, m.Body) || got.MediaType != ocispec.MediaTypeImageManifest {
		t.Errorf("got %+v", got)
	}
	if text, err := read(t, a, "blog/worker", digest.FromString("layer")); err != nil || text != "layer" {
		t.Errorf("blob %q, %v", text, err)
	}
	_, err = read(t, a, "blog", digest.FromString("layer"))
	isKind(t, platform.NotFound, err) // another repository's
	ok(t, a.Link(t.Context(), "blog", digest.FromString("layer")))
	if text, err := read(t, a, "blog", digest.FromString("layer")); err != nil || text != "layer" {
		t.Errorf("mounted blob %q, %v", text, err)
	}
	repos, err := a.Repositories(t.Context())
	if fmt.Sprint(repos) != "[blog blog/worker]" || err != nil {
		t.Errorf("repositories %v, %v", repos, err)
	}
}

// A client whose connection broke asks how far it came and goes on there.
func TestUploadGoesOnAfterACut(t *testing.T) {
	a := open(t)
	id, err := a.StartUpload(t.Context(), "blog")
	ok(t, err)
	cut := io.MultiReader(strings.NewReader("first "), brokenReader{})
	if n, err := a.Append(t.Context(), "blog", id, 0, cut); n != 6 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("%d bytes, %v", n, err)
	}
	n, err := a.Uploaded(t.Context(), "blog", id)
	if n != 6 || err != nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
	_, err = a.Append(t.Context(), "blog", id, 5, strings.NewReader("x"))
	isKind(t, platform.Conflict, err)
	_, err = a.Append(t.Context(), "shop", id, 6, strings.NewReader("x"))
	isKind(t, platform.NotFound, err)
	_, err = a.Append(t.Context(), "blog", id, 6, strings.NewReader("second"))
	ok(t, err)
	ok(t, a.FinishUpload(t.Context(), "blog", id, digest.FromString("first second")))
	_, err = a.Uploaded(t.Context(), "blog", id)
	isKind(t, platform.NotFound, err)
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestUploadWithAnotherDigestIsNotKept(t *testing.T) {
	a := open(t)
	id, err := a.StartUpload(t.Context(), "blog")
	ok(t, err)
	_, err = a.Append(t.Context(), "blog", id, -1, strings.NewReader("evil"))
	ok(t, err)
	isKind(t, platform.Usage, a.FinishUpload(t.Context(), "blog", id, digest.FromString("good")))
	for _, text := range []string{"evil", "good"} {
		if _, err := read(t, a, "blog", digest.FromString(text)); err == nil {
			t.Errorf("%s is there", text)
		}
	}
}

func TestManifestsThatAreRefused(t *testing.T) {
	a := open(t)
	config := push(t, a, "blog", "{}")
	sound := manifest(config)
	for what, try := range map[string]struct {
		ref  string
		m    platform.Manifest
		kind platform.Kind
	}{
		"missing blob":    {"edge", manifest(config, digest.FromString("nowhere")), platform.Conflict},
		"escaping digest": {"edge", manifest("sha256:../../../../etc/passwd"), platform.Usage},
		"md5":             {"edge", manifest("md5:d41d8cd98f00b204e9800998ecf8427e"), platform.Usage},
		"no JSON":         {"edge", platform.Manifest{MediaType: sound.MediaType, Body: []byte("x")}, platform.Usage},
		"another type":    {"edge", platform.Manifest{MediaType: ocispec.MediaTypeImageIndex, Body: sound.Body}, platform.Usage},
		"no type":         {"edge", platform.Manifest{Body: []byte("{}")}, platform.Usage},
		"another digest":  {digest.FromString("x").String(), sound, platform.Usage},
		"no reference":    {"../edge", sound, platform.Usage},
	} {
		t.Run(what, func(t *testing.T) {
			_, err := a.PutManifest(t.Context(), "blog", try.ref, try.m)
			isKind(t, try.kind, err)
		})
	}
	tags, err := a.Tags(t.Context(), "blog")
	if len(tags) != 0 || err != nil {
		t.Errorf("tags %v, %v", tags, err)
	}
}

func TestReferrers(t *testing.T) {
	a := open(t)
	m := image(t, a, "blog", "edge", "layer")
	signature := ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/signature",
		Config: ocispec.Descriptor{MediaType: ocispec.MediaTypeEmptyJSON, Digest: push(t, a, "blog", "{}"), Size: 2},
		Layers: []ocispec.Descriptor{}, Subject: &ocispec.Descriptor{MediaType: m.MediaType, Digest: digest.Digest(m.Digest), Size: int64(len(m.Body))},
		Annotations: map[string]string{"by": "alice"},
	}
	body, err := json.Marshal(signature)
	ok(t, err)
	put, err := a.PutManifest(t.Context(), "blog", digest.FromBytes(body).String(), platform.Manifest{MediaType: signature.MediaType, Body: body})
	ok(t, err)
	if put.Subject != m.Digest {
		t.Errorf("subject %q", put.Subject)
	}
	all, err := a.Referrers(t.Context(), "blog", digest.Digest(m.Digest))
	ok(t, err)
	if len(all) != 1 || all[0].ArtifactType != "application/signature" || all[0].Annotations["by"] != "alice" || all[0].Digest != put.Digest {
		t.Errorf("referrers %+v", all)
	}
	ok(t, a.DeleteManifest(t.Context(), "blog", put.Digest))
	if all, err = a.Referrers(t.Context(), "blog", digest.Digest(m.Digest)); len(all) != 0 || err != nil {
		t.Errorf("after its end: %+v, %v", all, err)
	}
}

// What a tag leads to is never collected, however old; everything else is once it is old.
func TestCollect(t *testing.T) {
	a := open(t)
	image(t, a, "blog", "edge", "kept")
	gone := image(t, a, "blog", "old", "deleted with its manifest")
	orphan := push(t, a, "blog", "no manifest needs it")
	id, err := a.StartUpload(t.Context(), "blog")
	ok(t, err)
	ok(t, a.DeleteManifest(t.Context(), "blog", gone.Digest))
	if freed, err := a.Collect(); freed != 0 || err != nil {
		t.Fatalf("young content was collected: %d, %v", freed, err)
	}
	a.later(Grace + time.Hour)
	freed, err := a.Collect()
	if freed == 0 || err != nil {
		t.Fatalf("freed %d, %v", freed, err)
	}
	for _, d := range []digest.Digest{orphan, digest.FromString("deleted with its manifest"), digest.Digest(gone.Digest)} {
		if _, _, err := a.Content(d); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there: %v", d, err)
		}
	}
	if text, err := read(t, a, "blog", digest.FromString("kept")); text != "kept" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	_, err = a.Manifest(t.Context(), "blog", "edge")
	ok(t, err)
	_, err = a.Uploaded(t.Context(), "blog", id)
	isKind(t, platform.NotFound, err)
	ok(t, a.RemoveApp(t.Context(), "blog"))
	a.later(3 * Grace)
	_, err = a.Collect()
	ok(t, err)
	if size, err := a.Usage(); size != 0 || err != nil {
		t.Errorf("%d bytes are left, %v", size, err)
	}
}

// A push that finds its old blobs with HEAD and then sends a manifest must not lose them in between.
func TestCollectKeepsWhatAPushFound(t *testing.T) {
	a := open(t)
	config, layer := push(t, a, "blog", "{}"), push(t, a, "blog", "found")
	a.later(Grace + time.Hour)
	for _, d := range []digest.Digest{config, layer} {
		_, err := read(t, a, "blog", d)
		ok(t, err)
	}
	_, err := a.Collect()
	ok(t, err)
	_, err = a.PutManifest(t.Context(), "blog", "edge", manifest(config, layer))
	ok(t, err)
}

// Pushes and collections at once lose nothing (run with the race detector).
func TestCollectBesidePushes(t *testing.T) {
	a := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	var collecting, pushing sync.WaitGroup
	collecting.Go(func() {
		for ctx.Err() == nil {
			if _, err := a.Collect(); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range 4 {
		pushing.Go(func() {
			for j := range 10 {
				image(t, a, "blog", fmt.Sprintf("t%d-%d", i, j), fmt.Sprintf("layer %d %d", i, j%3))
			}
		})
	}
	pushing.Wait()
	cancel()
	collecting.Wait()
	tags, err := a.Tags(t.Context(), "blog")
	if len(tags) != 40 || err != nil {
		t.Errorf("%d tags, %v", len(tags), err)
	}
}

func FuzzManifest(f *testing.F) {
	f.Add(manifest(digest.FromString("{}")).Body)
	f.Add([]byte(`{"config":{"digest":"sha256:../x"},"layers":null,"subject":{"digest":""}}`))
	f.Add([]byte(`{"manifests":[{"digest":"sha512:0"}]}`))
	a, err := Open(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := a.PutManifest(t.Context(), "blog", "edge", platform.Manifest{MediaType: ocispec.MediaTypeImageManifest, Body: body})
		if err != nil {
			return
		}
		if _, err := a.Manifest(t.Context(), "blog", m.Digest); err != nil {
			t.Errorf("it was taken and is not there: %v", err)
		}
	})
}
