package platform

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
)

// logEvents puts what happened to apps into their logs. Kills for want of memory or disk have a note there already, which
// says more; an app that is destroyed has no log.
func (p *Platform) logEvents(ctx context.Context, batch []Event) {
	if p.Logbook == nil {
		return
	}
	byApp := map[AppName][]LogEntry{}
	for _, e := range batch {
		switch {
		case e.App == "", e.Kind == EventAppDestroyed, e.Kind == EventOutOfMemory, e.Kind == EventDiskFull:
		default:
			byApp[e.App] = append(byApp[e.App], e.entry())
		}
	}
	for app, list := range byApp {
		if _, err := p.Store.App(ctx, app); KindOf(err) == NotFound {
			continue
		}
		if err := p.Logbook.Append(app, list); err != nil {
			p.Log.Error("write into a log", "app", app, "err", err)
		}
	}
}

// entry is the event as a line.
func (e Event) entry() LogEntry {
	l := LogEntry{At: e.At, Source: LogPlatform, Process: e.Process, Release: e.Release, Level: LogInfo, Text: e.Text}
	if level(e.Kind) >= slog.LevelWarn {
		l.Level = LogWarn
	}
	switch e.Kind {
	case EventCrashed, EventGaveUp, EventPushFailed, EventOverslept, EventCertFailed:
		l.Level = LogError
	}
	if e.Actor != "" {
		l.Text += " (" + e.Actor + ")"
	}
	return l
}

// maxLogText is the longest line that is kept in one, in bytes.
const maxLogText = 16 << 10

// logWriter writes lines of somebody who is no instance into an app's log, each as it is complete. It never fails: what is
// told is not lost for its log. Close writes a last line that has no newline.
type logWriter struct {
	platform *Platform
	app      AppName
	who      LogEntry // of each line: At and Text are set

	mu   sync.Mutex
	rest []byte
}

// logLines is a writer into an app's log; of who Source, Process, Release, Level and Stream count.
func (p *Platform) logLines(app AppName, who LogEntry) io.WriteCloser {
	return &logWriter{platform: p, app: app, who: who}
}

// Write implements io.Writer.
func (w *logWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest = append(w.rest, b...)
	var list []LogEntry
	from := 0
	for from < len(w.rest) {
		n := bytes.IndexByte(w.rest[from:], '\n')
		switch {
		case n >= 0 && n <= maxLogText:
			list = append(list, w.entry(w.rest[from:from+n]))
			from += n + 1
			continue
		case len(w.rest)-from >= maxLogText:
			list = append(list, w.entry(w.rest[from:from+maxLogText]))
			from += maxLogText
			continue
		}
		break
	}
	w.rest = append(w.rest[:0], w.rest[from:]...)
	w.put(list)
	return len(b), nil
}

// Close implements io.Closer.
func (w *logWriter) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.rest) > 0 {
		w.put([]LogEntry{w.entry(w.rest)})
		w.rest = nil
	}
	return nil
}

func (w *logWriter) entry(text []byte) LogEntry {
	e := w.who
	e.At, e.Text = w.platform.Now(), string(text)
	if strings.HasPrefix(e.Text, " !     ") { // of a story
		e.Level = LogError
	}
	return e
}

func (w *logWriter) put(list []LogEntry) {
	if w.platform.Logbook == nil || len(list) == 0 {
		return
	}
	if err := w.platform.Logbook.Append(w.app, list); err != nil && KindOf(err) != NotFound {
		w.platform.Log.Error("write into a log", "app", w.app, "err", err)
	}
}

// logPhase has what a command of a release tells kept as its own lines, and not as its build's, until done.
func (p *Platform) logPhase(story *Story, w want, typ ProcessType) (done func()) {
	out := p.logLines(w.app.Name, LogEntry{
		Source: LogRelease, Process: string(typ) + ".1", Release: w.release.Number, Level: LogInfo,
	})
	before := story.LogTo(out)
	return func() {
		story.LogTo(before)
		_ = out.Close()
	}
}

// LogTo has everything from now on kept in a log, too, and returns what it went to before; nil: nothing.
func (s *Story) LogTo(w io.Writer) (before io.Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, s.log = s.log, w
	return before
}

// bootLogs tells the logbook and the drains what holds.
func (p *Platform) bootLogs(ctx context.Context, apps []App) error {
	if p.Logbook == nil {
		return nil
	}
	errs := []error{p.boundLogs(ctx, "")}
	for _, app := range apps {
		errs = append(errs, p.boundLogs(ctx, app.Name))
	}
	if err := errors.Join(append(errs, p.bootDrains(ctx))...); err != nil {
		return fmt.Errorf("open the logs: %w", err)
	}
	return nil
}
