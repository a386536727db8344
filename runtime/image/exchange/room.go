package exchange

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"paas/platform"
)

// PullRoom is how many bytes of layers PullBase would bring here, as they are compressed: unpacked they take more. It
// blocks on the registry.
func (x *Exchange) PullRoom(ctx context.Context, reference string, t platform.Transfer) (int64, error) {
	p, err := x.peer(reference, t)
	if err != nil {
		return 0, err
	}
	_, m, config, err := find(ctx, p)
	return x.missing(m.Layers, config), p.explain(err)
}

// PushedRoom is PullRoom of PushedBase.
func (x *Exchange) PushedRoom(ctx context.Context, repo platform.Repository, ref string) (int64, error) {
	_, doc, err := x.ownManifest(ctx, repo, ref)
	if err != nil {
		return 0, err
	}
	config, err := readConfig(ctx, doc.Config, func(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
		f, _, err := x.Blobs.Blob(ctx, repo, d.Digest)
		return f, err
	})
	return x.missing(doc.Layers, config), err
}

// missing sums up the layers that are not in the store.
func (x *Exchange) missing(layers []ocispec.Descriptor, config ocispec.Image) (bytes int64) {
	for i, d := range layers {
		if i >= len(config.RootFS.DiffIDs) {
			return bytes
		}
		if name, err := layerName(config.RootFS.DiffIDs[i]); err == nil && !x.Images.Has(name) {
			bytes += max(d.Size, 0)
		}
	}
	return bytes
}

// find asks a registry for the image that is for this machine.
func find(ctx context.Context, p *peer) (img v1.Image, m ocispec.Manifest, config ocispec.Image, err error) {
	d, err := remote.Get(p.ref, p.options(ctx)...)
	if err != nil {
		return img, m, config, err
	}
	if img, err = d.Image(); err != nil { // of an index the one for this machine
		return img, m, config, err
	}
	raw, err := img.RawManifest()
	if err != nil {
		return img, m, config, err
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return img, m, config, fmt.Errorf("read manifest: %w", err)
	}
	config, err = configFile(img, m)
	return img, m, config, err
}
