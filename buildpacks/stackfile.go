package buildpacks

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"

	"paas/platform"
	"paas/runtime/image"
)

// A stack in a file is a zstd-compressed tar archive with, in this order:
//
//	stack.json      what it is: stackFile
//	run.tar.zst     the run variant's layer
//	build.tar.zst   the layer that makes the build variant of it, unless the host had none
const (
	stackMember = "stack.json"
	runMember   = "run.tar.zst"
	buildMember = "build.tar.zst"

	stackFormat  = 1
	maxStackJSON = 1 << 20
)

type stackFile struct {
	Format int           `json:"format"`
	Kind   string        `json:"kind"`
	Source string        `json:"source"`
	Run    digest.Digest `json:"run"`   // of the layer's archive before compression
	Build  digest.Digest `json:"build"` // "" without a build variant
	// BuildPackages are what makes the build variant. Where it is something else, the layer is of no use.
	BuildPackages []string `json:"build_packages"`
}

// ExportBase implements platform.Bases.
func (e *Engine) ExportBase(ctx context.Context, s platform.Stack, out io.Writer) (err error) {
	done, err := e.begin(hostApp)
	if err != nil {
		return err
	}
	defer done()
	if _, err := e.ground(ctx, s, platform.NewStory(io.Discard, nil)); err != nil {
		return err
	}
	f := stackFile{Format: stackFormat, Kind: s.Kind, Source: s.Source, BuildPackages: set(buildPackages)}
	if f.Run, err = e.blob(ctx, s.Layer); err != nil {
		return err
	}
	members := [][2]string{{runMember, s.Layer}}
	if tools := e.BuildVariant(s); e.restore(ctx, tools) == nil {
		if f.Build, err = e.blob(ctx, tools); err != nil {
			return err
		}
		members = append(members, [2]string{buildMember, tools})
	}
	z, err := zstd.NewWriter(out, zstd.WithEncoderLevel(zstd.SpeedFastest)) // what is in it is compressed already
	if err != nil {
		return err
	}
	return errors.Join(e.writeStack(ctx, f, members, z), z.Close())
}

func (e *Engine) writeStack(ctx context.Context, f stackFile, members [][2]string, out io.Writer) error {
	t := tar.NewWriter(out)
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	if err := writeMember(t, stackMember, int64(len(text)), bytes.NewReader(text)); err != nil {
		return err
	}
	for _, m := range members {
		if err := e.writeBlob(ctx, t, m[0], m[1]); err != nil {
			return fmt.Errorf("write %s: %w", m[0], err)
		}
	}
	return t.Close()
}

func (e *Engine) writeBlob(ctx context.Context, t *tar.Writer, name, layer string) error {
	f, err := os.Open(e.blobPath(layer))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return errors.Join(writeMember(t, name, info.Size(), f), ctx.Err())
}

func writeMember(t *tar.Writer, name string, size int64, content io.Reader) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	_, err := io.Copy(t, content)
	return err
}

// ImportBase implements platform.Bases. Layers get their names only after their digests were right.
func (e *Engine) ImportBase(ctx context.Context, in io.Reader) (s platform.Stack, err error) {
	done, err := e.begin(hostApp)
	if err != nil {
		return s, err
	}
	defer done()
	z, err := zstd.NewReader(in)
	if err != nil {
		return s, notStack(err)
	}
	defer z.Close()
	t := tar.NewReader(bufio.NewReaderSize(z, 1<<16))
	f, err := readStack(t)
	if err != nil {
		return s, notStack(err)
	}
	s = platform.Stack{Kind: f.Kind, Source: f.Source}
	if s.Layer, err = image.LayerFor(f.Run); err != nil {
		return s, notStack(err)
	}
	for _, m := range []struct {
		name, layer string
		diffID      digest.Digest
	}{{runMember, s.Layer, f.Run}, {buildMember, e.BuildVariant(s), f.Build}} {
		if m.diffID == "" || m.name == buildMember && !slices.Equal(f.BuildPackages, set(buildPackages)) {
			continue
		}
		if err := e.readBlob(ctx, t, m.name, m.layer, m.diffID); err != nil {
			return s, notStack(err)
		}
	}
	if err := e.suits(platform.Image{Layers: []string{s.Layer}}); err != nil {
		return s, err
	}
	return e.describe(s)
}

func notStack(err error) error {
	if platform.KindOf(err) != platform.Internal {
		return err
	}
	return platform.Errorf(platform.Failed, "that is not a whole stack: %v", err).
		WithHint("make one on another host: ssh paas stacks:export > debian.tar.zst").Because(err)
}

func readStack(t *tar.Reader) (f stackFile, err error) {
	h, err := t.Next()
	if err != nil {
		return f, err
	}
	if h.Name != stackMember {
		return f, fmt.Errorf("it begins with %q", h.Name)
	}
	if err := json.NewDecoder(io.LimitReader(t, maxStackJSON)).Decode(&f); err != nil {
		return f, fmt.Errorf("read %s: %w", stackMember, err)
	}
	if f.Format != stackFormat {
		return f, fmt.Errorf("it has format %d, and this is %d", f.Format, stackFormat)
	}
	return f, nil
}

// readBlob unpacks the next member while it writes it down.
func (e *Engine) readBlob(ctx context.Context, t *tar.Reader, name, layer string, diffID digest.Digest) error {
	h, err := t.Next()
	if err != nil {
		return err
	}
	if h.Name != name {
		return fmt.Errorf("it has %q where %s should be", h.Name, name)
	}
	if err := e.holding.hold(layer); err != nil {
		return err
	}
	if e.Images.Has(layer) {
		return nil
	}
	temp, err := os.CreateTemp(filepath.Join(e.Dir, "stacks"), ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }() // unless it was moved
	err = errors.Join(e.unpackBlob(ctx, io.TeeReader(t, temp), layer, diffID), temp.Close())
	if err != nil {
		return err
	}
	return e.keepBlob(temp.Name(), layer, diffID)
}

// RetainBlobs removes the compressed layers that nobody needs. The base image that was made here stays.
func (e *Engine) RetainBlobs(needed map[string]bool) error {
	made := e.kept(pin()).List
	names, err := filepath.Glob(filepath.Join(e.Dir, "stacks", "[a-z0-9]*.tar.zst"))
	for _, name := range names {
		layer := filepath.Base(name[:len(name)-len(".tar.zst")])
		if needed[layer] || slices.Contains(made, layer) {
			continue
		}
		err = errors.Join(err, os.RemoveAll(filepath.Join(e.Dir, "stacks", layer)), os.Remove(name))
	}
	return err
}
