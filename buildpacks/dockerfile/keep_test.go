package dockerfile_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"paas/platform"
)

// After a restart everything is still cached, and steps run again only for what changed: nothing of a base is
// ever fetched again because its record was lost while its layers stayed ("lazy blobs").
func TestRestart(t *testing.T) {
	b := newBench(t)
	app := b.app()
	tree := files("Dockerfile", "FROM busybox\nRUN echo one > /f\nCOPY a /a\nCMD sh\n", "a", "1\n")
	first, _ := b.mustBuild(app, tree)
	check(t, b.Engine.Close())
	if _, err := os.Stat(filepath.Join(b.Dir, "build/docker/unsynced")); err == nil {
		t.Error("the builder ended and left its mark")
	}
	b.open()
	again, told := b.mustBuild(app, tree)
	if again.ID != first.ID || strings.Count(told, "(cached)") != 2 {
		t.Errorf("after a restart %s became %s:\n%s", first.ID, again.ID, told)
	}
}

// A release keeps its layers whatever the collector removes; the cache of what was removed is made again.
func TestCollect(t *testing.T) {
	b := newBench(t)
	app := b.app()
	img, _ := b.mustBuild(app, files("Dockerfile", "FROM busybox\nRUN echo kept > /f\nCMD sh\n"))
	old, _ := b.mustBuild(app, files("Dockerfile", "FROM busybox\nRUN echo gone > /g\nCMD sh\n"))
	cached, err := b.Layers()
	check(t, err)
	for _, layer := range append(img.Layers, old.Layers...) {
		if len(cached[layer]) == 0 {
			t.Errorf("%s is not said to be cached", layer)
		}
	}
	needed := map[string]bool{}
	for _, layer := range img.Layers {
		needed[layer] = true
	}
	need := func(layer string) platform.Need {
		if needed[layer] || layer == "floor" {
			return platform.Needed
		}
		return platform.Cached
	}
	gone, err := b.Images.Shrink(need, platform.Goal{Caches: true})
	check(t, err)
	if len(gone) != 0 {
		t.Errorf("%v are gone while the builder builds upon them", gone)
	}
	b.ReleaseBuilder()
	gone, err = b.Images.Shrink(need, platform.Goal{Caches: true})
	check(t, err)
	if len(gone) == 0 || b.Images.Has(old.Layers[len(old.Layers)-1]) {
		t.Errorf("nothing is gone: %v", gone)
	}
	if got := b.run(app, img, "cat /f"); got != "kept" {
		t.Errorf("the release has %q", got)
	}
	again, told := b.mustBuild(app, files("Dockerfile", "FROM busybox\nRUN echo gone > /g\nCMD sh\n"))
	if b.run(app, again, "cat /g") != "gone" || strings.Contains(told, "RUN echo gone > /g (cached)") {
		t.Errorf("told:\n%s", told)
	}
	same, told := b.mustBuild(app, files("Dockerfile", "FROM busybox\nRUN echo kept > /f\nCMD sh\n"))
	if same.ID != img.ID {
		t.Errorf("what was kept is not used:\n%s", told)
	}
}

// When the machine went down in the middle of a build nothing of it is trusted.
func TestMachineWentDown(t *testing.T) {
	b := newBench(t)
	app := b.app()
	tree := files("Dockerfile", "FROM busybox\nRUN echo one > /f\nCMD sh\n")
	img, _ := b.mustBuild(app, tree)
	check(t, unix.Kill(b.BuilderPID(), unix.SIGKILL))
	mark := filepath.Join(b.Dir, "build/docker/unsynced")
	eventually(t, "the builder is gone", func() bool { return b.BuilderPID() == 0 })
	check(t, os.WriteFile(mark, []byte("another boot"), 0o600))
	_, told := b.mustBuild(app, tree)
	if strings.Contains(told, "RUN echo one > /f (cached)") {
		t.Errorf("the cache of before is used:\n%s", told)
	}
	if b.run(app, img, "cat /f") != "one" {
		t.Error("the release is gone")
	}
}

// A builder without work ends.
func TestIdle(t *testing.T) {
	b := newBench(t)
	check(t, b.Engine.Close())
	b.idle = 200 * time.Millisecond
	b.open()
	b.mustBuild(b.app(), files("Dockerfile", "FROM busybox\nRUN true\nCMD sh\n"))
	eventually(t, "the builder ends", func() bool { return b.BuilderPID() == 0 })
	b.mustBuild(b.app(), files("Dockerfile", "FROM busybox\nRUN true\nCMD sh\n"))
}

// Only what changed of a context is written, and what is gone is gone.
func TestContextDeltas(t *testing.T) {
	b := newBench(t)
	app := b.app()
	pairs := []string{"Dockerfile", "FROM busybox\nCOPY . /c\nCMD sh\n"}
	for _, name := range []string{"a", "b", "c", "d", "e", "f/g", "f/h", "i/j/k", "i/l"} {
		pairs = append(pairs, name, name)
	}
	for _, change := range [][2]string{{"a", "new"}, {"f/g", ""}, {"f/h", ""}, {"i", "file"}, {"m/n", "-> ../a"}, {"a", ""}, {"a/b", "dir"}, {"e", "1"}, {"e", "2"}, {"e", "3"}, {"e", "4"}} {
		tree := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			tree[pairs[i]] = pairs[i+1]
		}
		pairs = pairs[:0]
		for name, text := range tree {
			if name == change[0] || strings.HasPrefix(name, change[0]+"/") || strings.HasPrefix(change[0], name+"/") {
				continue
			}
			pairs = append(pairs, name, text)
		}
		if change[1] != "" {
			pairs = append(pairs, change[0], change[1])
		}
		img, _ := b.mustBuild(app, files(pairs...))
		got := b.run(app, img, `cd /c && find . -type f | sort | while read f; do echo "$f $(cat $f)"; done; find . -type l | while read l; do echo "$l -> $(readlink $l)"; done`)
		for i := 0; i < len(pairs); i += 2 {
			want := "./" + pairs[i] + " " + strings.SplitN(pairs[i+1], "\n", 2)[0]
			if !strings.Contains(got+"\n", want) {
				t.Errorf("after %v: no %q in\n%s", change, want, got)
			}
		}
		if n := strings.Count(got, "\n./") + 1; n != len(pairs)/2 {
			t.Errorf("after %v there are %d files, want %d:\n%s", change, n, len(pairs)/2, got)
		}
	}
}
