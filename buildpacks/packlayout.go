package buildpacks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"paas/buildpacks/dockerfile/wire"
	"paas/buildpacks/procfile"
	"paas/platform"
)

// packPath is where a layout has an image (the platform specification, "OCI layout", as of the lifecycle 0.16).
func packPath(name string) string { return strings.ReplaceAll(name, ":", "/") }

// packDiffs are the diff ids of an image's layers; those that never had one get one of their names.
func packDiffs(base wire.Base, config ocispec.Image) []digest.Digest {
	if len(config.RootFS.DiffIDs) == len(base.Layers) {
		return config.RootFS.DiffIDs
	}
	var ids []digest.Digest
	for _, layer := range base.Layers {
		ids = append(ids, digest.FromString(layer))
	}
	return ids
}

// writeSparse writes an OCI layout with an image whose layers are named and not there.
func writeSparse(dir string, base wire.Base) error {
	var config ocispec.Image
	if err := json.Unmarshal(base.Config, &config); err != nil {
		return err
	}
	config.OS, config.Architecture, config.History = "linux", goarch(), nil
	config.RootFS = ocispec.RootFS{Type: "layers", DiffIDs: packDiffs(base, config)}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	for _, id := range config.RootFS.DiffIDs {
		m.Layers = append(m.Layers, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: id, Size: 1})
	}
	if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755); err != nil {
		return err
	}
	var err error
	if m.Config, err = writeBlob(dir, ocispec.MediaTypeImageConfig, config); err != nil {
		return err
	}
	d, err := writeBlob(dir, ocispec.MediaTypeImageManifest, m)
	if err != nil {
		return err
	}
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{d}}
	for name, doc := range map[string]any{ocispec.ImageIndexFile: index, ocispec.ImageLayoutFile: ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion}} {
		text, err := json.Marshal(doc)
		if err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), text, 0o644)); err != nil { //nolint:gosec // the builder's user reads it
			return err
		}
	}
	return nil
}

func writeBlob(dir, mediaType string, doc any) (ocispec.Descriptor, error) {
	text, err := json.Marshal(doc)
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(text), Size: int64(len(text))}
	return d, errors.Join(err, os.WriteFile(filepath.Join(dir, "blobs", "sha256", d.Digest.Encoded()), text, 0o644)) //nolint:gosec // the same
}

// unpackApp takes the image that the creator has written. Of what is in the layout nothing is trusted: strangers'
// programs wrote it.
func (b *build) unpackApp(ctx context.Context, i builderImage, upper string) (made wire.Result, err error) {
	root, err := os.OpenRoot(filepath.Join(upper, packLayout, packPath(packApp)))
	if err != nil {
		return made, platform.Errorf(platform.Failed, "the builder image %s has made no image", i.name).Because(err)
	}
	defer func() { _ = root.Close() }()
	l := packResult{root}
	var index ocispec.Index
	var manifest ocispec.Manifest
	var config ocispec.Image
	if err := l.read(ocispec.ImageIndexFile, &index); err != nil {
		return made, err
	}
	if len(index.Manifests) != 1 {
		return made, fmt.Errorf("the creator has made %d images", len(index.Manifests))
	}
	if err := errors.Join(l.read(l.blob(index.Manifests[0].Digest), &manifest), l.read(l.blob(manifest.Config.Digest), &config)); err != nil {
		return made, err
	}
	if len(manifest.Layers) != len(config.RootFS.DiffIDs) || len(manifest.Layers) < len(i.runs.Layers) {
		return made, fmt.Errorf("the creator's image has %d layers and %d diff ids", len(manifest.Layers), len(config.RootFS.DiffIDs))
	}
	made.Layers = slices.Clone(i.runs.Layers)
	for n, d := range manifest.Layers[len(made.Layers):] {
		layer, err := l.unpack(ctx, b, d, config.RootFS.DiffIDs[len(i.runs.Layers)+n])
		if err != nil {
			return made, err
		}
		made.Layers = append(made.Layers, layer)
	}
	config.History = nil
	made.Config, err = json.Marshal(config)
	return made, err
}

type packResult struct{ root *os.Root }

