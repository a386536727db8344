package buildpacks

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"paas/buildpacks/plan"
	"paas/platform"
)

// written is what an app's last source layers hold.
type written struct {
	layers []string        // bottom first
	hidden []string        // paths that the layers hide and the source does not have
	files  []platform.File // in path order
	recent []recent        // oldest first, this one last
}

// recent is a source of an earlier build, so that pushing it again costs nothing.
type recent struct {
	key    string
	layers []string
}

const maxRecent = 20

func (s *written) remember(key string) {
	s.recent = slices.DeleteFunc(slices.Clone(s.recent), func(r recent) bool { return r.key == key })
	s.recent = append(s.recent, recent{key, s.layers})
	s.recent = s.recent[max(0, len(s.recent)-maxRecent):]
}

// find returns the layers that hold exactly what the key was made from.
func (s written) find(key string) ([]string, bool) {
	for _, r := range s.recent {
		if r.key == key {
			return r.layers, true
		}
	}
	return nil, false
}

// sourceIndex is the file that remembers a source: a cache, whose loss costs one whole layer. One for each
// app and step:
//
//	paas source 1\n
//	KEY LAYER LAYER …\n          a recent source, oldest first; the layers of the last one are the source's
//	\n
//	-PATH\0                      hidden
//	+MODE ID PATH\0              a file
//	.                            the end: without it a crash has cut the file
type sourceIndex string

const sourceMagic = "paas source 1\n"

func (b *build) sourceIndex(s plan.Step) sourceIndex {
	return sourceIndex(filepath.Join(b.appIndex(b.req.App.ID), keyOf(s.Name)[:8]))
}

// appIndex is the directory of what is remembered of an app.
func (e *Engine) appIndex(app int64) string {
	return filepath.Join(e.Dir, "index", strconv.FormatInt(app, 10))
}

// base is the index of the layer that was written whole.
func (x sourceIndex) base() sourceIndex { return x + ".base" }

func (x sourceIndex) write(s written) error {
	var text bytes.Buffer
	text.WriteString(sourceMagic)
	for _, r := range s.recent {
		text.WriteString(r.key + " " + strings.Join(r.layers, " ") + "\n")
	}
	text.WriteByte('\n')
	for _, p := range s.hidden {
		text.WriteString("-" + p + "\x00")
	}
	for _, f := range s.files {
		_, _ = fmt.Fprintf(&text, "+%o %s %s\x00", f.Mode, f.ID, f.Path)
	}
	text.WriteByte('.')
	if err := os.MkdirAll(filepath.Dir(string(x)), 0o700); err != nil {
		return fmt.Errorf("remember the source: %w", err)
	}
	return replace(string(x), text.Bytes())
}

// read returns an empty source when there is none or it is damaged.
func (x sourceIndex) read() written {
	text, err := os.ReadFile(string(x))
	if err != nil {
		return written{}
	}
	s, err := parseSource(string(text))
	if err != nil {
		return written{}
	}
	return s
}

var errDamaged = errors.New("the index is damaged")

func parseSource(text string) (s written, err error) {
	text, ok := strings.CutPrefix(text, sourceMagic)
	head, body, found := strings.Cut(text, "\n\n")
	body, ended := strings.CutSuffix(body, ".")
	if !ok || !found || !ended {
		return s, errDamaged
	}
	for line := range strings.Lines(head) {
		words := strings.Fields(line)
		if len(words) < 2 {
			return s, errDamaged
		}
		s.recent = append(s.recent, recent{words[0], words[1:]})
		s.layers = words[1:]
	}
	for len(body) > 0 {
		var entry string
		if entry, body, ok = strings.Cut(body, "\x00"); !ok || !s.parseEntry(entry) {
			return written{}, errDamaged
		}
	}
	return s, nil
}

func (s *written) parseEntry(entry string) bool {
	if p, ok := strings.CutPrefix(entry, "-"); ok {
		s.hidden = append(s.hidden, p)
		return true
	}
	words := strings.SplitN(strings.TrimPrefix(entry, "+"), " ", 3)
	if len(words) != 3 {
		return false
	}
	mode, err := strconv.ParseUint(words[0], 8, 32)
	s.files = append(s.files, platform.File{Path: words[2], Mode: platform.FileMode(mode), ID: words[1]})
	return err == nil
}
