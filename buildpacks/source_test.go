package buildpacks

import (
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"paas/buildpacks/plan"
	"paas/buildpacks/treetest"
	"paas/platform"
)

// onlySource is a plan that puts the whole tree there.
func onlySource() plan.Plan {
	return plan.Plan{Builder: plan.Procfile, Steps: []plan.Step{{Name: "app", Files: []string{"/"}}}}
}

// merged lists what is in /app of the layers, mounted as a container would see them: "path mode uid content".
func merged(t *testing.T, b *bench, layers []string) (list []string) {
	t.Helper()
	dir := t.TempDir()
	lower := []string{t.TempDir()} // one layer alone is no overlay
	for _, l := range layers {
		lower = append([]string{b.Images.Dir(l)}, lower...)
	}
	check(t, unix.Mount("overlay", dir, "overlay", unix.MS_RDONLY, "lowerdir="+strings.Join(lower, ":")))
	defer func() { check(t, unix.Unmount(dir, 0)) }()
	root := dir + appDir
	check(t, filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		check(t, err)
		content := ""
		switch {
		case d.Type() == fs.ModeSymlink:
			content, err = os.Readlink(p)
		case info.Mode().IsRegular():
			var text []byte
			text, err = os.ReadFile(p)
			content = string(text)
		}
		list = append(list, fmt.Sprintf("%q %v %d %q", strings.TrimPrefix(p, root), info.Mode(), info.Sys().(*syscall.Stat_t).Uid, content))
		return err
	}))
	return list
}

// whole builds the tree in a fresh app, so that it is written whole.
func whole(t *testing.T, b *bench, src platform.Tree) []string {
	t.Helper()
	img, _ := b.mustBuild(b.app(), src)
	if len(img.Layers) != 2 {
		t.Fatalf("a first build made the layers %v", img.Layers)
	}
	return merged(t, b, img.Layers[1:])
}

