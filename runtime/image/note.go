package image

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A layer's note says what made it, how long that took, and in how many hours it was used since; the file's
// time is when it was last used. All of it may be lost without harm.
//
//	took 1m2.5s uses 3 as toolchain\n     absent in notes of old, whose text begins at once
//	npm ci

// maxNote is how much of a note's text is kept, in bytes.
const maxNote = 4 << 10

// touchEvery is how exactly the time of a layer's last use is kept beyond the process, and how often at
// most a use is counted.
const touchEvery = time.Hour

// note is what is known about how a layer came to be.
type note struct {
	text string
	took time.Duration
	uses int
	made string // one word: what for
}

const (
	noteHead  = "took %s uses %d as %s\n"
	madePlain = "layer"
)

func (n note) String() string {
	return fmt.Sprintf(noteHead, n.took, n.uses, cmp.Or(n.made, madePlain)) + n.text
}

func parseNote(text string) note {
	var took string
	var n note
	head, rest, found := strings.Cut(text, "\n")
	if _, err := fmt.Sscanf(head+"\n", noteHead, &took, &n.uses, &n.made); err != nil || !found {
		return note{text: text}
	}
	d, err := time.ParseDuration(took)
	if err != nil || d < 0 || n.uses < 0 {
		return note{text: text}
	}
	n.text, n.took = rest, d
	if n.made == madePlain {
		n.made = ""
	}
	return n
}

func (s *Store) notePath(layer string) string { return filepath.Join(s.dir, "notes", layer) }

// Note is what was said about how the layer was made, "" if nothing.
func (s *Store) Note(layer string) string { return s.note(layer).text }

// Took is what making the layer took; 0 if that is not known.
func (s *Store) Took(layer string) time.Duration { return s.note(layer).took }

func (s *Store) note(layer string) note {
	if !layerName.MatchString(layer) {
		return note{}
	}
	text, err := os.ReadFile(s.notePath(layer))
	if err != nil {
		return note{}
	}
	return parseNote(string(text))
}

// writeNote keeps what is said already.
func (s *Store) writeNote(layer string, n note) error {
	if s.note(layer).text != "" {
		return nil
	}
	n.text = strings.ToValidUTF8(n.text[:min(len(n.text), maxNote)], "")
	return s.putNote(layer, n)
}

// putNote writes a note whole, since others read it meanwhile.
func (s *Store) putNote(layer string, n note) error {
	fresh := filepath.Join(s.dir, "notes", "."+newID()) // what a crash leaves, sweepNotes removes
	err := os.WriteFile(fresh, []byte(n.String()), 0o600)
	if err == nil {
		err = os.Rename(fresh, s.notePath(layer))
	}
	if err != nil {
		return errors.Join(err, ignoreMissing(os.Remove(fresh)))
	}
	return nil
}

// touch counts a use of a layer for those who look after this process.
func (s *Store) touch(layer string, at time.Time) {
	n := s.note(layer)
	n.uses++
	_ = s.putNote(layer, n) // on a full disk the time alone is kept
	_ = os.Chtimes(s.notePath(layer), at, at)
}

// touched is when the layer was last used as far as its note knows.
func (s *Store) touched(layer string) time.Time {
	fi, err := os.Stat(s.notePath(layer))
	if err != nil {
		return time.Time{}
	}
	return fi.ModTime()
}
