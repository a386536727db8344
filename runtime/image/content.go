package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Archive writes what is in the draft as Store.Archive will once it is a layer. The name that LayerFor makes
// of the archive's digest says what is in the layer, on every host.
func (d *Draft) Archive(ctx context.Context, w io.Writer) error {
	if err := archive(ctx, d.Dir, w); err != nil {
		return fmt.Errorf("archive layer draft: %w", err)
	}
	return nil
}

// Unpack fills an empty draft with a layer's archive, compressed as the media type says, and checks it
// against the diff id. Unlike Store.Unpack it leaves the name to Commit. After an error the draft is of no use.
func (d *Draft) Unpack(ctx context.Context, blob io.Reader, mediaType string, diffID digest.Digest) error {
	most := layerLimits()
	most.room = d.store.Room
	p := parcel{blob: ocispec.Descriptor{MediaType: mediaType}, diffID: diffID}
	if err := unpack(ctx, blob, p, d.Dir, most); err != nil {
		return fmt.Errorf("extract layer %s: %w", diffID, err)
	}
	return nil
}

// Flatten fills an empty draft with what directories in the form of layers, bottom first, show together. It
// copies, and blocks on the disk until ctx ends.
func (d *Draft) Flatten(ctx context.Context, dirs ...string) (err error) {
	root, err := Overlay(MountSpec{Lowers: dirs})
	if err != nil {
		return fmt.Errorf("flatten layers: %w", err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	// It knows hard links, holes, owners and attributes; overlayfs hides its own.
	cmd := exec.CommandContext(ctx, "cp", "-a", "/proc/self/fd/3/.", d.Dir+"/") //nolint:gosec // a directory of our own
	cmd.ExtraFiles = []*os.File{root}
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(ctx.Err(), fmt.Errorf("flatten layers: %w: %s", err, out))
	}
	return nil
}

// Noted are the layers that have exactly this note, the newest first.
func (s *Store) Noted(note string) []string {
	names, _ := s.names("notes") // nothing is noted then
	var found []string
	for _, name := range names {
		if there, err := exists(filepath.Join(s.dir, "layers", name)); err == nil && there && s.Note(name) == note {
			found = append(found, name)
		}
	}
	slices.SortFunc(found, func(a, b string) int { return s.madeAt(b).Compare(s.madeAt(a)) })
	return found
}

// madeAt is when the layer got its name; the zero time if it has lost it meanwhile.
func (s *Store) madeAt(layer string) time.Time {
	at, err := committedAt(s.Dir(layer))
	if err != nil {
		return time.Time{}
	}
	return at
}
