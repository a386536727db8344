package exchange

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"paas/platform"
)

// dockerManifest is an entry of manifest.json in a docker save archive (moby's image/tarexport).
type dockerManifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// docker lists the images of a docker save archive. Its layers have no digests of their own: the diff ids
// in the configuration say what they must be. A configuration is named by its digest.
func (b *bundle) docker(ctx context.Context) ([]entry, error) {
	var manifests []dockerManifest
	if err := b.document("manifest.json", &manifests); err != nil {
		return nil, err
	}
	var all []entry
	for _, m := range manifests {
		id := digest.NewDigestFromEncoded(digest.SHA256, strings.TrimSuffix(path.Base(m.Config), ".json"))
		config, err := readConfig(ctx, ocispec.Descriptor{Digest: id}, func(context.Context, ocispec.Descriptor) (io.ReadCloser, error) {
			f, size, err := b.open(m.Config)
			if err == nil && size > maxDocument {
				err = platform.Errorf(platform.Failed, "%s in the archive is too large", m.Config)
			}
			return f, err
		})
		if err != nil {
			return nil, err
		}
		e := entry{names: m.RepoTags, id: id.Encoded(), digest: id.String(), parts: parts{config: config, open: b.dockerLayer}}
		if e.layers, err = b.dockerLayers(m.Layers); err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

// pathNote carries a layer's place in the archive in its descriptor.
const pathNote = "path"

func (b *bundle) dockerLayers(paths []string) ([]ocispec.Descriptor, error) {
	var layers []ocispec.Descriptor
	for _, name := range paths {
		f, size, err := b.open(name)
		if err != nil {
			return nil, err
		}
		layers = append(layers, ocispec.Descriptor{
			MediaType: sniff(f), Size: size, Annotations: map[string]string{pathNote: name},
			Digest: digest.FromString(name), // a name for messages only
		})
	}
	return layers, nil
}

func (b *bundle) dockerLayer(_ context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	f, _, err := b.open(d.Annotations[pathNote])
	return f, err
}

// sniff tells how a layer is compressed by its first bytes (RFC 1952, 2.3.1; RFC 8878, 3.1.1).
func sniff(r io.Reader) string {
	head, _ := bufio.NewReader(r).Peek(4) // an empty one is a tar, and a bad one
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return ocispec.MediaTypeImageLayerGzip
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return ocispec.MediaTypeImageLayerZstd
	}
	return ocispec.MediaTypeImageLayer
}
