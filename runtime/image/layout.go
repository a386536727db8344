package image

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"paas/platform"
)

// Docker's names for what OCI later standardised; images in the wild still carry them.
const (
	dockerList  = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerLayer = "application/vnd.docker.image.rootfs.diff.tar"
	dockerGzip  = "application/vnd.docker.image.rootfs.diff.tar.gzip"
)

// maxDocument bounds the JSON documents of an image; registries allow 4 MiB (OCI distribution-spec).
const maxDocument = 4 << 20

// layout is an OCI image layout (image-spec, image-layout.md): a directory, or a tar archive of one.
type layout struct {
	open  func(name string) (io.ReadCloser, error)
	close func() error
}

// openLayout opens the layout at path. An archive is read in place; its index takes one pass.
func openLayout(name string) (*layout, error) {
	fi, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if fi.IsDir() {
		return openLayoutDir(name)
	}
	return openLayoutTar(name)
}

func openLayoutDir(name string) (*layout, error) {
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	open := func(name string) (io.ReadCloser, error) { return root.Open(filepath.FromSlash(name)) }
	return &layout{open: open, close: root.Close}, nil
}

func openLayoutTar(name string) (*layout, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	blobs, err := tarIndex(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read archive: %w", err), f.Close())
	}
	open := func(name string) (io.ReadCloser, error) {
		section, ok := blobs[name]
		if !ok {
			return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
		}
		return io.NopCloser(io.NewSectionReader(f, section.start, section.size)), nil
	}
	return &layout{open: open, close: f.Close}, nil
}

type section struct{ start, size int64 }

// tarIndex finds the files of an archive. After Next the file is at the entry's first byte.
func tarIndex(f *os.File) (map[string]section, error) {
	index := map[string]section{}
	r := tar.NewReader(f)
	for range layerLimits().entries {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return index, nil
		}
		if err != nil {
			return nil, err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		start, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		index[path.Clean(h.Name)] = section{start, h.Size}
	}
	return nil, errors.New("too many entries")
}

// blob opens a blob; the reader gives no more than its size and fails at the end if the digest differs.
func (l *layout) blob(d ocispec.Descriptor) (io.ReadCloser, error) {
	if err := d.Digest.Validate(); err != nil {
		return nil, fmt.Errorf("digest %q: %w", d.Digest, err)
	}
	f, err := l.open(path.Join("blobs", d.Digest.Algorithm().String(), d.Digest.Encoded()))
	if err != nil {
		return nil, err
	}
	return &verified{src: f, left: d.Size, verifier: d.Digest.Verifier()}, nil
}

// verified is the content of a descriptor. It is trusted only once Read has answered io.EOF.
type verified struct {
	src      io.ReadCloser
	left     int64
	verifier digest.Verifier
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.src.Read(p)
	v.left -= int64(n)
	if v.left < 0 {
		return 0, errors.New("the blob is longer than its descriptor says")
	}
	_, _ = v.verifier.Write(p[:n])
	if errors.Is(err, io.EOF) && (v.left != 0 || !v.verifier.Verified()) {
		return 0, errors.New("the blob is not what its digest says")
	}
	return n, err
}

func (v *verified) Close() error { return v.src.Close() }

// document reads a blob of JSON into v.
func (l *layout) document(d ocispec.Descriptor, v any) error {
	if d.Size > maxDocument {
		return fmt.Errorf("%s: %d bytes are too many", d.Digest, d.Size)
	}
	f, err := l.blob(d)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("%s: %w", d.Digest, err)
	}
	return json.Unmarshal(data, v)
}

// manifest finds the image that ref names: a tag, a digest, or "" for the only one.
func (l *layout) manifest(ref string) (ocispec.Manifest, error) {
	var m ocispec.Manifest
	top, err := l.index()
	if err != nil {
		return m, err
	}
	d, err := choose(top.Manifests, ref)
	for range 4 { // an index in an index is odd already
		if err != nil {
			return m, err
		}
		if !isIndex(d.MediaType) {
			return m, l.document(d, &m)
		}
		var index ocispec.Index
		if err = l.document(d, &index); err == nil {
			d, err = choose(forThisMachine(index.Manifests), "")
		}
	}
	return m, errors.New("indexes are nested too deeply")
}

func (l *layout) index() (ocispec.Index, error) {
	var index ocispec.Index
	f, err := l.open(ocispec.ImageIndexFile)
	if err != nil {
		return index, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxDocument))
	if err = errors.Join(err, f.Close()); err != nil {
		return index, err
	}
	return index, json.Unmarshal(data, &index)
}

func isIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == dockerList
}

func choose(all []ocispec.Descriptor, ref string) (ocispec.Descriptor, error) {
	var found []ocispec.Descriptor
	for _, d := range all {
		if ref == "" || string(d.Digest) == ref || d.Annotations[ocispec.AnnotationRefName] == ref {
			found = append(found, d)
		}
	}
	if len(found) > 1 {
		found = forThisMachine(found)
	}
	switch {
	case len(found) == 0:
		return ocispec.Descriptor{}, platform.Errorf(platform.NotFound, "the image layout has no image %q for linux/%s", ref, runtime.GOARCH)
	case len(found) > 1 && ref == "":
		return ocispec.Descriptor{}, platform.Errorf(platform.Usage, "the image layout has %d images: name one", len(found))
	}
	return found[0], nil
}

// forThisMachine drops what is built for others. A descriptor without a platform may be for us.
func forThisMachine(all []ocispec.Descriptor) []ocispec.Descriptor {
	var ours []ocispec.Descriptor
	for _, d := range all {
		if d.Platform == nil || d.Platform.OS == "linux" && d.Platform.Architecture == runtime.GOARCH {
			ours = append(ours, d)
		}
	}
	return ours
}
