package exchange

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"paas/platform"
	"paas/runtime/image"
	"paas/runtime/image/blobs"
)

// parallel is how many layers move at once.
const parallel = 3

// Pull implements platform.Distribution.
func (x *Exchange) Pull(ctx context.Context, reference string, t platform.Transfer) (platform.Pulled, error) {
	p, err := x.peer(reference, t)
	if err != nil {
		return platform.Pulled{}, err
	}
	v, err := x.pull(ctx, p)
	return v, p.explain(err)
}

func (x *Exchange) pull(ctx context.Context, p *peer) (platform.Pulled, error) {
	img, m, config, err := find(ctx, p)
	if err != nil {
		return platform.Pulled{}, err
	}
	raw, err := img.RawManifest()
	if err != nil {
		return platform.Pulled{}, err
	}
	blobs, err := x.downloads(ctx, p)
	if err != nil {
		return platform.Pulled{}, err
	}
	built, err := x.assemble(ctx, parts{layers: m.Layers, config: config, open: blobs.open, say: p.transport.Say})
	return platform.Pulled{Reference: p.ref.Name(), Digest: digest.FromBytes(raw).String(), Image: built}, err
}

func configFile(img v1.Image, m ocispec.Manifest) (ocispec.Image, error) {
	var config ocispec.Image
	if m.Config.Size > blobs.MaxManifest {
		return config, platform.Errorf(platform.Failed, "the image's configuration is too large")
	}
	raw, err := img.RawConfigFile() // checked against its digest
	if err != nil {
		return config, err
	}
	return config, json.Unmarshal(raw, &config)
}

// parts are what an image is put together from.
type parts struct {
	layers []ocispec.Descriptor
	config ocispec.Image
	// open gives a layer's blob; it fails at the end unless the digest is right.
	open func(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error)
	say  func(string)
}

// assemble brings the layers into the store, a few at a time, and makes the image of them.
func (x *Exchange) assemble(ctx context.Context, p parts) (platform.Image, error) {
	names, err := x.bring(ctx, p)
	if err != nil {
		return platform.Image{}, err
	}
	return x.imageOf(names, p.config)
}

// bring brings the layers into the store and names them, bottom first.
func (x *Exchange) bring(ctx context.Context, p parts) ([]string, error) {
	if len(p.config.RootFS.DiffIDs) != len(p.layers) || len(p.layers) == 0 {
		return nil, platform.Errorf(platform.Failed, "that is no container image: %d layers, but %d diff ids",
			len(p.layers), len(p.config.RootFS.DiffIDs))
	}
	if err := runsHere(p.config.Platform); err != nil {
		return nil, err
	}
	names, notes := make([]string, len(p.layers)), image.NotesOf(p.config)
	var reused atomic.Int32
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, d := range p.layers {
		g.Go(func() (err error) {
			var had bool
			names[i], had, err = x.layer(ctx, p, d, image.Arrival{MediaType: d.MediaType, DiffID: p.config.RootFS.DiffIDs[i], Note: notes[i]})
			if had {
				reused.Add(1)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if n := reused.Load(); n > 0 {
		p.say(fmt.Sprintf("%d of %d layers were here already", n, len(names)))
	}
	return names, nil
}

func (x *Exchange) layer(ctx context.Context, p parts, d ocispec.Descriptor, a image.Arrival) (name string, had bool, err error) {
	if name, err = layerName(a.DiffID); err != nil || x.Images.Has(name) {
		return name, err == nil, err
	}
	p.say(fmt.Sprintf("Layer %s, %s", short(d.Digest), megabytes(d.Size)))
	blob, err := p.open(ctx, d)
	if err != nil {
		return "", false, fmt.Errorf("layer %s: %w", d.Digest, err)
	}
	defer func() { _ = blob.Close() }() // it was only read, and checked at its end
	name, err = x.Images.Take(ctx, blob, a)
	return name, false, err
}

func short(d digest.Digest) string { return d.Encoded()[:12] }

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// downloads are the blobs of one repository of a peer.
type downloads struct {
	x      *Exchange
	p      *peer
	client *http.Client
}

// downloads logs in to the repository.
func (x *Exchange) downloads(ctx context.Context, p *peer) (*downloads, error) {
	repo := p.ref.Context()
	rt, err := transport.NewWithContext(ctx, repo.Registry, p.auth, p.base, []string{repo.Scope(transport.PullScope)})
	return &downloads{x: x, p: p, client: &http.Client{Transport: rt}}, err
}

// open begins or goes on with a blob.
func (d *downloads) open(ctx context.Context, want ocispec.Descriptor) (io.ReadCloser, error) {
	if _, err := blobs.ParseDigest(want.Digest.String()); err != nil {
		return nil, err
	}
	r := &resuming{ctx: ctx, size: want.Size, backoff: d.p.backoff, from: func(ctx context.Context, at int64) (io.ReadCloser, error) {
		return d.get(ctx, want.Digest, at)
	}}
	return d.x.remember(want, r), nil
}

// get asks for the blob from a byte on.
func (d *downloads) get(ctx context.Context, what digest.Digest, at int64) (io.ReadCloser, error) {
	repo := d.p.ref.Context()
	u := url.URL{Scheme: repo.Scheme(), Host: repo.RegistryStr(), Path: fmt.Sprintf("/v2/%s/blobs/%s", repo.RepositoryStr(), what)}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	if at > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", at))
	}
	res, err := d.client.Do(req)
	if err != nil {
		return nil, err
	}
	if err := transport.CheckError(res, http.StatusOK, http.StatusPartialContent); err != nil {
		_ = res.Body.Close()
		return nil, err
	}
	if at > 0 && res.StatusCode == http.StatusOK { // it knows no ranges: what we have is sent again
		if _, err := io.CopyN(io.Discard, res.Body, at); err != nil {
			return nil, err
		}
	}
	return res.Body, nil
}
