package image

import (
	"os"
	"testing"
	"time"
)

// What making a layer took and in how many hours it was used outlives the process.
func TestNotesKeepCostAndUse(t *testing.T) {
	s := openStore(t)
	at := time.Now()
	s.now = func() time.Time { return at }
	d, err := s.Draft()
	check(t, err)
	at = at.Add(90 * time.Second)
	d.Note, d.Made = "npm ci\nand more", "toolchain"
	check(t, d.Commit("a"))
	for range 3 {
		at = at.Add(2 * time.Hour)
		equal(t, "has", s.Has("a"), true)
		equal(t, "has again", s.Has("a"), true)
	}
	other, err := Open(s.dir)
	check(t, err)
	usage, err := other.Usage()
	check(t, err)
	u := usage[0]
	equal(t, "took", u.Took, 90*time.Second)
	equal(t, "uses", u.Uses, 4)
	equal(t, "note", u.Note, "npm ci\nand more")
	equal(t, "made", u.Made, "toolchain")
	equal(t, "left in notes", len(names(t, s, "notes")), 1)
}

func names(t *testing.T, s *Store, dir string) []string {
	t.Helper()
	list, err := s.names(dir)
	check(t, err)
	return list
}

// Notes that older versions wrote, or that are damaged, are text and nothing else.
func TestOldNotes(t *testing.T) {
	s := openStore(t)
	layer(t, s, "a", "f", "x")
	for _, text := range []string{"npm ci", "took long uses 3 as layer\nx", "took 1s uses -3 as layer\n", "took 1s uses 3\n", "\n", ""} {
		check(t, os.WriteFile(s.notePath("a"), []byte(text), 0o600))
		equal(t, "note", s.Note("a"), text)
		usage, err := s.Usage()
		check(t, err)
		equal(t, "took", usage[0].Took, 0)
		equal(t, "uses", usage[0].Uses, 1)
	}
}

func FuzzNote(f *testing.F) {
	f.Add("took 1m2s uses 3 as layer\nnpm ci")
	f.Add("took 1s uses 99999999999999999999 as x\n")
	f.Fuzz(func(t *testing.T, text string) {
		n := parseNote(text)
		if n.took < 0 || n.uses < 0 {
			t.Errorf("%+v", n)
		}
		if again := parseNote(n.String()); n.made == "" && again != n {
			t.Errorf("%+v became %+v", n, again)
		}
	})
}

func TestBytesSince(t *testing.T) {
	s := openStore(t)
	layer(t, s, "old", "f", "x")
	time.Sleep(2 * clockGrain)
	since := time.Now()
	layer(t, s, "new", "f", "x")
	usage, err := s.Usage()
	check(t, err)
	equal(t, "bytes", s.BytesSince([]string{"old", "new", "missing", "../x"}, since), usage[0].Bytes)
}
