package buildpacks

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"paas/buildpacks/plan"
	"paas/platform"
)

// bigTree is a tree of many files in few directories, each with its id again and again.
type bigTree struct {
	files  []platform.File
	repeat int
}

func newBigTree(n, repeat int) *bigTree {
	t := &bigTree{repeat: repeat}
	for i := range n {
		t.files = append(t.files, platform.File{Path: fmt.Sprintf("src/%03d/file%06d.js", i/100, i), Mode: platform.Regular, ID: blobID(i, 0)})
	}
	return t
}

// with is the tree with one file changed.
func (t *bigTree) with(file, version int) *bigTree {
	c := &bigTree{slices.Clone(t.files), t.repeat}
	c.files[file].ID = blobID(file, version)
	return c
}

func blobID(file, version int) string {
	sum := sha1.Sum(fmt.Append(nil, file, version))
	return hex.EncodeToString(sum[:])
}

func (t *bigTree) ID() string                      { return blobID(len(t.files), -1) }
func (t *bigTree) Files() ([]platform.File, error) { return t.files, nil }
func (t *bigTree) Open(id string) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(strings.Repeat(id, t.repeat))), nil
}

// A hundred thousand files are written, and one of them changed.
func TestBigTree(t *testing.T) {
	b := newBench(t)
	b.plans(onlySource())
	app, tree := b.app(), newBigTree(100_000, 20)
	b.mustBuild(app, tree)
	img, told := b.mustBuild(app, tree.with(5, 1))
	if len(img.Layers) != 3 || b.run(app, img, "head -c 40 src/000/file000005.js; find . -type f | wc -l") != blobID(5, 1)+"100000" {
		t.Errorf("layers %v\n%s", img.Layers, told)
	}
}

func BenchmarkOneLineOf2000Files(b *testing.B) { benchmarkOneLine(b, 2_000) }

func BenchmarkOneLineOf20000Files(b *testing.B) { benchmarkOneLine(b, 20_000) }

func benchmarkOneLine(b *testing.B, files int) {
	e := newBench(b)
	e.plans(onlySource())
	app, tree, n := e.app(), newBigTree(files, 250), 0
	e.mustBuild(app, tree)
	for b.Loop() {
		n++
		e.mustBuild(app, tree.with(7, n))
	}
}

func BenchmarkSameSourceOf2000Files(b *testing.B) {
	e := newBench(b)
	e.plans(onlySource())
	app, tree := e.app(), newBigTree(2_000, 250)
	e.mustBuild(app, tree)
	for b.Loop() {
		e.mustBuild(app, tree)
	}
}

func BenchmarkFirst2000Files(b *testing.B) {
	e := newBench(b)
	e.plans(onlySource())
	tree, n := newBigTree(2_000, 250), 0
	for b.Loop() {
		n++
		e.mustBuild(e.app(), tree.with(7, n))
	}
}

// The toolchain is there, and so are the answers about versions.
func BenchmarkFindNode(b *testing.B) {
	e := newBench(b, "node")
	story := platform.NewStory(io.Discard, nil)
	_, err := e.toolchain(b.Context(), "base", plan.Toolchain{Name: "node", Version: ">=18"}, story)
	check(b, err)
	for b.Loop() {
		_, err := e.toolchain(b.Context(), "base", plan.Toolchain{Name: "node", Version: ">=18"}, story)
		check(b, err)
	}
}
