package platform

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Story tells a pusher what happens while it happens, in the form Heroku gave the field:
// "-----> phase", "=====> result", seven spaces before detail, " !     " before trouble.
// Safe for concurrent use. Write errors are remembered by nobody: the reader may be gone. Secrets that it
// was told of are shown to nobody.
type Story struct {
	mu     sync.Mutex
	out    io.Writer
	copy   io.Writer // gets the same, and first; may be nil
	log    io.Writer // gets the same; may be nil
	now    func() time.Time
	start  time.Time // of the phase that is open
	tail   []string  // the last lines of detail
	phases []BuildPhase
	mask   mask
	admit  func(ctx context.Context) error
	sees   func(AppName) bool // which apps its listener may know of; nil: all
}

const tailLines = 120

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
	s.phases = append(s.phases, BuildPhase{Name: s.mask.hide(fmt.Sprintf(format, args...))})
	s.print("-----> ", fmt.Sprintf(format, args...))
}

// Phases lists the phases that have ended, with their seconds.
func (s *Story) Phases() []BuildPhase {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := append([]BuildPhase{}, s.phases...)
	if !s.start.IsZero() {
		list = list[:len(list)-1]
	}
	return list
}

// Confine says which apps its listener may know of. It is called before anything is told.
func (s *Story) Confine(sees func(AppName) bool) { s.sees = sees }

// Sees tells whether what is built for its listener may be made of an app's images.
func (s *Story) Sees(app AppName) bool { return s == nil || s.sees == nil || app == "" || s.sees(app) }

// CopyTo tells everything from now on to w too.
func (s *Story) CopyTo(w io.Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.copy = w
}

// Hide keeps the values of config vars that look like secrets out of everything that is told.
func (s *Story) Hide(config Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mask = newMask(config)
}

// hidden is a text without the secrets in it.
func (s *Story) hidden(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mask.hide(text)
}

// Queue makes Admit wait for its turn by ask.
func (s *Story) Queue(ask func(ctx context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.admit = ask
}

// Admit is to be called, as often as one likes, before anything that is hard on the host: before a
// container is run, not before a layer is found. It blocks until the build has its turn or ctx ends. Nobody
// may hold a lock meanwhile that another build waits for.
func (s *Story) Admit(ctx context.Context) error {
	s.mu.Lock()
	admit := s.admit
	s.mu.Unlock()
	if admit == nil {
		return nil
	}
	return admit(ctx)
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

// Writer is for the output of one command: each line of it becomes a detail, up to what a person would
// read. Close it to tell a last line that has no newline, and what was left out.
func (s *Story) Writer() io.WriteCloser {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &storyWriter{story: s, mask: s.mask, free: freeOutput}
}

func (s *Story) detail(text string) {
	s.print("       ", text)
	s.keep(text)
}

// keep adds to the tail.
func (s *Story) keep(text string) {
	s.tail = append(s.tail, strings.Split(text, "\n")...)
	if n := len(s.tail); n > tailLines {
		s.tail = append(s.tail[:0], s.tail[n-tailLines:]...)
	}
}

func (s *Story) endPhase() {
	if s.start.IsZero() {
		return
	}
	took := s.now().Sub(s.start)
	s.print("       ", fmt.Sprintf("done in %s", Seconds(took)))
	s.phases[len(s.phases)-1].Seconds = took.Seconds()
	s.start = time.Time{}
}

func (s *Story) print(prefix, text string) {
	var b bytes.Buffer
	text = s.mask.hide(text)
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		b.WriteString(prefix)
		b.WriteString(line)
		b.WriteByte('\n')
	}
	if s.copy != nil {
		_, _ = s.copy.Write(b.Bytes())
	}
	if s.log != nil {
		_, _ = s.log.Write(b.Bytes())
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
