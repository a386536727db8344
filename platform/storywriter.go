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
	discardRate  = 256 << 20 // bytes a second
	maxStoryLine = 4096      // bytes; a longer line is told in parts
	keptTail     = 8 << 10   // bytes of what is left out
	lastLines    = 10
)

type storyWriter struct {
	story *Story
	mask  mask

	mu    sync.Mutex
	rest  []byte // of a line that is not complete
	free  int    // bytes that may be told now
	since time.Time
	cut   int64  // bytes that were left out since something was told
	last  []byte // the end of those
	debt  time.Duration
}

func (w *storyWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.cut
	w.lines(w.mask.take(p))
	if cut := w.cut - before; cut > 0 {
		w.slow(cut)
	}
	return len(p), nil
}

// slow keeps whoever prints what nobody will read from keeping the daemon busy.
func (w *storyWriter) slow(cut int64) {
	w.debt += time.Duration(cut) * time.Second / discardRate
	if w.debt > 2*time.Millisecond { // shorter sleeps take longer than they say
		time.Sleep(w.debt)
		w.debt = 0
	}
}

func (w *storyWriter) lines(p []byte) {
	if w.cut > 0 && time.Since(w.since) < time.Second {
		w.leaveOut(w.rest)
		w.leaveOut(p) // whole: cutting a gigabyte into lines takes longer than making it
		w.rest = w.rest[:0]
		return
	}
	if len(w.rest) == 0 && w.cut > 0 {
		w.rest = append(w.rest, w.last[bytes.LastIndexByte(w.last, '\n')+1:]...)
		w.last = w.last[:len(w.last)-len(w.rest)]
		w.cut -= int64(len(w.rest))
	}
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
		lines := strings.Split(strings.TrimRight(string(w.last), "\r\n"), "\n")
		for _, line := range lines[max(0, len(lines)-lastLines):] {
			w.story.Line("%s", shown(line))
		}
		w.cut, w.last = 0, nil
	}
	return nil
}

func (w *storyWriter) tell(line []byte) {
	if !w.may(len(line)) {
		w.leaveOut(line)
		return
	}
	if w.cut > 0 {
		w.story.Line("[%s of output are left out here]", Bytes(w.cut))
		w.cut, w.last = 0, nil
	}
	w.story.Line("%s", shown(string(line)))
}

// shown is what a terminal would show after the last carriage return: progress bars redraw.
func shown(line string) string {
	text := strings.TrimRight(line, "\r\n")
	return text[strings.LastIndexByte(text, '\r')+1:]
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

// leaveOut keeps the end only, for people and for whoever explains a failure.
func (w *storyWriter) leaveOut(p []byte) {
	w.cut += int64(len(p))
	w.last = append(w.last, p[max(0, len(p)-keptTail):]...)
	if len(w.last) > 2*keptTail {
		w.last = append(w.last[:0], w.last[len(w.last)-keptTail:]...)
	}
}
