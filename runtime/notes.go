package runtime

import (
	"crypto/rand"
	"fmt"
	"strings"
	"sync"

	"paas/platform"
	"paas/runtime/logbook"
	"paas/runtime/ring"
)

const noteBytes = 64 << 10 // of each of the two segments of an app's notes

// notes are the platform's own lines in apps' logs: a journal for each app that has any, begun anew by every
// daemon. The old ones go when those of instances do.
type notes struct {
	mu   sync.Mutex
	open map[platform.AppName]*noteBook
	full int64 // bytes of each of the two segments of an app's
}

type noteBook struct {
	id    platform.InstanceID
	ring  *ring.Writer
	close func()
}

// Note implements platform.Resources.
func (r *Runtime) Note(app platform.AppName, source, text string) error {
	text = strings.ReplaceAll(text, "\n", " ")
	return r.notes.append(r, app, "", ring.Record{
		At: r.now().UnixNano(), Stream: ring.Platform, Text: []byte(source + logbook.NoteSeparator + text),
	})
}

// append writes records into an app's notes, beginning them with their first.
func (n *notes) append(r *Runtime, app platform.AppName, source string, records ...ring.Record) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	book, ok := n.open[app]
	if !ok {
		var err error
		if book, err = r.beginNotes(app, source, n.full); err != nil {
			return fmt.Errorf("write into the log of %s: %w", app, err)
		}
		n.open[app] = book
	}
	book.ring.Append(records...)
	return nil
}

func (r *Runtime) beginNotes(app platform.AppName, source string, full int64) (*noteBook, error) {
	id := platform.InstanceID("notes-" + strings.ToLower(rand.Text()[:13]))
	segments, err := r.openLog(app, journal{ID: id, Source: source, Started: r.now()})
	book := &noteBook{id: id, close: func() {
		for _, s := range segments {
			if s != nil {
				_ = s.Close()
			}
		}
	}}
	if err != nil {
		book.close()
		return nil, err
	}
	book.ring = ring.NewWriter(int(segments[0].Fd()), int(segments[1].Fd()), full)
	return book, nil
}

// writes tells whether a journal is that of notes being written.
func (n *notes) writes(id platform.InstanceID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, book := range n.open {
		if book.id == id {
			return true
		}
	}
	return false
}

// drop ends the notes of an app whose logs go.
func (n *notes) drop(app platform.AppName) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if book, ok := n.open[app]; ok {
		book.close()
		delete(n.open, app)
	}
}

func (n *notes) closeAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for app, book := range n.open {
		book.close()
		delete(n.open, app)
	}
}
