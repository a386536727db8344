package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// importAlone is what a process does that a test kills.
func importAlone(store, layout string) error {
	s, err := Open(store)
	if err != nil {
		return err
	}
	_, _, err = s.ImportLayout(context.Background(), layout, "")
	return err
}

// kill -9 at any point of an import leaves whole layers and, after the next Open, nothing else.
func TestKilledImportsLeaveNothingHalf(t *testing.T) {
	var layers []testLayer
	for i := range 4 {
		var entries []entry
		for j := range 300 {
			entries = append(entries, file(fmt.Sprintf("d%d/f%d", i, j), strings.Repeat("x", 3000)))
		}
		layers = append(layers, testLayer{tarOf(t, entries...), ocispec.MediaTypeImageLayerGzip})
	}
	layout, dir := layoutOf(t, layers...), filepath.Join(openDir(t), "store")
	for round := range 12 {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), "IMAGE_TEST_IMPORT="+dir+":"+layout)
		check(t, cmd.Start())
		time.Sleep(time.Duration(20+15*round) * time.Millisecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		s, err := Open(dir)
		check(t, err)
		nothingLeft(t, s)
		wholeLayers(t, s)
		if round%3 == 0 {
			_, err := s.Shrink(nobody, everything)
			check(t, err)
		}
	}
	s, err := Open(dir)
	check(t, err)
	names, _, err := s.ImportLayout(t.Context(), layout, "")
	check(t, err)
	equal(t, "layers", len(names), 4)
	wholeLayers(t, s)
}

func wholeLayers(t *testing.T, s *Store) {
	t.Helper()
	names, err := s.names("layers")
	check(t, err)
	for _, name := range names {
		files, err := filepath.Glob(filepath.Join(s.Dir(name), "*", "*"))
		check(t, err)
		equal(t, "files of "+name, len(files), 300)
	}
}

// What follows the archive inside its compression is bounded too.
func TestPaddingWithoutEnd(t *testing.T) {
	plain := append(tarOf(t, file("f", "x")), make([]byte, 1<<20)...)
	l := testLayer{plain, ocispec.MediaTypeImageLayerGzip}
	p := parcel{blob: ocispec.Descriptor{MediaType: l.mediaType}, diffID: digest.FromBytes(plain)}
	err := unpack(t.Context(), bytes.NewReader(l.packed(t)), p, openDir(t), limits{bytes: 100_000, entries: 10})
	if err == nil || !strings.Contains(err.Error(), "too large") {
		t.Error(err)
	}
	check(t, unpack(t.Context(), bytes.NewReader(l.packed(t)), p, openDir(t), limits{bytes: 1 << 20, entries: 10}))
	if err := unpack(t.Context(), bytes.NewReader(l.packed(t)[:100]), p, openDir(t), limits{bytes: 1 << 20, entries: 10}); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("a layer that breaks off: %v", err)
	}
}
