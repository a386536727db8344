package platform

import (
	"bytes"
	"strings"
	"sync"
	"time"
)

// What of one command's output is told: the first part at once, then a little each second. The rest is read
// at a bounded speed, so that neither the pusher nor the daemon has to do with it, and left out. Its last
// lines are told in the end.
const (
	freeOutput   = 2 << 20   // bytes
	outputRate   = 32 << 10  // bytes a second
	discardRate  = 128 << 20 // bytes a second
	maxStoryLine = 4096      // bytes; a longer line is told in parts
	lastLines    = 10
)

type storyWriter struct {
	story *Story
	mask  mask

	mu    sync.Mutex
	rest  []byte // of a line that is not complete
	free  int    // bytes that may be told now
	since time.Time
	cut   int64    // bytes that were left out since something was told
	last  []string // the last lines of those
}

func (w *storyWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.cut
	w.lines(w.mask.take(p))
	if cut := w.cut - before; cut > 0 {
		time.Sleep(time.Duration(cut) * time.Second / discardRate)
	}
	return len(p), nil
}

func (w *storyWriter) lines(p []byte) {
	w.rest = append(w.rest, p...)
	at := 0
	for {
		i := bytes.IndexByte(w.rest[at:], '\n')
		if i < 0 && len(w.rest)-at < maxStoryLine {
			break
		}
		if i < 0 || i > maxStoryLine {
			i = maxStoryLine - 1
		}
		w.tell(w.rest[at : at+i+1])
		at += i + 1
	}
	w.rest = append(w.rest[:0], w.rest[at:]...)
}

func (w *storyWriter) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines(w.mask.flush())
	if len(w.rest) > 0 {
		w.tell(w.rest)
		w.rest = nil
	}
	if w.cut > 0 {
		w.story.Line("[%s of output are left out here; the last lines of it:]", Bytes(w.cut))
		for _, line := range w.last {
			w.story.Line("%s", line)
		}
		w.cut, w.last = 0, nil
	}
	return nil
}

// tell keeps what a terminal would show after the last carriage return: progress bars redraw.
func (w *storyWriter) tell(line []byte) {
	text := strings.TrimRight(string(line), "\r\n")
	if i := strings.LastIndexByte(text, '\r'); i >= 0 {
		text = text[i+1:]
	}
	if !w.may(len(line)) {
		w.leaveOut(text, len(line))
		return
	}
	if w.cut > 0 {
		w.story.Line("[%s of output are left out here]", Bytes(w.cut))
		w.cut, w.last = 0, nil
	}
	w.story.Line("%s", text)
}

// may tells whether so many bytes may be told now. Once the free part is used up, there is a new part for
// each second.
func (w *storyWriter) may(n int) bool {
	if w.free < n && time.Since(w.since) > time.Second {
		if !w.since.IsZero() {
			w.free = outputRate
		}
		w.since = time.Now()
	}
	if w.free < n {
		return false
	}
	w.free -= n
	return true
}

// leaveOut keeps the last lines only, for the end and for whoever explains a failure.
func (w *storyWriter) leaveOut(text string, n int) {
	w.cut += int64(n)
	w.last = append(w.last, text)
	if len(w.last) > 2*lastLines {
		w.last = append(w.last[:0], w.last[len(w.last)-lastLines:]...)
	}
}
