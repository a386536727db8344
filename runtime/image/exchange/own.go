package exchange

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"paas/platform"
)

// Pushed implements platform.Distribution.
func (x *Exchange) Pushed(ctx context.Context, repo platform.Repository, ref string) (platform.Pulled, error) {
	m, doc, err := x.ownManifest(ctx, repo, ref)
	if err != nil {
		return platform.Pulled{}, err
	}
	open := func(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
		f, _, err := x.Blobs.Blob(ctx, repo, d.Digest)
		return f, err
	}
	config, err := readConfig(ctx, doc.Config, open)
	if err != nil {
		return platform.Pulled{}, err
	}
	img, err := x.assemble(ctx, parts{layers: doc.Layers, config: config, open: open, say: func(string) {}})
	separator := ":"
	if strings.Contains(ref, ":") {
		separator = "@"
	}
	return platform.Pulled{Reference: string(repo) + separator + ref, Digest: m.Digest, Image: img}, err
}

// ownManifest reads the manifest for this machine, through an index if there is one.
func (x *Exchange) ownManifest(ctx context.Context, repo platform.Repository, ref string) (platform.Manifest, ocispec.Manifest, error) {
	for range 4 { // an index in an index is odd already
		m, err := x.Blobs.Manifest(ctx, repo, ref)
		if err != nil {
			return m, ocispec.Manifest{}, err
		}
		var doc struct {
			ocispec.Manifest
			Manifests []ocispec.Descriptor `json:"manifests"`
		}
		if err := json.Unmarshal(m.Body, &doc); err != nil {
			return m, ocispec.Manifest{}, fmt.Errorf("read manifest %s: %w", m.Digest, err)
		}
		if doc.Manifests == nil {
			return m, doc.Manifest, nil
		}
		next, err := forThisMachine(doc.Manifests)
		if err != nil {
			return m, ocispec.Manifest{}, err
		}
		ref = next.Digest.String()
	}
	return platform.Manifest{}, ocispec.Manifest{}, platform.Errorf(platform.Failed, "indexes are nested too deeply")
}

// forThisMachine chooses from an index. What names no platform may be for us, attestations never are.
func forThisMachine(all []ocispec.Descriptor) (ocispec.Descriptor, error) {
	for _, d := range all {
		if d.Platform == nil || d.Platform.OS == "linux" && d.Platform.Architecture == runtime.GOARCH {
			return d, nil
		}
	}
	return ocispec.Descriptor{}, platform.Errorf(platform.NotFound, "there is no image for linux/%s in it", runtime.GOARCH)
}

// runsHere refuses what is made for other machines. Some tools say nothing of it, and it may be for us.
func runsHere(p ocispec.Platform) error {
	if (p.OS == "" || p.OS == "linux") && (p.Architecture == "" || p.Architecture == runtime.GOARCH) {
		return nil
	}
	return platform.Errorf(platform.Failed, "the image is for %s/%s; this host runs linux/%s", p.OS, p.Architecture, runtime.GOARCH).
		WithHint("build it for this host: docker buildx build --platform linux/%s", runtime.GOARCH)
}

type opener func(context.Context, ocispec.Descriptor) (io.ReadCloser, error)

// readConfig reads an image's configuration and checks its digest.
func readConfig(ctx context.Context, d ocispec.Descriptor, open opener) (ocispec.Image, error) {
	var config ocispec.Image
	body, err := readDocument(ctx, d, open)
	if err != nil {
		return config, err
	}
	if err := json.Unmarshal(body, &config); err != nil {
		return config, platform.Errorf(platform.Failed, "the image's configuration is not JSON: %v", err)
	}
	return config, nil
}

func readDocument(ctx context.Context, d ocispec.Descriptor, open opener) ([]byte, error) {
	f, err := open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	body, err := io.ReadAll(io.LimitReader(f, maxDocument))
	if err != nil {
		return nil, err
	}
	if err := d.Digest.Validate(); err != nil || d.Digest.Algorithm().FromBytes(body) != d.Digest {
		return nil, platform.Errorf(platform.Failed, "a document is not what its digest %q says", d.Digest)
	}
	return body, nil
}

// checked reads a blob and fails at its end unless size and digest are right.
type checked struct {
	io.Reader
	close    func() error
	want     ocispec.Descriptor
	left     int64
	verifier digest.Verifier
}

func newChecked(src io.ReadCloser, want ocispec.Descriptor) io.ReadCloser {
	return &checked{Reader: src, close: src.Close, want: want, left: want.Size, verifier: want.Digest.Verifier()}
}

// Read implements io.Reader.
func (c *checked) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.left -= int64(n)
	_, _ = c.verifier.Write(p[:n]) // a hash never fails
	if c.left < 0 || err == io.EOF && (c.left != 0 || !c.verifier.Verified()) {
		return 0, platform.Errorf(platform.Failed, "a blob is not what its digest %s says", c.want.Digest)
	}
	return n, err
}

// Close implements io.Closer.
func (c *checked) Close() error { return c.close() }
