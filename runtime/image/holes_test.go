package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"paas/platform"
)

// GNU tar's sparse entries in all their forms are files with holes again.
func TestSparseFilesStaySparse(t *testing.T) {
	from := openDir(t)
	f, err := os.Create(filepath.Join(from, "sparse"))
	check(t, err)
	for _, at := range []int64{0, 5 << 20, 9<<20 + 123} {
		_, err := f.WriteAt([]byte("data"), at)
		check(t, err)
	}
	check(t, errors.Join(f.Truncate(16<<20), f.Close()))
	want, err := os.ReadFile(f.Name())
	check(t, err)
	for _, format := range []string{"--format=gnu", "--format=posix --sparse-version=0.0", "--format=posix --sparse-version=0.1", "--format=posix --sparse-version=1.0"} {
		t.Run(format, func(t *testing.T) {
			args := append(strings.Fields(format), "--sparse", "--hole-detection=raw", "-C", from, "-cf", "-", "sparse")
			archive, err := exec.Command("tar", args...).Output()
			check(t, err)
			root := openDir(t)
			check(t, extract(t.Context(), bytes.NewReader(archive), root, layerLimits()))
			got, err := os.ReadFile(filepath.Join(root, "sparse"))
			check(t, err)
			equal(t, "content", bytes.Equal(got, want), true)
			if blocks := blocksOf(t, filepath.Join(root, "sparse")); blocks > 64 {
				t.Errorf("%d KiB on the disk", blocks/2)
			}
		})
	}
}

func blocksOf(t *testing.T, path string) int64 {
	t.Helper()
	fi, err := os.Stat(path)
	check(t, err)
	return fi.Sys().(*syscall.Stat_t).Blocks
}

// Contents at and around the borders of blocks and buffers arrive as they were.
func TestContentsOfAllSizes(t *testing.T) {
	var entries []entry
	want := map[string]string{}
	for _, size := range []int{0, 1, blockBytes - 1, blockBytes, blockBytes + 1, copyBytes - 1, copyBytes, copyBytes + blockBytes + 7} {
		for kind, content := range map[string]string{
			"zeros": strings.Repeat("\x00", size), "data": strings.Repeat("x", size),
			"mixed": strings.Repeat("x", size/2) + strings.Repeat("\x00", size-size/2),
			"tail":  strings.Repeat("\x00", size-size/9) + strings.Repeat("x", size/9),
		} {
			name := fmt.Sprintf("%s-%d", kind, size)
			want[name] = content
			entries = append(entries, file(name, content))
		}
	}
	root := openDir(t)
	check(t, extract(t.Context(), bytes.NewReader(tarOf(t, entries...)), root, layerLimits()))
	for name, content := range want {
		got, err := os.ReadFile(filepath.Join(root, name))
		check(t, err)
		equal(t, name, string(got) == content, true)
	}
}

// One entry of 4 KiB implies two thousand directories: they count as entries, else the limit is none.
func TestImpliedDirectoriesCount(t *testing.T) {
	var entries []entry
	for i := range 10 {
		entries = append(entries, file(fmt.Sprintf("%d/%sf", i, strings.Repeat("d/", 500)), "x"))
	}
	root := openDir(t)
	err := extract(t.Context(), bytes.NewReader(tarOf(t, entries...)), root, limits{bytes: 1 << 20, entries: 1000})
	if err == nil || !strings.Contains(err.Error(), "too many entries") {
		t.Error(err)
	}
}

// An extraction asks for room while it writes, not only before.
func TestExtractionStopsAtTheReserve(t *testing.T) {
	full := platform.Errorf(platform.Failed, "the disk is full")
	for name, entries := range map[string][]entry{
		"bytes":   {file("f", strings.Repeat("x", roomBytes+1))},
		"entries": manyDirs(roomEntries + 1),
	} {
		err := extract(t.Context(), bytes.NewReader(tarOf(t, entries...)), openDir(t),
			limits{bytes: 1 << 40, entries: 1 << 20, room: func() error { return full }})
		if !errors.Is(err, full) {
			t.Errorf("%s: %v", name, err)
		}
	}
	zeros := file("f", strings.Repeat("\x00", roomBytes+1))
	check(t, extract(t.Context(), bytes.NewReader(tarOf(t, zeros)), openDir(t),
		limits{bytes: 1 << 40, entries: 9, room: func() error { return full }}))
}

func manyDirs(n int) (entries []entry) {
	for i := range n {
		entries = append(entries, dir(fmt.Sprint(i)))
	}
	return entries
}

// Names are any bytes but zero and slash, and do nothing to those who print them.
func TestNamesOfAnyBytes(t *testing.T) {
	root := openDir(t)
	odd := []string{"new\nline", "tab\there", "\x1b[31mred", "\xff\xfe", " ", "-rf", "…", ".wh", "a\\b", "c:d,e"}
	var entries []entry
	for _, name := range odd {
		entries = append(entries, file(name, "x").with(func(h *tar.Header) { h.Format = tar.FormatGNU }))
	}
	check(t, extract(t.Context(), bytes.NewReader(tarOf(t, entries...)), root, layerLimits()))
	for _, name := range odd {
		if _, err := os.Lstat(filepath.Join(root, name)); err != nil {
			t.Error(err)
		}
	}
}
