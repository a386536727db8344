package exchange

import (
	"archive/tar"
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"runtime"
	"time"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"paas/platform"
)

// Save implements platform.Distribution. The archive is an OCI layout; unless only that is wanted it has
// docker save's manifest.json as well, over the same blobs, as Docker's own since version 25.
func (x *Exchange) Save(ctx context.Context, img platform.Image, name string, oci bool, out io.Writer) error {
	p, err := x.pack(ctx, img, Gzip)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(out, 1<<16)
	s := saver{ctx: ctx, out: tar.NewWriter(buffered), open: func(d ocispec.Descriptor) (io.ReadCloser, error) { return x.blobOf(ctx, img, p, d.Digest) }}
	if err := s.save(p, name, oci); err != nil {
		return fmt.Errorf("save image %s: %w", img.ID, err)
	}
	return errors.Join(s.out.Close(), buffered.Flush())
}

type saver struct {
	ctx  context.Context
	out  *tar.Writer
	open func(ocispec.Descriptor) (io.ReadCloser, error)
}

func (s saver) save(p packed, name string, oci bool) error {
	if err := s.document(ocispec.ImageLayoutFile, ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion}); err != nil {
		return err
	}
	written := map[string]bool{}
	for _, d := range append(p.doc.Layers, p.doc.Config) {
		if place := placeOf(d); !written[place] {
			written[place] = true
			if err := s.blob(d); err != nil {
				return err
			}
		}
	}
	if err := s.file(placeOf(p.descriptor), p.manifest); err != nil {
		return err
	}
	if !oci {
		if err := s.document("manifest.json", []dockerManifest{dockerOf(p, name)}); err != nil {
			return err
		}
	}
	return s.document(ocispec.ImageIndexFile, indexOf(p, name))
}

func placeOf(d ocispec.Descriptor) string {
	return path.Join("blobs", d.Digest.Algorithm().String(), d.Digest.Encoded())
}

func dockerOf(p packed, name string) dockerManifest {
	m := dockerManifest{Config: placeOf(p.doc.Config), RepoTags: []string{name}}
	for _, d := range p.doc.Layers {
		m.Layers = append(m.Layers, placeOf(d))
	}
	return m
}

func indexOf(p packed, name string) ocispec.Index {
	d := p.descriptor
	d.Platform = &ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH}
	d.Annotations = map[string]string{ocispec.AnnotationRefName: name}
	return ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{d}}
}

func (s saver) document(name string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.file(name, body)
}

func (s saver) file(name string, body []byte) error {
	if err := s.out.WriteHeader(header(name, int64(len(body)))); err != nil {
		return err
	}
	_, err := s.out.Write(body)
	return err
}

func (s saver) blob(d ocispec.Descriptor) error {
	f, err := s.open(d)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	if err := s.out.WriteHeader(header(placeOf(d), d.Size)); err != nil {
		return err
	}
	_, err = io.Copy(s.out, f)
	return errors.Join(err, s.ctx.Err())
}

// header is the same for the same content, whenever it is written.
func header(name string, size int64) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
}
