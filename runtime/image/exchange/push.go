package exchange

import (
	"context"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"paas/platform"
)

// Push implements platform.Distribution. Blobs that the registry has are not sent.
func (x *Exchange) Push(ctx context.Context, img platform.Image, reference string, t platform.Transfer) (string, error) {
	p, err := x.peer(reference, t)
	if err != nil {
		return "", err
	}
	content, err := x.pack(ctx, img, Gzip)
	if err != nil {
		return "", err
	}
	t.Say(fmt.Sprintf("Pushing %d layers to %s", len(content.doc.Layers), p.ref))
	out, err := partial.CompressedToImage(&outgoing{ctx: ctx, x: x, img: img, packed: content})
	if err != nil {
		return "", err
	}
	return content.descriptor.Digest.String(), p.explain(remote.Write(p.ref, out, p.options(ctx)...))
}

// outgoing is a packed image as go-containerregistry reads it (partial.CompressedImageCore).
type outgoing struct {
	ctx context.Context
	x   *Exchange
	img platform.Image
	packed
}

// RawConfigFile returns the configuration's bytes.
func (o *outgoing) RawConfigFile() ([]byte, error) { return o.config, nil }

// MediaType is the manifest's.
func (o *outgoing) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

// RawManifest returns the manifest's bytes.
func (o *outgoing) RawManifest() ([]byte, error) { return o.manifest, nil }

// LayerByDigest finds a layer.
func (o *outgoing) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	for _, d := range append(o.doc.Layers, o.doc.Config) {
		if d.Digest.String() == h.String() {
			return outgoingLayer{o, d}, nil
		}
	}
	return nil, fmt.Errorf("the image has no layer %s", h)
}

type outgoingLayer struct {
	image *outgoing
	d     ocispec.Descriptor
}

// Digest is the compressed layer's.
func (l outgoingLayer) Digest() (v1.Hash, error) { return v1.NewHash(l.d.Digest.String()) }

// Compressed opens the blob.
func (l outgoingLayer) Compressed() (io.ReadCloser, error) {
	return l.image.x.blobOf(l.image.ctx, l.image.img, l.image.packed, l.d.Digest)
}

// Size is the compressed layer's, in bytes.
func (l outgoingLayer) Size() (int64, error) { return l.d.Size, nil }

// MediaType is the layer's.
func (l outgoingLayer) MediaType() (types.MediaType, error) {
	return types.MediaType(l.d.MediaType), nil
}
