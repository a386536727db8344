package image

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"paas/platform"
)

// ImportLayout brings an image into the store: from an OCI image layout, a directory or a tar archive
// of one (image-spec, image-layout.md). ref is a tag (org.opencontainers.image.ref.name), a manifest
// digest, or "" if there is one image only. It returns the layers' names, bottom first, which are
// "sha256-" and the start of the digest of the uncompressed archive, so that equal layers are stored
// once, and the image's configuration.
//
// Several layers are read at a time; equal ones that are imported by several callers are read once.
//
// Nothing in the layout is trusted. Every digest is checked while streaming, and a layer gets its name
// only after both of its digests were right. A layer that is there already is not read at all. It
// blocks on the disk; when ctx ends or anything fails, whole layers stay and everything else goes.
func (s *Store) ImportLayout(ctx context.Context, dir, ref string) ([]string, ocispec.Image, error) {
	l, err := openLayout(dir)
	if err != nil {
		return nil, ocispec.Image{}, fmt.Errorf("import image layout: %w", err)
	}
	names, config, err := s.importImage(ctx, l, ref)
	if err = errors.Join(err, l.close()); err != nil {
		return nil, ocispec.Image{}, fmt.Errorf("import image layout %s: %w", dir, err)
	}
	return names, config, nil
}

func (s *Store) importImage(ctx context.Context, l *layout, ref string) ([]string, ocispec.Image, error) {
	var config ocispec.Image
	m, err := l.manifest(ref)
	if err != nil {
		return nil, config, err
	}
	if err := l.document(m.Config, &config); err != nil {
		return nil, config, fmt.Errorf("image configuration: %w", err)
	}
	if len(config.RootFS.DiffIDs) != len(m.Layers) || len(m.Layers) == 0 {
		return nil, config, fmt.Errorf("%d layers, but %d diff ids", len(m.Layers), len(config.RootFS.DiffIDs))
	}
	lease, err := s.Lease()
	if err != nil {
		return nil, config, err
	}
	names, err := s.importLayers(ctx, lease, l, m.Layers, config)
	return names, config, errors.Join(err, lease.Close())
}

// importLayers brings in several layers at a time. What is there already is kept by the lease until the
// last one is there.
func (s *Store) importLayers(ctx context.Context, lease *Lease, l *layout, blobs []ocispec.Descriptor, config ocispec.Image) ([]string, error) {
	names := make([]string, len(blobs))
	for i, diffID := range config.RootFS.DiffIDs {
		var err error
		if names[i], err = layerFor(diffID); err != nil {
			return nil, fmt.Errorf("layer %d: %w", i+1, err)
		}
	}
	if err := lease.Hold(names...); err != nil {
		return nil, err
	}
	notes := NotesOf(config)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(2, min(runtime.NumCPU(), maxParallel)))
	for i, blob := range blobs {
		group.Go(func() error {
			p := parcel{layout: l, blob: blob, diffID: config.RootFS.DiffIDs[i], name: names[i], note: notes[i]}
			if err := s.importLayer(ctx, p); err != nil {
				return fmt.Errorf("layer %d: %w", i+1, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return names, nil
}

// maxParallel is how many layers of an image are extracted at a time: more only fight for the disk.
const maxParallel = 4

// NotesOf tells of each layer which command made it, as far as the image's history does. It says whose word that is:
// notes of our own layers are looked for by what they say, and a stranger's must never be taken for one.
func NotesOf(config ocispec.Image) []string {
	notes := make([]string, len(config.RootFS.DiffIDs))
	at := 0
	for _, h := range config.History {
		if !h.EmptyLayer && at < len(notes) {
			if h.CreatedBy != "" {
				notes[at] = "image: " + h.CreatedBy
			}
			at++
		}
	}
	return notes
}

// nameDigits is how much of a diff id a layer's name has: 128 bits, beyond anyone's power to collide.
const nameDigits = 32

func layerFor(diffID digest.Digest) (string, error) {
	if err := diffID.Validate(); err != nil || diffID.Algorithm() != digest.SHA256 {
		return "", platform.Errorf(platform.Failed, "the image cannot be used: the diff id %q is no sha256 digest", diffID)
	}
	return "sha256-" + diffID.Encoded()[:nameDigits], nil
}

// parcel is a layer on its way in.
type parcel struct {
	layout     *layout
	blob       ocispec.Descriptor
	diffID     digest.Digest
	name, note string
}

func (s *Store) importLayer(ctx context.Context, p parcel) error {
	return s.take(ctx, p, func() (io.ReadCloser, error) { return p.layout.blob(p.blob) })
}

// take brings one layer in unless it is there. Of many at once that want the same one works and the
// others wait.
func (s *Store) take(ctx context.Context, p parcel, open func() (io.ReadCloser, error)) (err error) {
	leave, err := s.making.enter(ctx, p.name)
	if err != nil {
		return err
	}
	defer leave()
	if s.Has(p.name) {
		return nil
	}
	blob, err := open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, blob.Close()) }()
	draft, err := s.Draft()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, draft.Discard()) }()
	most := layerLimits()
	most.room = s.Room
	if err := unpack(ctx, blob, p, draft.Dir, most); err != nil {
		return err
	}
	draft.Note = p.note
	return draft.Commit(p.name)
}

