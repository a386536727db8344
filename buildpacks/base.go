package buildpacks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"

	"paas/platform"
	"paas/runtime/image"
)

// A base image is one layer, named by the digest of its content: two hosts whose Debian mirrors had other packages
// have other bases, and one that goes from host to host keeps its name. Beside the content store it is kept as a
// compressed archive, which unpacks in a second:
//
//	DIR/stacks/LAYER.tar.zst   an OCI layer archive
//	DIR/stacks/LAYER           its digest before compression

// making changes when what is made of the same recipe is better, and no app finds another image in it.
const making = 2

// pin is where the engine keeps which base image it has made.
func pin() string { return fmt.Sprint("base ", suite, recipe, making, runPackages, leftOut) }

// baseNote is by which another engine over the same content store finds it.
func baseNote() string { return "base image: Debian " + suite + " " + keyOf(pin())[:12] }

// DefaultBase implements platform.Bases.
func (e *Engine) DefaultBase(ctx context.Context, story *platform.Story) (platform.Stack, error) {
	done, err := e.begin(hostApp)
	if err != nil {
		return platform.Stack{}, err
	}
	defer done()
	layer, err := e.baseLayer(ctx, story)
	if err != nil {
		return platform.Stack{}, err
	}
	return e.describe(platform.Stack{Layer: layer, Kind: debianKind(), Source: "Debian packages"})
}

// describe adds what the base says of itself.
func (e *Engine) describe(s platform.Stack) (platform.Stack, error) {
	text, err := e.Images.ReadFile([]string{s.Layer}, "etc/debian_version", 64)
	s.Debian = strings.TrimSpace(string(text))
	if err != nil {
		return s, fmt.Errorf("read version of base image: %w", err)
	}
	return s, nil
}

// baseLayer finds or makes the default base image.
func (e *Engine) baseLayer(ctx context.Context, story *platform.Story) (string, error) {
	if layer := e.madeBase(ctx); layer != "" {
		return layer, nil
	}
	waited := tellWait(story)
	unlock, err := e.lockHost(ctx, "base")
	waited()
	if err != nil {
		return "", err
	}
	defer unlock()
	if layer := e.madeBase(ctx); layer != "" {
		return layer, nil
	}
	story.Phase("Making the base image from Debian %s, once on this host", suite)
	layer, err := e.content(ctx, baseNote(), func(d *image.Draft) error { return e.bootstrap(ctx, d.Dir, story) })
	if err != nil {
		return "", err
	}
	return layer, e.keep(pin(), []string{layer})
}

// madeBase is the base image that this engine, or another one over the same store, has made; "" if there is none.
func (e *Engine) madeBase(ctx context.Context) string {
	candidates := e.kept(pin()).List
	if len(candidates) == 0 {
		candidates = e.Images.Noted(baseNote())
	}
	for _, layer := range candidates {
		if e.holding.hold(layer) == nil && e.restore(ctx, layer) == nil {
			return layer
		}
	}
	return ""
}

// content makes a layer that is named by what is in it, and keeps it compressed as well.
func (e *Engine) content(ctx context.Context, note string, fill func(*image.Draft) error) (string, error) {
	draft, err := e.Images.Draft()
	if err != nil {
		return "", err
	}
	defer func() { _ = draft.Discard() }()
	if err := fill(draft); err != nil {
		return "", err
	}
	temp, diffID, err := e.compress(ctx, draft.Archive)
	if err != nil {
		return "", err
	}
	defer func() { _ = os.Remove(temp) }() // unless it was moved
	layer, err := image.LayerFor(diffID)
	if err != nil {
		return "", err
	}
	if err := e.holding.hold(layer); err != nil {
		return "", err
	}
	draft.Note = note
	if err := draft.Commit(layer); err != nil {
		return "", err
	}
	return layer, e.keepBlob(temp, layer, diffID)
}

// compress writes an archive as a blob under a name of its own, and returns the digest of what was written.
func (e *Engine) compress(ctx context.Context, archive func(context.Context, io.Writer) error) (temp string, diffID digest.Digest, err error) {
	f, err := os.CreateTemp(filepath.Join(e.Dir, "stacks"), ".new-*")
	if err != nil {
		return "", "", err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	z, err := zstd.NewWriter(f, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return "", "", err
	}
	sum := digest.SHA256.Digester()
	err = errors.Join(archive(ctx, io.MultiWriter(z, sum.Hash())), z.Close())
	return f.Name(), sum.Digest(), err
}

func (e *Engine) blobPath(layer string) string {
	return filepath.Join(e.Dir, "stacks", layer+".tar.zst")
}

// keepBlob moves a blob to its place. Its digest comes last: without it there is none.
func (e *Engine) keepBlob(temp, layer string, diffID digest.Digest) error {
	if err := os.Rename(temp, e.blobPath(layer)); err != nil {
		return err
	}
	return replace(filepath.Join(e.Dir, "stacks", layer), []byte(diffID))
}

// blob makes sure that a layer is kept compressed, and returns its digest.
func (e *Engine) blob(ctx context.Context, layer string) (digest.Digest, error) {
	if diffID, err := e.blobDigest(layer); err == nil {
		return diffID, nil
	}
	temp, diffID, err := e.compress(ctx, func(ctx context.Context, w io.Writer) error { return e.Images.Archive(ctx, layer, w) })
	if err != nil {
		return "", fmt.Errorf("compress layer %s: %w", layer, err)
	}
	return diffID, e.keepBlob(temp, layer, diffID)
}

func (e *Engine) blobDigest(layer string) (digest.Digest, error) {
	if _, err := os.Stat(e.blobPath(layer)); err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(e.Dir, "stacks", layer))
	if err != nil {
		return "", err
	}
	return digest.Parse(string(text))
}

// restore makes sure that a layer is in the content store, from its blob if it must.
func (e *Engine) restore(ctx context.Context, layer string) error {
	if e.Images.Has(layer) {
		return nil
	}
	diffID, err := e.blobDigest(layer)
	if err != nil {
		return err
	}
	f, err := os.Open(e.blobPath(layer))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return e.unpackBlob(ctx, f, layer, diffID)
}

const zstdLayer = "application/vnd.oci.image.layer.v1.tar+zstd" // image-spec, media-types.md

func (e *Engine) unpackBlob(ctx context.Context, blob io.Reader, layer string, diffID digest.Digest) error {
	draft, err := e.Images.Draft()
	if err != nil {
		return err
	}
	defer func() { _ = draft.Discard() }()
	if err := draft.Unpack(ctx, blob, zstdLayer, diffID); err != nil {
		return err
	}
	return draft.Commit(layer)
}

// RestoreBase implements platform.Bases.
func (e *Engine) RestoreBase(ctx context.Context, s platform.Stack) error {
	err := e.restore(ctx, s.Layer)
	if errors.Is(err, os.ErrNotExist) {
		return platform.Errorf(platform.NotFound, "the base image of %s v%d is not on this host any more", s.Name, s.Number).Because(err)
	}
	return err
}

// BuildVariant implements platform.Bases.
func (e *Engine) BuildVariant(s platform.Stack) string { return packagesKey(s.Layer, buildPackages) }
