package image

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// soon commits a layer of many files without waiting for the disk.
func soon(t *testing.T, s *Store, name string) (settle func() error) {
	t.Helper()
	d, err := s.Draft()
	check(t, err)
	d.Announce(name)
	for i := range 2 * fewFiles {
		write(t, filepath.Join(d.Dir, fmt.Sprintf("d%d/f%d", i%7, i)), "x")
	}
	settle, err = d.CommitSoon(name)
	check(t, err)
	return settle
}

func marks(t *testing.T, s *Store) int {
	t.Helper()
	list, err := s.names(unsettledDir)
	check(t, err)
	return len(list)
}

func TestCommitSoonIsDurableWhenItIsAskedFor(t *testing.T) {
	s := openStore(t)
	settle := soon(t, s, "one")
	soon(t, s, "two")
	equal(t, "there before the disk has it", s.Has("one") && s.Has("two"), true)
	equal(t, "marks", marks(t, s), 2)
	check(t, s.Durable([]string{"two", "unknown"}))
	equal(t, "marks after one is durable", marks(t, s), 1)
	check(t, settle())
	check(t, settle())
	check(t, s.Durable([]string{"one", "two"}))
	equal(t, "marks in the end", marks(t, s), 0)
	nothingLeft(t, s)
}

// What a process leaves that dies before its layer is on the disk, the next one puts there.
func TestUnsettledLayerOutlivesItsProcess(t *testing.T) {
	s := openStore(t)
	soon(t, s, "one")
	next, err := Open(s.dir)
	check(t, err)
	equal(t, "there", next.Has("one"), true)
	equal(t, "marks", marks(t, next), 0)
}

// After a power cut nobody knows what the disk has of an unsettled layer: it goes, others stay.
func TestUnsettledLayerGoesWithItsBoot(t *testing.T) {
	s := openStore(t)
	check(t, soon(t, s, "settled")())
	soon(t, s, "half")
	paths, err := filepath.Glob(s.markPath("half", "*"))
	check(t, err)
	for _, path := range paths {
		check(t, os.WriteFile(path, []byte("another boot"), 0o600))
	}
	next, err := Open(s.dir)
	check(t, err)
	equal(t, "the unsettled one", next.Has("half"), false)
	equal(t, "the settled one", next.Has("settled"), true)
	equal(t, "marks", marks(t, next), 0)
	nothingLeft(t, next)
	check(t, soon(t, next, "half")()) // and can be made again
	equal(t, "the unsettled one, made again", next.Has("half"), true)
}

// The mark of a draft under way stays when another process opens the store, and goes with the draft.
func TestMarkLivesAsLongAsItsDraft(t *testing.T) {
	s := openStore(t)
	d, err := s.Draft()
	check(t, err)
	d.Announce("one")
	check(t, d.waitMark())
	next, err := Open(s.dir)
	check(t, err)
	equal(t, "marks beside the draft", marks(t, next), 1)
	check(t, d.Discard())
	equal(t, "marks after it", marks(t, s), 0)
}

// Few files are on the disk at once, as ever.
func TestCommitSoonOfFewFiles(t *testing.T) {
	s := openStore(t)
	d, err := s.Draft()
	check(t, err)
	d.Announce("small")
	write(t, filepath.Join(d.Dir, "f"), "x")
	_, err = d.CommitSoon("small")
	check(t, err)
	equal(t, "there", s.Has("small"), true)
	equal(t, "marks", marks(t, s), 0)
	bad, err := s.Draft()
	check(t, err)
	bad.Announce("../bad")
	if _, err := bad.CommitSoon("../bad"); err == nil {
		t.Error("a malformed name is taken")
	}
	check(t, bad.Discard())
	nothingLeft(t, s)
}
