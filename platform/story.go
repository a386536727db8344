package platform

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Story tells a pusher what happens while it happens, in the form Heroku gave the field:
// "-----> phase", "=====> result", seven spaces before detail, " !     " before trouble.
// Safe for concurrent use. Write errors are remembered by nobody: the reader may be gone.
type Story struct {
	mu    sync.Mutex
	out   io.Writer
	now   func() time.Time
	start time.Time // of the phase that is open
	tail  []string  // the last lines of detail
}

const tailLines = 40

// NewStory tells to out. now may be nil for the real clock.
func NewStory(out io.Writer, now func() time.Time) *Story {
	if now == nil {
		now = time.Now
	}
	return &Story{out: out, now: now}
}

// Phase opens a phase, closing the one before with its seconds.
func (s *Story) Phase(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endPhase()
	s.start = s.now()
	s.tail = nil
	s.print("-----> ", fmt.Sprintf(format, args...))
}

// Title opens a phase whose seconds its teller tells.
func (s *Story) Title(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endPhase()
	s.tail = nil
	s.print("-----> ", fmt.Sprintf(format, args...))
}

// End closes the open phase with its seconds.
func (s *Story) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endPhase()
}

// Line tells a detail of the open phase.
func (s *Story) Line(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.detail(fmt.Sprintf(format, args...))
}

// Warn tells trouble.
func (s *Story) Warn(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.print(" !     ", fmt.Sprintf(format, args...))
}

// Result tells what came of it all.
func (s *Story) Result(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endPhase()
	s.print("=====> ", fmt.Sprintf(format, args...))
}

// Tail is the last lines of detail that the open phase told, oldest first.
func (s *Story) Tail() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.tail...)
}

// Writer is for the output of commands: each line of it becomes a detail.
// Close it to tell a last line that has no newline.
func (s *Story) Writer() io.WriteCloser { return &storyWriter{story: s} }

func (s *Story) detail(text string) {
	s.print("       ", text)
	s.tail = append(s.tail, strings.Split(text, "\n")...)
	if n := len(s.tail); n > tailLines {
		s.tail = append(s.tail[:0], s.tail[n-tailLines:]...)
	}
}

func (s *Story) endPhase() {
	if s.start.IsZero() {
		return
	}
	s.print("       ", fmt.Sprintf("done in %s", Seconds(s.now().Sub(s.start))))
	s.start = time.Time{}
}

func (s *Story) print(prefix, text string) {
	var b bytes.Buffer
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		b.WriteString(prefix)
		b.WriteString(line)
		b.WriteByte('\n')
	}
	_, _ = s.out.Write(b.Bytes())
}

// Seconds prints a duration as people read it in a push: "0.04s", "3.2s", "38s".
func Seconds(d time.Duration) string {
	switch s := d.Seconds(); {
	case s < 1:
		return fmt.Sprintf("%.2fs", s)
	case s < 10:
		return fmt.Sprintf("%.1fs", s)
	default:
		return fmt.Sprintf("%.0fs", s)
	}
}

type storyWriter struct {
	story *Story
	mu    sync.Mutex
	rest  []byte
}

const maxStoryLine = 4096 // bytes; a longer line is told in parts

func (w *storyWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest = append(w.rest, p...)
	for {
		i := bytes.IndexByte(w.rest, '\n')
		if i < 0 && len(w.rest) < maxStoryLine {
			return len(p), nil
		}
		if i < 0 || i > maxStoryLine {
			i = maxStoryLine - 1
		}
		w.tell(w.rest[:i+1])
		w.rest = append(w.rest[:0], w.rest[i+1:]...)
	}
}

func (w *storyWriter) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.rest) > 0 {
		w.tell(w.rest)
		w.rest = nil
	}
	return nil
}

// tell keeps what a terminal would show after the last carriage return: progress bars redraw.
func (w *storyWriter) tell(line []byte) {
	text := strings.TrimRight(string(line), "\r\n")
	if i := strings.LastIndexByte(text, '\r'); i >= 0 {
		text = text[i+1:]
	}
	w.story.Line("%s", text)
}
