package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

// Archive writes a layer as an uncompressed OCI layer archive; equal layers give equal archives. It
// blocks on the disk until ctx ends.
func (s *Store) Archive(ctx context.Context, layer string, w io.Writer) error {
	if !layerName.MatchString(layer) {
		return fmt.Errorf("archive layer %q: %w", layer, ErrLayerName)
	}
	if err := archive(ctx, s.Dir(layer), w); err != nil {
		return fmt.Errorf("archive layer %s: %w", layer, err)
	}
	return nil
}

// LayerFor is the name that a layer with the diff id, the digest of its uncompressed archive, has in
// every store.
func LayerFor(diffID digest.Digest) (string, error) { return layerFor(diffID) }

// Unpack extracts a layer's archive, compressed as the media type says, while it reads it, and returns
// the layer's name. The content is checked against the diff id; that the blob has its own digest is the
// reader's to say, with an error instead of io.EOF. After an error nothing is left. A layer that is
// there already is not read. It blocks on the reader and the disk until ctx ends.
func (s *Store) Unpack(ctx context.Context, blob io.Reader, mediaType string, diffID digest.Digest) (name string, err error) {
	return s.Take(ctx, blob, Arrival{MediaType: mediaType, DiffID: diffID})
}

// Arrival is what is said of a layer that comes in as an archive.
type Arrival struct {
	MediaType string        // how it is compressed
	DiffID    digest.Digest // what its content must be
	Note      string        // what made it, if that is known
}

// Take is Unpack for a layer of which may be known what made it.
func (s *Store) Take(ctx context.Context, blob io.Reader, a Arrival) (name string, err error) {
	if name, err = layerFor(a.DiffID); err != nil || s.Has(name) {
		return name, err
	}
	p := parcel{blob: ocispec.Descriptor{MediaType: a.MediaType}, diffID: a.DiffID, name: name, note: a.Note}
	if err := s.take(ctx, p, func() (io.ReadCloser, error) { return io.NopCloser(blob), nil }); err != nil {
		return "", fmt.Errorf("extract layer %s: %w", a.DiffID, err)
	}
	return name, nil
}

// ReadFile reads a file of the file system that layers make, at most limit bytes. Symlinks lead where
// they lead inside a container and never out of it. Missing is fs.ErrNotExist; anything but a regular
// file is refused.
func (s *Store) ReadFile(layers []string, path string, limit int64) (data []byte, err error) {
	spec := MountSpec{}
	for _, layer := range layers {
		spec.Lowers = append(spec.Lowers, s.Dir(layer))
	}
	root, err := Overlay(spec)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	fd, err := unix.Openat2(int(root.Fd()), path, &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	defer func() { err = errors.Join(err, f.Close()) }()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("%s is no regular file", path))
	}
	return io.ReadAll(io.LimitReader(f, limit))
}
