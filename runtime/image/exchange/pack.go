package exchange

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
	kgzip "github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"paas/platform"
	"paas/runtime/image"
)

// Compression is how packed layers are compressed.
type Compression string

// Gzip is what everybody reads; Zstd is smaller and faster.
const (
	Gzip Compression = "gzip"
	Zstd Compression = "zstd"
)

// Compressions chooses by an Accept header: zstd for clients that name it, gzip for all others.
func Compressions(accept string) Compression {
	if strings.Contains(accept, ocispec.MediaTypeImageLayerZstd) {
		return Zstd
	}
	return Gzip
}

// packed is an image as registries and archives have it. Equal images give equal bytes.
type packed struct {
	manifest, config []byte
	descriptor       ocispec.Descriptor // of the manifest
	doc              ocispec.Manifest
}

// made is which blob a layer becomes: remembered, since compressing takes long. The blob itself may be
// gone; it is made again when it is wanted.
type made struct {
	Layer       string             `json:"layer"`
	Compression Compression        `json:"compression"`
	DiffID      digest.Digest      `json:"diff_id"`
	Descriptor  ocispec.Descriptor `json:"descriptor"`
}

// pack makes the blobs of an image that are not known yet, two at a time.
func (x *Exchange) pack(ctx context.Context, img platform.Image, c Compression) (packed, error) {
	layers := make([]made, len(img.Layers))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(2)
	for i, layer := range img.Layers {
		g.Go(func() (err error) {
			layers[i], err = x.made(gctx, layer, c)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return packed{}, fmt.Errorf("pack image %s: %w", img.ID, err)
	}
	return assembleManifest(img, layers)
}

func assembleManifest(img platform.Image, layers []made) (p packed, err error) {
	var diffIDs []digest.Digest
	p.doc = ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	for _, m := range layers {
		p.doc.Layers = append(p.doc.Layers, m.Descriptor)
		diffIDs = append(diffIDs, m.DiffID)
	}
	if p.config, err = json.Marshal(image.ConfigOf(img, diffIDs)); err != nil {
		return p, err
	}
	p.doc.Config = describe(ocispec.MediaTypeImageConfig, p.config)
	if p.manifest, err = json.Marshal(p.doc); err != nil {
		return p, err
	}
	p.descriptor = describe(ocispec.MediaTypeImageManifest, p.manifest)
	return p, nil
}

func describe(mediaType string, body []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(body), Size: int64(len(body))}
}

// made finds or makes the blob of a layer.
func (x *Exchange) made(ctx context.Context, layer string, c Compression) (made, error) {
	m, err := x.known(layer, c)
	if !errors.Is(err, fs.ErrNotExist) {
		return m, err
	}
	return x.make(ctx, layer, c)
}

func (x *Exchange) record(layer string, c Compression) string {
	return filepath.Join(x.Dir, layer+"."+string(c)+".json")
}

func (x *Exchange) known(layer string, c Compression) (made, error) {
	var m made
	text, err := os.ReadFile(x.record(layer, c))
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(text, &m)
}

// make compresses a layer. Callers that come meanwhile get the same result; the work goes on for them
// when the first one goes away.
func (x *Exchange) make(ctx context.Context, layer string, c Compression) (made, error) {
	done := x.making.DoChan(layer+"."+string(c), func() (any, error) { return x.compress(context.WithoutCancel(ctx), layer, c) })
	select {
	case r := <-done:
		if r.Err != nil {
			return made{}, r.Err
		}
		return r.Val.(made), nil
	case <-ctx.Done():
		return made{}, ctx.Err()
	}
}

func (x *Exchange) compress(ctx context.Context, layer string, c Compression) (made, error) {
	if !x.Images.Has(layer) {
		return made{}, platform.Errorf(platform.NotFound, "the layer %s is not kept any more", layer)
	}
	plain := digest.SHA256.Digester()
	d, size, err := x.Blobs.Write(ctx, func(w io.Writer) error {
		z, err := compressor(w, c)
		if err != nil {
			return err
		}
		return errors.Join(x.Images.Archive(ctx, layer, io.MultiWriter(z, plain.Hash())), z.Close())
	})
	if err != nil {
		return made{}, fmt.Errorf("compress layer %s: %w", layer, err)
	}
	m := made{Layer: layer, Compression: c, DiffID: plain.Digest(), Descriptor: ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageLayer + "+" + string(c), Digest: d, Size: size,
	}}
	text, err := json.Marshal(m)
	if err != nil {
		return m, err
	}
	return m, renameio.WriteFile(x.record(layer, c), text, 0o600)
}

// compressor has fixed settings and one thread: equal archives become equal blobs.
func compressor(w io.Writer, c Compression) (io.WriteCloser, error) {
	if c == Zstd {
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault))
	}
	return kgzip.NewWriterLevel(w, gzip.DefaultCompression)
}

