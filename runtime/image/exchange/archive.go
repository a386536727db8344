package exchange

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"paas/platform"
)

// maxEntries is how many entries an archive of images may have: each layer and document is one.
const maxEntries = 100_000

// bundle is an archive of images, lying in a file: what its names lead to.
type bundle struct {
	file    seekable
	entries map[string]section
	links   map[string]string // docker save of old: one layer is a symlink to another's
}

// seekable is a file, or what a test puts in its place.
type seekable interface {
	io.ReadSeeker
	io.ReaderAt
}

type section struct{ start, size int64 }

// openBundle finds the entries of an archive. After Next the file is at the entry's first byte.
func openBundle(ctx context.Context, f seekable) (*bundle, error) {
	if err := rewind(f); err != nil {
		return nil, err
	}
	b := &bundle{file: f, entries: map[string]section{}, links: map[string]string{}}
	r := tar.NewReader(f)
	for range maxEntries {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, platform.Errorf(platform.Failed, "that is no tar archive of images").Because(err)
		}
		if err := b.add(h); err != nil {
			return nil, err
		}
	}
	return nil, platform.Errorf(platform.Failed, "the archive has more than %d entries", maxEntries)
}

func (b *bundle) add(h *tar.Header) error {
	name := path.Clean("/" + h.Name)[1:]
	switch h.Typeflag {
	case tar.TypeReg:
		start, err := b.file.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		b.entries[name] = section{start, h.Size}
	case tar.TypeSymlink:
		b.links[name] = path.Join("/", path.Dir(name), h.Linkname)[1:]
	case tar.TypeLink:
		b.links[name] = path.Clean("/" + h.Linkname)[1:]
	}
	return nil
}

// open reads an entry of the archive, through one link at most.
func (b *bundle) open(name string) (io.ReadCloser, int64, error) {
	name = path.Clean("/" + name)[1:]
	at, ok := b.entries[name]
	if !ok {
		at, ok = b.entries[b.links[name]]
	}
	if !ok {
		return nil, 0, platform.Errorf(platform.Failed, "the archive has no %s", name)
	}
	return io.NopCloser(io.NewSectionReader(b.file, at.start, at.size)), at.size, nil
}

func (b *bundle) has(name string) bool {
	_, ok := b.entries[name]
	return ok
}

// document reads an entry of JSON.
func (b *bundle) document(name string, v any) error {
	f, size, err := b.open(name)
	if err != nil {
		return err
	}
	if size > maxDocument {
		return platform.Errorf(platform.Failed, "%s in the archive is too large", name)
	}
	body, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return platform.Errorf(platform.Failed, "%s in the archive is not JSON: %v", name, err)
	}
	return nil
}

// blob opens a blob of an OCI layout, checked to its end.
func (b *bundle) blob(_ context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	if err := d.Digest.Validate(); err != nil {
		return nil, platform.Errorf(platform.Failed, "the digest %q is none", d.Digest)
	}
	f, _, err := b.open(path.Join("blobs", d.Digest.Algorithm().String(), d.Digest.Encoded()))
	if err != nil {
		return nil, err
	}
	return newChecked(f, d), nil
}

// entry is an image in an archive.
type entry struct {
	names  []string // as the archive has them; may be empty
	id     string   // hex of its digest
	digest string
	parts
}

// images lists what is in the archive, in either form. Docker writes both since version 25: then the
// layout counts, whose digests cover everything.
func (b *bundle) images(ctx context.Context) ([]entry, error) {
	switch {
	case b.has(ocispec.ImageIndexFile):
		return b.layout(ctx)
	case b.has("manifest.json"):
		return b.docker(ctx)
	}
	return nil, platform.Errorf(platform.Usage, "the archive is neither from docker save nor an OCI layout")
}

func (b *bundle) layout(ctx context.Context) ([]entry, error) {
	var index ocispec.Index
	if err := b.document(ocispec.ImageIndexFile, &index); err != nil {
		return nil, err
	}
	var all []entry
	for _, d := range index.Manifests {
		m, found, err := b.manifest(ctx, d)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", d.Digest, err)
		}
		config, err := readConfig(ctx, m.Config, b.blob)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", d.Digest, err)
		}
		all = append(all, entry{names: annotated(d), id: found.Digest.Encoded(), digest: found.Digest.String(),
			parts: parts{layers: m.Layers, config: config, open: b.blob}})
	}
	return all, nil
}

// manifest reads an image's manifest, through an index if there is one.
func (b *bundle) manifest(ctx context.Context, d ocispec.Descriptor) (m ocispec.Manifest, found ocispec.Descriptor, err error) {
	for range 4 {
		body, err := readDocument(ctx, d, b.blob)
		if err != nil {
			return m, d, err
		}
		var doc struct {
			ocispec.Manifest
			Manifests []ocispec.Descriptor `json:"manifests"`
		}
		if err := json.Unmarshal(body, &doc); err != nil {
			return m, d, platform.Errorf(platform.Failed, "a manifest is not JSON: %v", err)
		}
		if doc.Manifests == nil {
			return doc.Manifest, d, nil
		}
		if d, err = forThisMachine(doc.Manifests); err != nil {
			return m, d, err
		}
	}
	return m, d, platform.Errorf(platform.Failed, "indexes are nested too deeply")
}

// annotated are the names in a descriptor's annotations: containerd's in full, or OCI's, which most
// tools fill with a tag only.
func annotated(d ocispec.Descriptor) []string {
	if name := d.Annotations["io.containerd.image.name"]; name != "" {
		return []string{name}
	}
	name := d.Annotations[ocispec.AnnotationRefName]
	switch {
	case name == "":
		return nil
	case strings.ContainsAny(name, ":/"):
		return []string{name}
	}
	return []string{"localhost/loaded:" + name}
}
