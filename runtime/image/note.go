package image

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A layer's note says what made it; the file's time is when the layer was last used. Both may be lost
// without harm.

// maxNote is how much of a note is kept, in bytes.
const maxNote = 4 << 10

// touchEvery is how exactly the time of a layer's last use is kept beyond the process.
const touchEvery = time.Hour

func (s *Store) notePath(layer string) string { return filepath.Join(s.dir, "notes", layer) }

// Note is what was said about how the layer was made, "" if nothing.
func (s *Store) Note(layer string) string {
	if !layerName.MatchString(layer) {
		return ""
	}
	text, err := os.ReadFile(s.notePath(layer))
	if err != nil {
		return ""
	}
	return string(text)
}

// writeNote keeps what is said already.
func (s *Store) writeNote(layer, text string) error {
	if text == "" || s.Note(layer) != "" {
		return nil
	}
	text = strings.ToValidUTF8(text[:min(len(text), maxNote)], "")
	return os.WriteFile(s.notePath(layer), []byte(text), 0o600)
}

// touch marks a layer as used for those who look after this process.
func (s *Store) touch(layer string, at time.Time) {
	path := s.notePath(layer)
	if err := os.Chtimes(path, at, at); errors.Is(err, fs.ErrNotExist) {
		if f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
			_ = errors.Join(f.Close(), os.Chtimes(path, at, at))
		}
	}
}

// touched is when the layer was last used as far as its note knows.
func (s *Store) touched(layer string) time.Time {
	fi, err := os.Stat(s.notePath(layer))
	if err != nil {
		return time.Time{}
	}
	return fi.ModTime()
}