// Packed is the manifest of an image, as a registry serves it.
func (x *Exchange) Packed(ctx context.Context, img platform.Image, c Compression) (platform.Manifest, error) {
	p, err := x.pack(ctx, img, c)
	return platform.Manifest{Digest: p.descriptor.Digest.String(), MediaType: ocispec.MediaTypeImageManifest, Body: p.manifest}, err
}

// PackedBlob opens a layer or the configuration of one of the images by its digest, or their manifest;
// it is in the blob area then. What is in none of them, or was never asked for as a manifest, is
// fs.ErrNotExist. The caller closes it.
func (x *Exchange) PackedBlob(ctx context.Context, images []platform.Image, d digest.Digest) (*os.File, error) {
	layers := map[string]bool{}
	for _, img := range images {
		for _, layer := range img.Layers {
			layers[layer] = true
		}
	}
	for layer := range layers {
		for _, c := range []Compression{Gzip, Zstd} {
			if m, err := x.known(layer, c); err == nil && m.Descriptor.Digest == d {
				return x.content(ctx, m)
			}
		}
	}
	body, err := x.packedDocument(images, d)
	if err != nil {
		return nil, err
	}
	if _, _, err := x.Blobs.Write(ctx, func(w io.Writer) error { return writeAll(w, body) }); err != nil {
		return nil, err
	}
	f, _, err := x.Blobs.Content(d)
	return f, err
}

func writeAll(w io.Writer, body []byte) error {
	_, err := w.Write(body)
	return err
}

// packedDocument makes every configuration and manifest whose layers are known: cheap, nothing is read
// but small records.
func (x *Exchange) packedDocument(images []platform.Image, d digest.Digest) ([]byte, error) {
	for _, img := range images {
		for _, c := range []Compression{Gzip, Zstd} {
			p, err := x.packKnown(img, c)
			if err != nil {
				continue
			}
			switch d {
			case p.doc.Config.Digest:
				return p.config, nil
			case p.descriptor.Digest:
				return p.manifest, nil
			}
		}
	}
	return nil, fs.ErrNotExist
}

// Known is the manifest of an image that has the digest, if its layers are known already.
func (x *Exchange) Known(img platform.Image, manifest string) (platform.Manifest, bool) {
	for _, c := range []Compression{Gzip, Zstd} {
		if p, err := x.packKnown(img, c); err == nil && p.descriptor.Digest.String() == manifest {
			return platform.Manifest{Digest: manifest, MediaType: ocispec.MediaTypeImageManifest, Body: p.manifest}, true
		}
	}
	return platform.Manifest{}, false
}

func (x *Exchange) packKnown(img platform.Image, c Compression) (packed, error) {
	var layers []made
	for _, layer := range img.Layers {
		m, err := x.known(layer, c)
		if err != nil {
			return packed{}, err
		}
		layers = append(layers, m)
	}
	return assembleManifest(img, layers)
}

// document is a file that is in memory.
type document struct{ *bytes.Reader }

// Close implements io.Closer.
func (document) Close() error { return nil }

// content opens a layer's blob, making it again if it was collected.
func (x *Exchange) content(ctx context.Context, m made) (*os.File, error) {
	f, _, err := x.Blobs.Content(m.Descriptor.Digest)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	again, err := x.make(ctx, m.Layer, m.Compression)
	if err != nil {
		return nil, err
	}
	if again.Descriptor.Digest != m.Descriptor.Digest { // another version compresses otherwise
		return nil, fs.ErrNotExist
	}
	f, _, err = x.Blobs.Content(m.Descriptor.Digest)
	return f, err
}

// Forget drops what is remembered of layers that the store does not keep any more.
func (x *Exchange) Forget() error {
	names, err := filepath.Glob(filepath.Join(x.Dir, "*.json"))
	for _, name := range names {
		layer, _, _ := strings.Cut(filepath.Base(name), ".")
		if _, e := os.Lstat(x.Images.Dir(layer)); errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, os.Remove(name))
		}
	}
	return err
}

// blobOf opens the blob of one of the packed image's descriptors.
func (x *Exchange) blobOf(ctx context.Context, img platform.Image, p packed, d digest.Digest) (io.ReadCloser, error) {
	if d == p.doc.Config.Digest {
		return document{bytes.NewReader(p.config)}, nil
	}
	i := slices.IndexFunc(p.doc.Layers, func(l ocispec.Descriptor) bool { return l.Digest == d })
	if i < 0 {
		return nil, fs.ErrNotExist
	}
	m, err := x.made(ctx, img.Layers[i], Gzip)
	if err != nil {
		return nil, err
	}
	return x.content(ctx, m)
}
