package source_test

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"paas/buildpacks/source"
	"paas/buildpacks/treetest"
	"paas/platform"
)

func open(t *testing.T, files map[string]string) *source.Tree {
	t.Helper()
	tree, err := source.Open(treetest.Files(files))
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestReadFollowsLinksInside(t *testing.T) {
	tree := open(t, map[string]string{
		"conf/real.json": "real",
		"package.json":   "-> conf/real.json",
		"etc":            "-> conf",
		"deep/up":        "-> ../etc/../conf/real.json",
		"twice":          "-> deep/up",
	})
	if !tree.IsDir("etc") || !tree.IsDir(".") || tree.IsDir("package.json") || tree.HasDir("etc") {
		t.Error("etc leads to a directory")
	}
	for _, path := range []string{"conf/real.json", "package.json", "etc/real.json", "deep/up", "twice"} {
		got, err := tree.Read(path, 100)
		if err != nil || string(got) != "real" {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	want := []string{"twice", "deep/up", "etc", "conf/real.json"}
	if got := tree.Trail("twice"); !slices.Equal(got, want) {
		t.Errorf("trail: %q", got)
	}
	if got := tree.Trail("nothing"); !slices.Equal(got, []string{"nothing"}) {
		t.Errorf("trail of nothing: %q", got)
	}
}

func TestReadRefusesToLeave(t *testing.T) {
	for _, target := range []string{"/etc/passwd", "../x", "a/../../x", "loop", strings.Repeat("a/", 3000)} {
		tree := open(t, map[string]string{"a/b": "x", "loop": "-> " + target})
		_, err := tree.Read("loop", 100)
		var human *platform.Error
		if !errors.As(err, &human) || human.Kind != platform.Failed || human.Hint == "" {
			t.Errorf("%.20q: %v", target, err)
		}
		if !tree.Has("loop") {
			t.Errorf("%.20q: a bad symlink must count, so that it is refused", target)
		}
	}
}

func TestReadMissing(t *testing.T) {
	tree := open(t, map[string]string{"package.json/x": "x", "dangling": "-> nowhere", "dir": "-> package.json"})
	for _, path := range []string{"nothing", "package.json", "dangling", "dir", "package.json/x/y"} {
		if _, err := tree.Read(path, 100); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", path, err)
		}
		if tree.Has(path) {
			t.Errorf("%s is no file", path)
		}
	}
	if !tree.HasDir("package.json") || tree.HasDir("package") {
		t.Error("package.json is the directory")
	}
}

func TestReadLimits(t *testing.T) {
	tree := open(t, map[string]string{"big": strings.Repeat("x", 3<<20), "utf16": "\xff\xfea\x00", "bom": "\xef\xbb\xbf{}"})
	if _, err := tree.Read("big", 2<<20); err == nil || !strings.Contains(err.Error(), "big is larger than 2 MiB") {
		t.Errorf("big: %v", err)
	}
	if _, err := tree.Read("big", 3<<20); err != nil {
		t.Errorf("exactly the limit: %v", err)
	}
	if _, err := tree.Read("utf16", 100); err == nil || !strings.Contains(err.Error(), "UTF-16") {
		t.Errorf("utf16: %v", err)
	}
	if got, err := tree.Head("big", 4); err != nil || string(got) != "xxxx" {
		t.Errorf("head: %q, %v", got, err)
	}
	if _, err := tree.Head("nothing", 4); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("head of nothing: %v", err)
	}
	if got, err := tree.Read("bom", 100); err != nil || string(got) != "{}" {
		t.Errorf("bom: %q, %v", got, err)
	}
}

func TestBelow(t *testing.T) {
	tree := open(t, map[string]string{"a": "", "b/1": "", "b/2/3": "", "b.txt": "", "--help": "", "\xff\xfe": ""})
	var got []string
	for _, f := range tree.Below("b") {
		got = append(got, f.Path)
	}
	if !slices.Equal(got, []string{"b/1", "b/2/3"}) {
		t.Errorf("below b: %q", got)
	}
	if !tree.Has("--help") || !tree.Has("\xff\xfe") {
		t.Error("odd names are names")
	}
	if first, ok := tree.First("x", "b.txt", "a"); !ok || first != "b.txt" {
		t.Errorf("first: %q", first)
	}
}

func TestInside(t *testing.T) {
	for _, c := range []struct {
		base, name, want string
		ok               bool
	}{
		{"", "a", "a", true}, {"", ".", "", true}, {"a", "..", "", true}, {"a/b", "../c", "a/c", true},
		{"", "..", "", false}, {"a", "../../c", "", false}, {"a", "/b", "", false}, {"", "..a", "..a", true},
	} {
		if got, ok := source.Inside(c.base, c.name); got != c.want || ok != c.ok {
			t.Errorf("%q from %q: %q, %v", c.name, c.base, got, ok)
		}
	}
}
