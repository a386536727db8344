package verbs

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

const (
	spinnerAfter = 700 * time.Millisecond // of silence
	spinnerEvery = 250 * time.Millisecond // 4 Hz, as git's own progress
)

// spinner shows on a terminal that a command which says nothing is at work. It never stands behind a prompt:
// what does not end its line may be one.
type spinner struct {
	mu    sync.Mutex
	to    io.Writer
	start time.Time
	wrote time.Time
	open  bool // what was written last does not end its line
	shown int  // characters that stand there now
	turn  int
	stop  chan struct{}
	over  sync.WaitGroup
}

func spin(to io.Writer) *spinner {
	s := &spinner{to: to, start: time.Now(), wrote: time.Now(), stop: make(chan struct{})}
	s.over.Go(func() {
		tick := time.NewTicker(spinnerEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s.draw()
			case <-s.stop:
				return
			}
		}
	})
	return s
}

func (s *spinner) draw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open || time.Since(s.wrote) < spinnerAfter {
		return
	}
	text := fmt.Sprintf("%c %.0fs", `|/-\`[s.turn%4], time.Since(s.start).Seconds())
	s.turn++
	s.wipe()
	_, _ = io.WriteString(s.to, text)
	s.shown = len(text)
}

// wipe takes the spinner off the screen without an escape sequence.
func (s *spinner) wipe() {
	if s.shown > 0 {
		_, _ = io.WriteString(s.to, "\r"+strings.Repeat(" ", s.shown)+"\r")
		s.shown = 0
	}
}

// end takes it away for good.
func (s *spinner) end() {
	close(s.stop)
	s.over.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipe()
}

// writer is w with the spinner out of the way.
func (s *spinner) writer(w io.Writer) io.Writer { return spun{s, w} }

type spun struct {
	s *spinner
	w io.Writer
}

func (w spun) Write(p []byte) (int, error) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	w.s.wipe()
	w.s.wrote = time.Now()
	if len(p) > 0 {
		w.s.open = p[len(p)-1] != '\n'
	}
	return w.w.Write(p)
}
