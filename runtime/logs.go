package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"paas/platform"
	"paas/runtime/logbook"
	"paas/runtime/ring"
)

const followPause = 100 * time.Millisecond

// Logs implements platform.Runner. Lines of several instances come in the order of their times, as far
// as they were written when it looked.
func (r *Runtime) Logs(ctx context.Context, q platform.LogQuery, yield func(platform.LogLine) error) error {
	t := &tail{dir: r.logDir(q.App), query: q, open: make(map[journal]*follower)}
	defer t.close()
	lines, err := t.next(q.Lines)
	for err == nil {
		if err := deliver(lines, yield); err != nil || !q.Follow {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.life.Done():
			return nil
		case <-time.After(followPause):
		}
		lines, err = t.next(all)
	}
	return fmt.Errorf("read logs of %s: %w", q.App, err)
}

func deliver(lines []platform.LogLine, yield func(platform.LogLine) error) error {
	for _, l := range lines {
		if err := yield(l); err != nil {
			return err
		}
	}
	return nil
}

// all lines are wanted, not the last few.
const all = -1

// tail reads the journals of one app.
type tail struct {
	dir   string
	query platform.LogQuery
	open  map[journal]*follower // nil if its lines are not wanted
}

type follower struct {
	journal journal
	query   sources
	ring    *ring.Reader
}

// next gives the last limit lines of those that were written since the call before.
func (t *tail) next(limit int) ([]platform.LogLine, error) {
	if err := t.discover(); err != nil {
		return nil, err
	}
	var lines []platform.LogLine
	for _, f := range t.open {
		if f == nil {
			continue
		}
		more, err := f.lines(t.query.App, limit)
		if err != nil {
			return nil, err
		}
		lines = append(lines, more...)
	}
	slices.SortStableFunc(lines, func(a, b platform.LogLine) int { return a.At.Compare(b.At) })
	return last(lines, limit), nil
}

func last(lines []platform.LogLine, limit int) []platform.LogLine {
	if limit == all || len(lines) <= limit {
		return lines
	}
	return lines[len(lines)-limit:]
}

// lines keeps no more than twice the limit in memory.
func (f *follower) lines(app platform.AppName, limit int) ([]platform.LogLine, error) {
	var out []platform.LogLine
	err := f.ring.Next(func(r ring.Record) error {
		if limit == 0 {
			return nil
		}
		line := f.line(app, r)
		if !f.query.covers(line.Source) {
			return nil
		}
		out = append(out, line)
		if limit != all && len(out) >= 2*limit {
			out = append(out[:0], out[len(out)-limit:]...)
		}
		return nil
	})
	return last(out, limit), err
}

// line: a note has its source in its text, for notes of all processes share a journal.
func (f *follower) line(app platform.AppName, r ring.Record) platform.LogLine {
	l := platform.LogLine{At: time.Unix(0, r.At), App: app, Source: f.journal.Source, Stream: streamName(r.Stream), Text: string(r.Text)}
	if r.Stream == ring.Platform && l.Source == "" {
		l.Source, l.Text, _ = strings.Cut(l.Text, logbook.NoteSeparator)
	}
	return l
}

func streamName(stream byte) string {
	switch stream {
	case ring.Stderr:
		return "stderr"
	case ring.Platform:
		return "platform"
	}
	return "stdout"
}

// discover opens journals that appeared and closes those that were dropped.
func (t *tail) discover() error {
	entries, err := os.ReadDir(t.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	there := make(map[journal]bool)
	for _, e := range entries {
		j, ok := logbook.ParseRing(e.Name())
		if !ok {
			continue
		}
		there[j] = true
		if _, known := t.open[j]; !known {
			t.look(j)
		}
	}
	for j, f := range t.open {
		if !there[j] {
			f.close()
			delete(t.open, j)
		}
	}
	return nil
}

// look opens a journal if its lines are wanted. One that is half made is looked at again next time.
func (t *tail) look(j journal) {
	if !t.wants(j) {
		t.open[j] = nil
		return
	}
	if r, err := ring.OpenReader(filepath.Join(t.dir, j.Name())); err == nil {
		t.open[j] = &follower{j, sources(t.query.Source), r}
	}
}

func (t *tail) wants(j journal) bool {
	if j.Source == "" { // notes
		return t.query.ID == ""
	}
	return sources(t.query.Source).covers(j.Source) && (t.query.ID == "" || t.query.ID == j.ID)
}

// sources is a process like "web.1", a type like "web", or "" for all.
type sources string

func (s sources) covers(source string) bool {
	return s == "" || string(s) == source || strings.HasPrefix(source, string(s)+".")
}

func (f *follower) close() {
	if f != nil {
		_ = f.ring.Close()
	}
}

func (t *tail) close() {
	for _, f := range t.open {
		f.close()
	}
}

// Forget implements platform.Runner.
func (r *Runtime) Forget(_ context.Context, app platform.AppName) error {
	for _, c := range r.all() {
		if c.record.App == app && !c.record.Passing {
			return platform.Errorf(platform.Conflict, "%s still has an instance, %s", app, c.record.ID)
		}
	}
	if app == "" || strings.ContainsAny(string(app), "/.") {
		return platform.Errorf(platform.Usage, "%q is not an app name", app)
	}
	r.notes.drop(app)
	r.accesses.drop(app)
	if err := os.RemoveAll(r.logDir(app)); err != nil {
		return fmt.Errorf("remove logs of %s: %w", app, err)
	}
	if r.options.Logbook != nil {
		return r.options.Logbook.Forget(app)
	}
	return nil
}

// Rename implements platform.Runner. Journals are moved one by one: the new name may have some already.
func (r *Runtime) Rename(_ context.Context, from, to platform.AppName) error {
	for _, name := range []platform.AppName{from, to} {
		if name == "" || strings.ContainsAny(string(name), "/.") {
			return platform.Errorf(platform.Usage, "%q is not an app name", name)
		}
	}
	r.notes.drop(from)
	r.accesses.drop(from)
	files, err := os.ReadDir(r.logDir(from))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = os.MkdirAll(r.logDir(to), 0o700)
	}
	for _, f := range files {
		err = errors.Join(err, os.Rename(filepath.Join(r.logDir(from), f.Name()), filepath.Join(r.logDir(to), f.Name())))
	}
	if err == nil {
		err = os.Remove(r.logDir(from))
	}
	if err != nil {
		return fmt.Errorf("move logs of %s to %s: %w", from, to, err)
	}
	return nil
}