func (packResult) blob(d digest.Digest) string {
	if d.Validate() != nil {
		return "blobs/none"
	}
	return path.Join("blobs", d.Algorithm().String(), d.Encoded())
}

func (l packResult) open(name string) (*os.File, error) {
	info, err := l.root.Lstat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", name)
	}
	if err != nil {
		return nil, err
	}
	return l.root.Open(name)
}

// maxPackDocument bounds the documents of an image, in bytes.
const maxPackDocument = 4 << 20

func (l packResult) read(name string, into any) error {
	f, err := l.open(name)
	if err != nil {
		return fmt.Errorf("read the creator's image: %w", err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxPackDocument))
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	return err
}

func (l packResult) unpack(ctx context.Context, b *build, d ocispec.Descriptor, diffID digest.Digest) (string, error) {
	f, err := l.open(l.blob(d.Digest))
	if err != nil {
		return "", fmt.Errorf("read a layer of the creator's image: %w", err)
	}
	defer func() { _ = f.Close() }()
	layer, err := b.Images.Unpack(ctx, f, d.MediaType, diffID)
	if err != nil {
		return "", err
	}
	return layer, b.holding.hold(layer)
}

// packed finds what was made under the key before, if all of it is there still.
func (b *build) packed(key string) (made wire.Result, ok bool) {
	text, err := os.ReadFile(b.packIndex(key))
	if err != nil || json.Unmarshal(text, &made) != nil || len(made.Layers) == 0 {
		return made, false
	}
	return made, !slices.ContainsFunc(made.Layers, func(l string) bool { return b.holding.hold(l) != nil || !b.Images.Has(l) })
}

func (b *build) keepPacked(key string, made wire.Result) error {
	text, err := json.Marshal(made)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(b.appIndex(b.req.App.ID), 0o700); err != nil {
		return err
	}
	return replace(b.packIndex(key), text)
}

// packIndex is one of a few files, so that the same source again, and that before it, cost nothing.
func (b *build) packIndex(key string) string {
	return filepath.Join(b.appIndex(b.req.App.ID), "pack-"+key[:1])
}

// packImage makes our image of a built one: the launcher runs its process types, and as a shell the lines of a
// Procfile and commands that people type, in the environment that buildpacks have made.
func (b *build) packImage(made wire.Result) (platform.Image, error) {
	var config ocispec.Image
	if err := json.Unmarshal(made.Config, &config); err != nil {
		return platform.Image{}, fmt.Errorf("read the image's configuration: %w", err)
	}
	var metadata struct {
		Processes []struct {
			Type string `json:"type"`
		} `json:"processes"`
	}
	if label := config.Config.Labels["io.buildpacks.build.metadata"]; label != "" {
		if err := json.Unmarshal([]byte(label), &metadata); err != nil {
			return platform.Image{}, fmt.Errorf("read what the buildpacks say of the image: %w", err)
		}
	}
	config.Config.Entrypoint, config.Config.Cmd = []string{packLauncher}, nil
	img, err := b.Docker.Describe(made.Layers, config)
	if err != nil {
		return img, err
	}
	img.Shell, img.Builder, img.Labels = []string{packLauncher}, b.plan.Builder, config.Config.Labels
	img.Checks = maps.Clone(b.plan.Checks)
	b.declare(&img)
	img.Processes, img.Commands = map[platform.ProcessType]string{}, map[platform.ProcessType][]string{}
	for _, p := range metadata.Processes {
		typ := platform.ProcessType(p.Type)
		if !procfile.Valid(p.Type) {
			b.req.Story.Warn("The buildpacks' process type %q cannot be one here.", p.Type)
			continue
		}
		img.Processes[typ], img.Commands[typ] = "/cnb/process/"+p.Type, []string{"/cnb/process/" + p.Type}
	}
	for typ, command := range b.plan.Processes {
		img.Processes[typ] = command
		delete(img.Commands, typ)
	}
	if len(img.Processes) == 0 {
		return img, platform.Errorf(platform.Failed, "the buildpacks of %s name no process type, and there is no Procfile", b.plan.BuilderImage).
			WithHint("add a Procfile with a line such as \"web: ./server\"")
	}
	return named(img)
}
