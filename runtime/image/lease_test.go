package image

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"paas/platform"
)

// nobody needs anything, and nothing is young.
func nobody(string) platform.Need { return platform.Unneeded }

var everything = platform.Goal{Caches: true}

func shrink(t *testing.T, s *Store, need func(string) platform.Need, goal platform.Goal) string {
	t.Helper()
	gone, err := s.Shrink(need, goal)
	check(t, err)
	var names []string
	for _, u := range gone {
		names = append(names, u.Layer)
	}
	return strings.Join(names, " ")
}

func TestALeaseKeepsItsLayers(t *testing.T) {
	s := openStore(t)
	layer(t, s, "a", "f", "x")
	layer(t, s, "b", "f", "x")
	l, err := s.Lease()
	check(t, err)
	check(t, l.Hold("a", "later"))
	equal(t, "gone", shrink(t, s, nobody, platform.Goal{}), "b")
	layer(t, s, "later", "f", "x")
	equal(t, "gone while held", shrink(t, s, nobody, platform.Goal{}), "")
	check(t, l.Close())
	check(t, l.Close())
	if l.Hold("a") == nil {
		t.Error("a lease that is over holds")
	}
	gone := strings.Fields(shrink(t, s, nobody, platform.Goal{}))
	slices.Sort(gone) // which was used last, the file system's clock may not tell
	equal(t, "gone afterwards", strings.Join(gone, " "), "a later")
	nothingLeft(t, s)
}

// kill -9 of the holder ends the lease.
func TestALeaseEndsWithItsHolder(t *testing.T) {
	s := openStore(t)
	layer(t, s, "a", "f", "x")
	l, err := s.Lease()
	check(t, err)
	check(t, l.Hold("a"))
	check(t, l.file.Close()) // all that a crash does
	other, err := Open(s.dir)
	check(t, err)
	equal(t, "gone", shrink(t, other, nobody, platform.Goal{}), "a")
	left, err := s.names("leases")
	check(t, err)
	equal(t, "leases", len(left), 0)
}

// Another process's store over the same directory respects the lease.
func TestALeaseCountsForOtherProcesses(t *testing.T) {
	s := openStore(t)
	layer(t, s, "a", "f", "x")
	other, err := Open(s.dir)
	check(t, err)
	drop, err := s.Hold([]string{"a"})
	check(t, err)
	equal(t, "gone", shrink(t, other, nobody, platform.Goal{}), "")
	drop()
	equal(t, "gone", shrink(t, other, nobody, platform.Goal{}), "a")
	_, err = s.Hold([]string{"a"})
	equal(t, "kind of "+fmt.Sprint(err), platform.KindOf(err), platform.NotFound)
	if _, err := s.Hold([]string{"../a"}); !errors.Is(err, ErrLayerName) {
		t.Error(err)
	}
}

func TestShrinkTakesTheOldestAndTheUnneededFirst(t *testing.T) {
	s := openStore(t)
	at := time.Now()
	s.now = func() time.Time { return at }
	for _, name := range []string{"cached-old", "free-new", "needed", "free-old", "cached-new"} {
		layer(t, s, name, "f", strings.Repeat("x", 100_000))
		s.used[name] = at.Add(2 * time.Hour) // later than the commit, which is now
		if strings.HasSuffix(name, "old") {
			s.used[name] = at.Add(time.Hour)
		}
	}
	s.now = func() time.Time { return at.Add(3 * time.Hour) }
	need := func(l string) platform.Need {
		switch {
		case l == "needed":
			return platform.Needed
		case strings.HasPrefix(l, "cached"):
			return platform.Cached
		}
		return platform.Unneeded
	}
	for _, c := range []struct {
		goal platform.Goal
		want string
	}{
		{platform.Goal{}, "free-old free-new"},
		{platform.Goal{Bytes: 1}, "free-old"},
		{platform.Goal{Bytes: 150_000}, "free-old free-new"},
		{platform.Goal{Caches: true}, "free-old free-new cached-old cached-new"},
		{platform.Goal{Caches: true, Bytes: 250_000}, "free-old free-new cached-old"},
	} {
		c.goal.DryRun = true
		equal(t, fmt.Sprintf("%+v", c.goal), shrink(t, s, need, c.goal), c.want)
	}
	equal(t, "removed", shrink(t, s, need, platform.Goal{Caches: true, Bytes: 250_000}), "free-old free-new cached-old")
	left, err := s.names("layers")
	check(t, err)
	equal(t, "left", fmt.Sprint(left), "[cached-new needed]")
}

// Those who hold and use layers and those who remove all they can, at once: what is held is whole.
func TestLeasesAndShrinksAtOnce(t *testing.T) {
	s := openStore(t)
	stop := make(chan struct{})
	var shrinks sync.WaitGroup
	shrinks.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
			if _, err := s.Shrink(nobody, platform.Goal{Caches: true}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	var work sync.WaitGroup
	for worker := range 4 {
		work.Go(func() {
			for i := range 25 {
				if err := useLayer(s, fmt.Sprintf("l%d", (worker+i)%3)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	close(stop)
	shrinks.Wait()
	nothingLeft(t, s)
}

func useLayer(s *Store, name string) (err error) {
	l, err := s.Lease()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if err := l.Hold(name); err != nil {
		return err
	}
	if !s.Has(name) {
		d, err := s.Draft()
		if err != nil {
			return err
		}
		if err := errors.Join(os.WriteFile(d.Dir+"/f", []byte("x"), 0o600), d.Commit(name)); err != nil {
			return err
		}
	}
	time.Sleep(2 * time.Millisecond)
	_, err = os.Stat(s.Dir(name) + "/f")
	return err
}

func TestNotesGoWithTheirLayers(t *testing.T) {
	s := openStore(t)
	d, err := s.Draft()
	check(t, err)
	d.Note = "step build: npm ci"
	check(t, d.Commit("a"))
	usage, err := s.Usage()
	check(t, err)
	equal(t, "note", usage[0].Note, "step build: npm ci")
	equal(t, "gone", shrink(t, s, nobody, platform.Goal{}), "a")
	left, err := s.names("notes")
	check(t, err)
	equal(t, "notes", len(left), 0)
}

// The last use outlives the process, to the hour.
func TestLastUseOutlivesTheProcess(t *testing.T) {
	s := openStore(t)
	layer(t, s, "a", "f", "x")
	at := time.Now().Add(48 * time.Hour)
	s.now = func() time.Time { return at }
	equal(t, "has", s.Has("a"), true)
	other, err := Open(s.dir)
	check(t, err)
	usage, err := other.Usage()
	check(t, err)
	if d := usage[0].Used.Sub(at).Abs(); d > time.Second {
		t.Errorf("last used %v, want %v", usage[0].Used, at)
	}
}

func TestSpaceNamesReserveAndVerb(t *testing.T) {
	s, err := OpenWith(Options{Dir: openDir(t) + "/store", Reserve: 1 << 60})
	check(t, err)
	err = s.Room()
	equal(t, "kind of "+fmt.Sprint(err), platform.KindOf(err), platform.Failed)
	var e *platform.Error
	if !errors.As(err, &e) || !strings.Contains(e.Message, "a reserve of 1 EiB") || !strings.Contains(e.Hint, "builds:prune") {
		t.Errorf("%+v", e)
	}
	check(t, openStore(t).Room())
}
