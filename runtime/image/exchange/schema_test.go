package exchange

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/opencontainers/image-spec/schema"
)

// Every document of an image that leaves the platform is what the image specification's own schema asks for.
func TestImagesFitTheSchema(t *testing.T) {
	x := open(t)
	img := pulled(t, x)
	img.Env = map[string]string{"LANG": "C.UTF-8"}
	img.Builder, img.WorkDir, img.UID, img.GID = "nodejs", "/app", 1000, 1000
	img.StopSignal = "SIGTERM"
	for _, oci := range []bool{false, true} {
		var archive bytes.Buffer
		ok(t, x.Save(t.Context(), img, "blog:v1", oci, &archive))
		files := members(t, &archive)
		fits(t, schema.ValidatorMediaTypeLayoutHeader, files[ocispec.ImageLayoutFile])
		fits(t, schema.ValidatorMediaTypeImageIndex, files[ocispec.ImageIndexFile])
		var index ocispec.Index
		ok(t, json.Unmarshal(files[ocispec.ImageIndexFile], &index))
		manifest := files[placeOf(index.Manifests[0])]
		fits(t, schema.ValidatorMediaTypeManifest, manifest)
		var doc ocispec.Manifest
		ok(t, json.Unmarshal(manifest, &doc))
		fits(t, schema.ValidatorMediaTypeImageConfig, files[placeOf(doc.Config)])
		for _, d := range append(doc.Layers, doc.Config, index.Manifests[0]) {
			text, err := json.Marshal(d)
			ok(t, err)
			fits(t, schema.ValidatorMediaTypeDescriptor, text)
		}
	}
	for _, c := range []Compression{Gzip, Zstd} {
		m, err := x.Packed(t.Context(), img, c)
		ok(t, err)
		fits(t, schema.ValidatorMediaTypeManifest, m.Body)
	}
}

func fits(t *testing.T, v schema.Validator, document []byte) {
	t.Helper()
	if err := v.Validate(bytes.NewReader(document)); err != nil {
		t.Errorf("%s: %v\n%s", v, err, document)
	}
}

// members are an archive's small files by name.
func members(t *testing.T, archive io.Reader) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for r := tar.NewReader(archive); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		ok(t, err)
		text, err := io.ReadAll(r)
		ok(t, err)
		files[strings.TrimPrefix(h.Name, "./")] = text
	}
}