// many is a tree that is big enough for deltas to pay, with the entries given.
func many(pairs ...string) map[string]string {
	m := map[string]string{}
	for i := range 30 {
		m[fmt.Sprintf("filler/%d/file", i)] = fmt.Sprint(i)
	}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

// Every way in which a path can change its kind, one after the other, as deltas.
func TestDeltas(t *testing.T) {
	b := newBench(t)
	b.plans(onlySource())
	app := b.app()
	for i, tree := range []map[string]string{
		many("a", "file", "d/x", "1", "d/y/z", "2", "keep", "k"),
		many("a", "changed", "d/x", "1", "d/y/z", "2", "keep", "k"),
		many("a", "changed", "d/x", "1", "keep", "k"),                // a directory goes
		many("a/b/c", "now a directory", "d/x", "1", "keep", "k"),    // file to directory
		many("a", "-> d", "d/x", "1", "keep", "k"),                   // directory to symlink
		many("a/in", "a directory again", "d", "now a file"),         // symlink to directory, directory to file
		many("a/in", "a directory again", "d/other", "x"),            // file to directory: d/x must not come back
		many("a/in", "-> /etc/passwd", "d/other", "-> ../../../etc"), // file to symlink
		many("d/other", "x", "a", "y"),
	} {
		img, told := b.mustBuild(app, treetest.Files(tree))
		if len(img.Layers) != 2+i {
			t.Errorf("step %d is not a delta: %v\n%s", i, img.Layers, told)
		}
		if got, want := merged(t, b, img.Layers[1:]), whole(t, b, treetest.Files(tree)); !slices.Equal(got, want) {
			t.Errorf("step %d has\n%s\nwant\n%s", i, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

func TestModeChange(t *testing.T) {
	b := newBench(t)
	b.plans(onlySource())
	app := b.app()
	tree := func(mode platform.FileMode) platform.Tree {
		src := treetest.Files(many())
		src.Add("script", mode, []byte("#!/bin/sh\n"))
		return src
	}
	first, _ := b.mustBuild(app, tree(platform.Regular))
	second, _ := b.mustBuild(app, tree(platform.Executable))
	if first.ID == second.ID || len(second.Layers) != 3 {
		t.Errorf("layers %v, ids %s %s", second.Layers, first.ID, second.ID)
	}
	if got := b.run(app, second, "stat -c %a script"); got != "755" {
		t.Errorf("the mode is %s", got)
	}
}

// Random histories: whatever came before, the layers together hold what the tree says.
func TestRandomHistory(t *testing.T) {
	b := newBench(t)
	b.plans(onlySource())
	app, r, depths := b.app(), rand.New(rand.NewPCG(1, 2)), map[int]bool{}
	tree := many()
	for n := range 40 {
		tree = changed(r, tree)
		img, _ := b.mustBuild(app, treetest.Files(tree))
		depths[len(img.Layers)] = true
		if len(img.Layers) > 2+maxDeltas {
			t.Fatalf("build %d has %d layers", n, len(img.Layers))
		}
		if got, want := merged(t, b, img.Layers[1:]), whole(t, b, treetest.Files(tree)); !slices.Equal(got, want) {
			t.Fatalf("build %d has\n%s\nwant\n%s", n, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	if !depths[2+maxDeltas] || len(depths) < maxDeltas {
		t.Errorf("the builds had these numbers of layers only: %v", slices.Sorted(maps.Keys(depths)))
	}
}

// changed changes one or two paths of few names, so that they often change their kind.
func changed(r *rand.Rand, tree map[string]string) map[string]string {
	tree = maps.Clone(tree)
	for range 1 + r.IntN(2) {
		p := []string{"a", "b", "a/a", "a/b", "b/a", "a/a/a", "a-b", "filler/1/file", "filler/2"}[r.IntN(9)]
		maps.DeleteFunc(tree, func(q, _ string) bool {
			return strings.HasPrefix(q, p+"/") || strings.HasPrefix(p, q+"/") || q == p
		})
		switch r.IntN(4) {
		case 0:
			tree[p] = "-> " + []string{"b", "/etc", "../.."}[r.IntN(3)]
		case 1, 2:
			tree[p] = fmt.Sprint(r.IntN(5))
		}
	}
	return tree
}

// A delta must not hide what a step below left at the same place.
func TestDeltaOverDependencies(t *testing.T) {
	b := newBench(t)
	p := plan.Plan{Builder: plan.Procfile, Steps: []plan.Step{
		{Name: "dependencies", Files: []string{"list"}, Commands: []string{"mkdir lib && cp list lib/installed"}},
		{Name: "app", Files: []string{"/"}},
	}}
	b.plans(p)
	app := b.app()
	b.mustBuild(app, treetest.Files(many("list", "1", "lib/own", "o", "src/own", "o")))
	img, _ := b.mustBuild(app, treetest.Files(many("list", "1"))) // lib goes, and so does src
	if got := b.run(app, img, "find lib src 2>/dev/null; true"); got != "lib\nlib/installed" {
		t.Errorf("there is %q", got)
	}
	b.mustBuild(app, treetest.Files(many("list", "1", "src/own", "o")))
	b.mustBuild(app, treetest.Files(many("list", "1")))
	// Now dependencies come that have what an earlier delta hides.
	p.Steps[0].Commands = []string{"mkdir lib src && touch src/generated"}
	b.plans(p)
	img, _ = b.mustBuild(app, treetest.Files(many("list", "1")))
	if got := b.run(app, img, "find src"); got != "src\nsrc/generated" {
		t.Errorf("there is %q", got)
	}
}

// Two steps that put source there do not get into each other's way, and a tree that was there before is
// found again.
func TestTwoSourceSteps(t *testing.T) {
	b := newBench(t)
	b.plans(plan.Plan{Builder: plan.Procfile, Steps: []plan.Step{
		{Name: "app", Files: []string{"/"}, Except: []string{"*.go"}}, {Name: "source", Files: []string{"*.go"}, Build: true},
	}})
	app := b.app()
	first, _ := b.mustBuild(app, treetest.Files(many("a.go", "1", "page", "1")))
	second, _ := b.mustBuild(app, treetest.Files(many("a.go", "2", "page", "1")))
	if first.ID == second.ID || !slices.Equal(first.Layers, second.Layers) {
		t.Errorf("layers %v and %v", first.Layers, second.Layers)
	}
	b.mustBuild(app, treetest.Files(many("a.go", "2", "page", "2")))
	again, told := b.mustBuild(app, treetest.Files(many("a.go", "1", "page", "1")))
	if !slices.Equal(again.Layers, first.Layers) || again.ID != first.ID || !strings.Contains(told, "Using the same files as before") {
		t.Errorf("layers %v and %v\n%s", again.Layers, first.Layers, told)
	}
}

// A damaged or lost index costs time, nothing else.
func TestDamagedIndex(t *testing.T) {
	b := newBench(t)
	b.plans(onlySource())
	app := b.app()
	b.mustBuild(app, treetest.Files(many("a", "1")))
	index, err := filepath.Glob(filepath.Join(b.appIndex(app.ID), "????????"))
	if err != nil || len(index) != 1 {
		t.Fatalf("indexes %v", index)
	}
	text, err := os.ReadFile(index[0])
	check(t, err)
	for _, damaged := range []string{"", "paas source 1\n", string(text[:len(text)/2]), strings.Replace(string(text), "+100644", "*", 1), "\n\n."} {
		check(t, os.WriteFile(index[0], []byte(damaged), 0o600))
		img, _ := b.mustBuild(app, treetest.Files(many("a", "2")))
		if got := b.run(app, img, "cat a"); len(img.Layers) != 2 || got != "2" {
			t.Errorf("after %.20q: %v %q", damaged, img.Layers, got)
		}
	}
}

// Trees that git itself would refuse to check out are refused with a sentence, and write nothing elsewhere.
func TestHostileTrees(t *testing.T) {
	b := newBench(t)
	b.plans(onlySource())
	outside := t.TempDir()
	long := strings.Repeat("n", 256)
	for name, entries := range map[string][]string{
		"git directory":   {".git/config", "x"},
		"in other case":   {"sub/.GiT/hooks/post-checkout", "x"},
		"long name":       {"a/" + long, "x"},
		"long path":       {strings.Repeat("d/", 1800) + "x", "x"},
		"NUL":             {"a\x00b", "x"},
		"parent":          {"../../escaped", "x"},
		"absolute":        {"/etc/escaped", "x"},
		"empty part":      {"a//b", "x"},
		"below a symlink": {"link", "-> " + outside, "link/escaped", "x"},
		"below a file":    {"f", "x", "f/g", "y"},
	} {
		_, told, err := b.build(t.Context(), b.app(), files(entries...))
		if platform.KindOf(err) != platform.Failed || !strings.Contains(err.Error(), "source has") {
			t.Errorf("%s: %v\n%s", name, err, told)
		}
	}
	twice := files("a", "1")
	twice.Add("a", platform.Regular, []byte("2"))
	if _, _, err := b.build(t.Context(), b.app(), twice); platform.KindOf(err) != platform.Failed {
		t.Errorf("twice: %v", err)
	}
	module := files("a", "1")
	module.Add("lib", platform.Submodule, []byte("2"))
	if _, _, err := b.build(t.Context(), b.app(), module); platform.KindOf(err) != platform.Failed || !strings.Contains(err.Error(), "submodule") {
		t.Errorf("submodule: %v", err)
	}
	if found, err := os.ReadDir(outside); err != nil || len(found) > 0 {
		t.Errorf("something was written outside: %v", found)
	}
	if left := b.drafts(); len(left) > 0 {
		t.Errorf("drafts are left: %v", left)
	}
}

// What is odd but allowed arrives as it is.
func TestOddTrees(t *testing.T) {
	b := newBench(t)
	b.plans(onlySource())
	app := b.app()
	odd := files("caf\xe9", "latin", "--help", "x", "out", "-> /etc/shadow", "up", "-> ../../../..", "empty", "", "line\nbreak", "y",
		strings.Repeat("e", 255), "long", "A", "1", "a", "2", ".wh.a", "whiteout's name", ".gitignore", "*")
	img, _ := b.mustBuild(app, odd)
	if got := len(merged(t, b, img.Layers[1:])); got != 12 {
		t.Errorf("%d entries", got)
	}
	if got := b.run(app, img, `readlink out up; cat $'caf\xe9' ./--help $'line\nbreak' A a`); got != "/etc/shadow\n../../../..\nlatinxy12" {
		t.Errorf("got %q", got)
	}
	second := files("caf\xe9", "utf", "A", "1")
	img, _ = b.mustBuild(app, second)
	if got := b.run(app, img, `cat $'caf\xe9'`); got != "utf" {
		t.Errorf("got %q", got)
	}
}

func TestDirTreeIsGits(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Fatal("this test needs git: apt-get install git")
	}
	dir := t.TempDir()
	treetest.Files(map[string]string{
		"a-b": "1", "a/b": "2", "a.b": "3", "a0": "4", "link": "-> a", "deep/er/file": "5", "run": "6", "empty": "",
	}).Write(t, dir, func(string) bool { return true })
	check(t, os.Chmod(filepath.Join(dir, "run"), 0o755))
	check(t, os.Mkdir(filepath.Join(dir, "nothing"), 0o755))
	git := func(args ...string) string {
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "-q")
	git("add", "-A")
	want, listed := git("write-tree"), git("ls-files", "-s")
	tree, err := DirTree(dir)
	check(t, err)
	list, err := tree.Files()
	check(t, err)
	var got []string
	for _, f := range list {
		got = append(got, fmt.Sprintf("%o %s 0\t%s", f.Mode, f.ID, f.Path))
	}
	if tree.ID() != want || strings.Join(got, "\n") != listed {
		t.Errorf("tree %s, want %s\n%s\nwant\n%s", tree.ID(), want, strings.Join(got, "\n"), listed)
	}
	for _, f := range list {
		blob, err := tree.Open(f.ID)
		check(t, err)
		check(t, blob.Close())
	}
}

// Deltas are squashed behind a build's back: the next one starts from few layers, which hold the same; what the build
// before made stays as it was, and the same source is found again.
func TestSquash(t *testing.T) {
	for name, change := range map[string]func(i int) map[string]string{
		"onto the whole layer": func(i int) map[string]string { return many("a", fmt.Sprint(i), "d/"+fmt.Sprint(i%3), "x") },
		"of nearly everything": func(i int) map[string]string {
			tree := many("a", fmt.Sprint(i))
			for n := range 3 * i {
				delete(tree, fmt.Sprintf("filler/%d/file", n))
				tree[fmt.Sprintf("moved/%d", n)] = fmt.Sprint(n)
			}
			return tree
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.plans(onlySource())
			app, deepest := b.app(), 0
			for i := range 3 * maxDeltas {
				tree := treetest.Files(change(i % (2 * maxDeltas)))
				img, _ := b.mustBuild(app, tree)
				want := whole(t, b, tree)
				b.sweeps.Wait()
				if got := merged(t, b, img.Layers[1:]); !slices.Equal(got, want) {
					t.Fatalf("build %d has\n%s\nwant\n%s", i, strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
				again, told := b.mustBuild(app, tree)
				if got := merged(t, b, again.Layers[1:]); !slices.Equal(got, want) || again.ID != img.ID || !strings.Contains(told, "Using the same files") {
					t.Fatalf("the same as build %d again is %v:\n%s\n%s", i, again.Layers, told, strings.Join(got, "\n"))
				}
				if len(img.Layers) == 2+maxDeltas && len(again.Layers) > 3 {
					t.Errorf("after build %d there are %d layers still", i, len(again.Layers))
				}
				kept, err := b.Layers()
				check(t, err)
				for _, l := range again.Layers {
					if len(kept[l]) == 0 {
						t.Errorf("nobody keeps %s", l)
					}
				}
				deepest = max(deepest, len(img.Layers))
			}
			if deepest > 2+maxDeltas || deepest < 4 {
				t.Errorf("the deepest image has %d layers", deepest)
			}
		})
	}
}
