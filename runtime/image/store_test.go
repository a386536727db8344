package image

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestDraftBecomesALayerAtOnce(t *testing.T) {
	s := openStore(t)
	d, err := s.Draft()
	check(t, err)
	fi, err := os.Stat(d.Dir)
	check(t, err)
	st := fi.Sys().(*syscall.Stat_t)
	equal(t, "a draft's mode and owner", fmt.Sprintf("%v %d:%d", fi.Mode(), st.Uid, st.Gid), "drwxr-xr-x 0:0")
	write(t, filepath.Join(d.Dir, "etc/hello"), "hi")
	equal(t, "there before commit", s.Has("a1"), false)
	check(t, d.Commit("a1"))
	equal(t, "there after commit", s.Has("a1"), true)
	got, err := os.ReadFile(filepath.Join(s.Dir("a1"), "etc/hello"))
	check(t, err)
	equal(t, "content", string(got), "hi")
	check(t, d.Discard())
	if err := d.Commit("a2"); err == nil {
		t.Error("a spent draft was committed again")
	}
	nothingLeft(t, s)
}

// Many builders make the same layer: one wins, nobody fails, nothing is left over.
func TestCommitOfTheSameLayer(t *testing.T) {
	s := openStore(t)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			d, err := s.Draft()
			if err == nil {
				err = errors.Join(os.WriteFile(filepath.Join(d.Dir, "by"), []byte{byte(i)}, 0o644), d.Commit("same"))
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	equal(t, "there", s.Has("same"), true)
	nothingLeft(t, s)
}

func TestManyFilesAreCommitted(t *testing.T) {
	s := openStore(t)
	var files []string
	for i := range 3 * fewFiles {
		files = append(files, fmt.Sprintf("d%d/f%d", i%7, i), "x")
	}
	layer(t, s, "many", files...)
	usage, err := s.Usage()
	check(t, err)
	if len(usage) != 1 || usage[0].Layer != "many" || usage[0].Bytes < 3*fewFiles*4096 {
		t.Errorf("usage %+v", usage)
	}
}

func TestLayerNames(t *testing.T) {
	s := openStore(t)
	for _, name := range []string{"", "..", "a/b", "A", "-a", "a-", strings.Repeat("a", 65), "a\x00"} {
		d, err := s.Draft()
		check(t, err)
		if err := d.Commit(name); !errors.Is(err, ErrLayerName) {
			t.Errorf("commit %q: %v", name, err)
		}
		equal(t, "has", s.Has(name), false)
		check(t, d.Discard())
	}
	nothingLeft(t, s)
}

// A second store over the same directory is a daemon's successor: it clears what a dead process left
// and leaves what a live one is at.
func TestOpenRemovesDeadDrafts(t *testing.T) {
	s := openStore(t)
	live, err := s.Draft()
	check(t, err)
	dead, err := s.Draft()
	check(t, err)
	write(t, filepath.Join(dead.Dir, "half/made"), "x")
	check(t, dead.held.Close()) // all that a kill -9 does to a draft
	write(t, filepath.Join(s.dir, "trash/old/file"), "x")

	_, err = Open(s.dir)
	check(t, err)
	if _, err := os.Stat(dead.home); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("dead draft: %v", err)
	}
	check(t, live.Commit("live"))
	nothingLeft(t, s)
}

// A draft that is discarded between the sweep's look at it and its removal is no error.
func TestDraftsDiscardedWhileSwept(t *testing.T) {
	s := openStore(t)
	d, err := s.Draft()
	check(t, err)
	seen, err := os.Open(d.home)
	check(t, err)
	check(t, d.Discard())
	check(t, s.throwAbandoned(seen, d.home))
	check(t, seen.Close())
	nothingLeft(t, s)
}

func TestCollect(t *testing.T) {
	s := openStore(t)
	layer(t, s, "kept", "f", "x")
	layer(t, s, "used", "f", "x")
	layer(t, s, "old", "f", strings.Repeat("x", 100_000))
	live, err := s.Draft()
	check(t, err)
	keep := func(l string) bool { return l == "kept" }

	freed, err := s.Collect(keep)
	check(t, err)
	equal(t, "freed within the grace time", freed, 0)

	s.now = func() time.Time { return time.Now().Add(2 * Grace) }
	equal(t, "used", s.Has("used"), true)
	freed, err = s.Collect(keep)
	check(t, err)
	if freed < 100_000 {
		t.Errorf("freed %d bytes", freed)
	}
	left, err := s.names("layers")
	check(t, err)
	equal(t, "left", fmt.Sprint(left), "[kept used]")
	check(t, live.Commit("young"))
	nothingLeft(t, s)
}

// A mount of kept layers goes on while everything else is collected.
func TestCollectBelowAMount(t *testing.T) {
	s := openStore(t)
	a, b := layer(t, s, "a", "from-a", "a"), layer(t, s, "b", "from-b", "b")
	layer(t, s, "c", "from-c", "c")
	m, err := Overlay(MountSpec{Lowers: []string{a, b}})
	check(t, err)
	s.now = func() time.Time { return time.Now().Add(2 * Grace) }
	_, err = s.Collect(func(l string) bool { return l != "c" })
	check(t, err)
	equal(t, "has c", s.Has("c"), false)
	for _, name := range []string{"from-a", "from-b"} {
		fd, err := unix.Openat(int(m.Fd()), name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		check(t, err)
		check(t, unix.Close(fd))
	}
	check(t, m.Close())
}

func TestDraftsCommitsAndCollectsAtOnce(t *testing.T) {
	s := openStore(t)
	s.now = func() time.Time { return time.Now().Add(2 * Grace) }
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			d, err := s.Draft()
			if err == nil {
				err = errors.Join(os.WriteFile(filepath.Join(d.Dir, "f"), nil, 0o644), d.Commit(fmt.Sprintf("keep%d", i)))
			}
			_, e := s.Collect(func(l string) bool { return strings.HasPrefix(l, "keep") })
			if err := errors.Join(err, e); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	left, err := s.names("layers")
	check(t, err)
	equal(t, "layers", len(left), 8)
	nothingLeft(t, s)
}

func nothingLeft(t testing.TB, s *Store) {
	t.Helper()
	for _, dir := range []string{"drafts", "trash"} {
		left, err := s.names(dir)
		check(t, err)
		equal(t, "left in "+dir, fmt.Sprint(left), "[]")
	}
}

func BenchmarkCommitSmallLayer(b *testing.B) {
	s, err := Open(filepath.Join(b.TempDir(), "store"))
	check(b, err)
	for i := 0; b.Loop(); i++ {
		d, err := s.Draft()
		check(b, err)
		check(b, os.WriteFile(filepath.Join(d.Dir, "f"), []byte("x"), 0o644))
		check(b, d.Commit(fmt.Sprintf("l%d", i)))
	}
}
