package image

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ImportLayout brings an image into the store: from an OCI image layout, a directory or a tar archive
// of one (image-spec, image-layout.md). ref is a tag (org.opencontainers.image.ref.name), a manifest
// digest, or "" if there is one image only. It returns the layers' names, bottom first, which are
// "sha256-" and the start of the digest of the uncompressed archive, so that equal layers are stored
// once, and the image's configuration.
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
	names := make([]string, len(m.Layers))
	for i, d := range m.Layers {
		if names[i], err = s.importLayer(ctx, l, d, config.RootFS.DiffIDs[i]); err != nil {
			return nil, config, fmt.Errorf("layer %d: %w", i+1, err)
		}
	}
	return names, config, nil
}

// nameDigits is how much of a diff id a layer's name has: 128 bits, beyond anyone's power to collide.
const nameDigits = 32

func layerFor(diffID digest.Digest) (string, error) {
	if err := diffID.Validate(); err != nil || diffID.Algorithm() != digest.SHA256 {
		return "", fmt.Errorf("diff id %q is no sha256 digest", diffID)
	}
	return "sha256-" + diffID.Encoded()[:nameDigits], nil
}

func (s *Store) importLayer(ctx context.Context, l *layout, d ocispec.Descriptor, diffID digest.Digest) (name string, err error) {
	if name, err = layerFor(diffID); err != nil || s.Has(name) {
		return name, err
	}
	blob, err := l.blob(d)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, blob.Close()) }()
	draft, err := s.Draft()
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, draft.Discard()) }()
	if err := unpack(ctx, blob, d.MediaType, diffID, draft.Dir); err != nil {
		return "", err
	}
	return name, draft.Commit(name)
}

// unpack extracts a compressed layer and checks both digests to the last byte.
func unpack(ctx context.Context, blob io.Reader, mediaType string, diffID digest.Digest, dir string) error {
	blob = bufio.NewReaderSize(&cancelable{ctx, blob}, 1<<16)
	plain, err := decompress(blob, mediaType)
	if err != nil {
		return err
	}
	defer plain.Close()
	most := layerLimits()
	verifier := diffID.Verifier()
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
		return fmt.Errorf("the content is not %s", diffID)
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