// unpack extracts a compressed layer and checks both digests to the last byte. What is wrong with the layer is
// said in a sentence for people.
func unpack(ctx context.Context, blob io.Reader, p parcel, dir string, most limits) error {
	if err := most.ask(); err != nil {
		return err
	}
	source := &source{Reader: blob}
	return refusal(expand(ctx, source, p, dir, most), source, p.diffID)
}

func expand(ctx context.Context, blob io.Reader, p parcel, dir string, most limits) error {
	blob = bufio.NewReaderSize(&cancelable{ctx, blob}, 1<<16)
	plain, err := decompress(blob, p.blob.MediaType)
	if err != nil {
		return err
	}
	defer plain.Close()
	verifier := p.diffID.Verifier()
	// An archive is longer than its files by its headers; beyond that it is padding without end.
	content := &capped{src: io.TeeReader(plain, verifier), left: 2 * most.bytes}
	if err := extract(ctx, content, dir, most); err != nil {
		return err
	}
	for _, rest := range []io.Reader{content, blob} {
		if _, err := io.Copy(io.Discard, rest); err != nil {
			return fmt.Errorf("read to the end: %w", err)
		}
	}
	if !verifier.Verified() {
		return fmt.Errorf("the content is not %s", p.diffID)
	}
	return nil
}

// closer is an io.ReadCloser whose Close does not fail.
type closer struct {
	io.Reader
	close func()
}

func (c closer) Close() { c.close() }

// maxWindow bounds what one zstd frame may make us keep in memory; zstd --ultra -22 uses 128 MiB.
const maxWindow = 128 << 20

func decompress(r io.Reader, mediaType string) (closer, error) {
	switch mediaType {
	case ocispec.MediaTypeImageLayer, dockerLayer:
		return closer{r, func() {}}, nil
	case ocispec.MediaTypeImageLayerGzip, dockerGzip:
		z, err := gzip.NewReader(r)
		if err != nil {
			return closer{}, fmt.Errorf("gzip: %w", err)
		}
		return closer{z, func() { _ = z.Close() }}, nil
	case ocispec.MediaTypeImageLayerZstd:
		z, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return closer{}, fmt.Errorf("zstd: %w", err)
		}
		return closer{z, z.Close}, nil
	}
	return closer{}, fmt.Errorf("layers of type %q are not supported", mediaType)
}

// cancelable is a reader that fails once its context ended.
type cancelable struct {
	ctx context.Context
	src io.Reader
}

func (c *cancelable) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.src.Read(p)
}

// capped fails when its source gives more than left bytes.
type capped struct {
	src  io.Reader
	left int64
}

func (c *capped) Read(p []byte) (int, error) {
	n, err := c.src.Read(p)
	if c.left -= int64(n); c.left < 0 {
		return 0, errors.New("the layer is too large")
	}
	return n, err
}
