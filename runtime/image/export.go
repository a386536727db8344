package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/google/renameio/v2"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"paas/platform"
)

// exportTag is what the image is called in its layout.
const exportTag = "latest"

// ExportLayout writes the image as an OCI image layout into dir, which is made if it is missing: zstd
// layers, a configuration that starts the web process, the tag "latest". Equal images from equal layer
// directories give equal bytes. index.json comes last: a layout that has it is whole. A dir that holds
// a layout already gets the blobs it lacks and a new index. It blocks on disk and CPU until ctx ends.
func (s *Store) ExportLayout(ctx context.Context, img platform.Image, dir string) error {
	if err := s.exportLayout(ctx, img, dir); err != nil {
		return fmt.Errorf("export image %s: %w", img.ID, err)
	}
	return nil
}

func (s *Store) exportLayout(ctx context.Context, img platform.Image, dir string) error {
	e := exporter{ctx: ctx, blobs: filepath.Join(dir, "blobs", "sha256")}
	if err := os.MkdirAll(e.blobs, 0o755); err != nil {
		return err
	}
	var layers []ocispec.Descriptor
	var diffIDs []digest.Digest
	for _, name := range img.Layers {
		if !layerName.MatchString(name) {
			return fmt.Errorf("layer %q: %w", name, ErrLayerName)
		}
		layer, diffID, err := e.layer(s.Dir(name))
		if err != nil {
			return fmt.Errorf("layer %s: %w", name, err)
		}
		layers, diffIDs = append(layers, layer), append(diffIDs, diffID)
	}
	config, err := e.document(ocispec.MediaTypeImageConfig, ConfigOf(img, diffIDs))
	if err != nil {
		return err
	}
	manifest, err := e.document(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config, Layers: layers,
	})
	if err != nil {
		return err
	}
	return writeIndex(dir, manifest)
}

func writeIndex(dir string, manifest ocispec.Descriptor) error {
	manifest.Platform = &ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH}
	manifest.Annotations = map[string]string{ocispec.AnnotationRefName: exportTag}
	index, err := json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{manifest},
	})
	if err != nil {
		return err
	}
	version, err := json.Marshal(ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})
	if err != nil {
		return err
	}
	if err := renameio.WriteFile(filepath.Join(dir, ocispec.ImageLayoutFile), version, 0o644); err != nil {
		return err
	}
	return renameio.WriteFile(filepath.Join(dir, ocispec.ImageIndexFile), index, 0o644)
}

// ConfigOf is the image as other runtimes see it. Process types that they know nothing of are labels.
func ConfigOf(img platform.Image, diffIDs []digest.Digest) ocispec.Image {
	c := ocispec.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: diffIDs},
	}
	for _, name := range slices.Sorted(maps.Keys(img.Env)) {
		c.Config.Env = append(c.Config.Env, name+"="+img.Env[name])
	}
	c.Config.User = fmt.Sprintf("%d:%d", img.UID, img.GID)
	c.Config.WorkingDir = img.WorkDir
	c.Config.StopSignal = img.StopSignal
	c.Config.Entrypoint = img.Shell
	if argv := img.Commands[platform.Web]; argv != nil {
		c.Config.Entrypoint, c.Config.Cmd = apart(img, argv)
	} else if web, ok := img.Processes[platform.Web]; ok {
		c.Config.Cmd = []string{web}
	}
	if img.Port != 0 {
		c.Config.ExposedPorts = map[string]struct{}{fmt.Sprintf("%d/tcp", img.Port): {}}
	}
	c.Config.Labels = labelsOf(img)
	for _, path := range img.Volumes {
		if c.Config.Volumes == nil {
			c.Config.Volumes = map[string]struct{}{}
		}
		c.Config.Volumes[path] = struct{}{}
	}
	return c
}

// apart is web's argv as the Dockerfile of the image has it, ENTRYPOINT and CMD apart: who names a command of his own, as
// in docker run IMAGE COMMAND, means it instead of CMD.
func apart(img platform.Image, argv []string) (entrypoint, cmd []string) {
	var c ocispec.ImageConfig
	if json.Unmarshal(img.Inherit, &c) == nil && slices.Equal(slices.Concat(c.Entrypoint, c.Cmd), argv) {
		return c.Entrypoint, c.Cmd
	}
	return argv, nil
}

func labelsOf(img platform.Image) map[string]string {
	labels := map[string]string{}
	maps.Copy(labels, img.Labels)
	for process, command := range img.Processes {
		labels["paas.process."+string(process)] = command
	}
	if img.Builder != "" {
		labels["paas.builder"] = img.Builder
	}
	return labels
}

// exporter writes blobs.
type exporter struct {
	ctx   context.Context
	blobs string
}

func (e exporter) document(mediaType string, v any) (ocispec.Descriptor, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return e.blob(mediaType, func(w io.Writer) error {
		_, err := io.Copy(w, bytes.NewReader(data))
		return err
	})
}

// layer writes a layer directory as a compressed archive. The encoder runs on one CPU, and with fixed
// settings, so that equal archives are equal blobs.
func (e exporter) layer(dir string) (ocispec.Descriptor, digest.Digest, error) {
	plain := digest.SHA256.Digester()
	d, err := e.blob(ocispec.MediaTypeImageLayerZstd, func(w io.Writer) error {
		z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault))
		if err != nil {
			return err
		}
		return errors.Join(archive(e.ctx, dir, io.MultiWriter(z, plain.Hash())), z.Close())
	})
	return d, plain.Digest(), err
}

// blob names what fill writes by its digest.
func (e exporter) blob(mediaType string, fill func(io.Writer) error) (d ocispec.Descriptor, err error) {
	f, err := os.CreateTemp(e.blobs, ".blob-") // renameio wants the final name first
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, forgetTemp(f)) }()
	sum := digest.SHA256.Digester()
	if err := fill(io.MultiWriter(f, sum.Hash())); err != nil {
		return d, err
	}
	size, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return d, err
	}
	if err := errors.Join(f.Chmod(0o644), f.Sync()); err != nil {
		return d, err
	}
	d = ocispec.Descriptor{MediaType: mediaType, Digest: sum.Digest(), Size: size}
	return d, os.Rename(f.Name(), filepath.Join(e.blobs, d.Digest.Encoded()))
}

// forgetTemp closes a temporary file and removes it if it was not renamed.
func forgetTemp(f *os.File) error {
	err := os.Remove(f.Name())
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, f.Close())
}
