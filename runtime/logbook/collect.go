package logbook

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"paas/platform"
	"paas/runtime/ring"
)

const (
	roundBytes = 1 << 20 // of one ring that are read before others have their turn
	roundPause = 40 * time.Millisecond
	roundRetry = 5 * time.Second // after an error: the disk may be full
	gapPause   = time.Second
)

var errEnough = errors.New("enough for this round")

// collectAll reads rings that have grown until Close, and then once more.
func (b *Book) collectAll() {
	late := map[platform.AppName]bool{}
	timer := time.NewTimer(0)
	<-timer.C
	for {
		select {
		case <-b.watch.news:
		case <-timer.C:
			for app := range late {
				b.watch.mark(app)
			}
			clear(late)
			continue
		case <-b.life.Done():
			b.collectRound(late)
			return
		}
		wait := b.collectRound(late)
		if wait > 0 {
			timer.Reset(wait)
		}
		select {
		case <-time.After(roundPause):
		case <-b.life.Done():
		}
	}
}

// collectRound reads rings of apps that are dirty. late are those to be looked at again, after the time it returns.
func (b *Book) collectRound(late map[platform.AppName]bool) (wait time.Duration) {
	for _, app := range b.watch.take() {
		again, err := b.collect(app)
		if err != nil && !errors.Is(err, errGone) {
			b.log.Error("collect a log", "app", app, "err", err)
			again = roundRetry
		}
		if again > 0 {
			late[app] = true
			if wait == 0 || again < wait {
				wait = again
			}
		}
	}
	return wait
}

// Collect reads all that an app's rings have. Afterwards rings whose instances have ended may be removed.
func (b *Book) Collect(app platform.AppName) error {
	_, err := b.collect(app)
	return err
}

// collect reads an app's rings to their ends. again: it wants to be called after so long, for a gap to be told.
func (b *Book) collect(app platform.AppName) (again time.Duration, err error) {
	for more := true; more && err == nil; { // its readers have their turns in between
		err = b.locked(app, func(s *shelf) (err error) {
			more, err = b.collectOnce(s)
			again = s.patience()
			return err
		})
	}
	return again, err
}

// patience is when a gap that is not told yet shall be; 0: there is none.
func (s *shelf) patience() time.Duration {
	for i := range s.limits {
		if s.limits[i].dropped > 0 {
			return gapPause + roundPause
		}
	}
	return 0
}

// collectOnce reads a round of an app's rings and keeps the lines in order of time. The caller holds the shelf's mu.
func (b *Book) collectOnce(s *shelf) (more bool, err error) {
	draughts, err := b.draw(s)
	if err != nil {
		return false, err
	}
	horizon := level(draughts)
	var lines []line
	positions := map[string]ring.Position{}
	for _, d := range draughts {
		lines = append(lines, d.upTo(horizon)...)
		positions[d.name] = d.end
		more = more || d.cut
	}
	slices.SortStableFunc(lines, func(a, b line) int { return int(min(max(a.at-b.at, -1), 1)) })
	lines, undo := s.limit(lines, b.now())
	if len(lines) == 0 && len(positions) == 0 {
		return false, nil
	}
	if err := s.add(lines, positions); err != nil {
		undo()
		return false, err
	}
	return more, nil
}

// limit leaves out lines that come too fast. undo forgets that.
func (s *shelf) limit(lines []line, now time.Time) (kept []line, undo func()) {
	old, dropped := s.limits, s.dropped
	kept = make([]line, 0, len(lines)+limiters)
	for _, l := range lines {
		if l.gap > 0 {
			s.dropped += l.gap
		}
		m := &s.limits[appLimiter]
		switch platform.LogSources()[l.origin.source] {
		case platform.LogRouter:
			m = &s.limits[routerLimiter]
		case platform.LogPlatform:
			kept = append(kept, l)
			continue
		}
		if l.gap > 0 {
			kept = append(kept, l)
			continue
		}
		ok, gap := m.pass(l, s.bounds.Rate, now)
		if gap != nil {
			kept = append(kept, *gap)
		}
		if ok {
			kept = append(kept, l)
		} else {
			s.dropped++
		}
	}
	for i := range s.limits {
		if s.limits[i].overdue(now) {
			kept = append(kept, *s.limits[i].close())
		}
	}
	return kept, func() { s.limits, s.dropped = old, dropped }
}

// draught is what was read of one ring in a round.
type draught struct {
	name  string
	lines []line
	ends  []ring.Position // behind each line
	start ring.Position
	end   ring.Position
	cut   bool // there is more
}

// draw reads what is new of every ring of the app.
func (b *Book) draw(s *shelf) (list []*draught, err error) {
	dir := RingDir(b.options.Rings, s.app)
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	there := map[string]bool{}
	for _, e := range entries {
		r, ok := ParseRing(e.Name())
		if !ok {
			continue
		}
		there[r.Name()] = true
		d, err := drawRing(filepath.Join(dir, r.Name()), r, s.positions[r.Name()])
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		if d != nil {
			list = append(list, d)
		}
	}
	s.forgetRings(there)
	return list, nil
}

// drawRing reads what is new of one ring; nil if there is nothing.
func drawRing(path string, name Ring, from ring.Position) (*draught, error) {
	reader, err := ring.OpenReader(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = reader.Close() }()
	reader.Seek(from)
	d := &draught{name: name.Name(), start: from}
	who := name.origin()
	var texts []byte // of all lines; what was cut off it stays valid when it grows
	err = reader.Next(func(r ring.Record) error {
		start := len(texts)
		texts = append(texts, r.Text...)
		r.Text = texts[start:len(texts):len(texts)]
		l := name.line(r, who)
		if n := reader.Missed(); n > 0 {
			d.keep(gapLine(n, l.at, l.origin), reader.Position())
		}
		d.keep(l, reader.Position())
		if len(texts)+64*len(d.lines) > roundBytes {
			return errEnough
		}
		return nil
	})
	d.cut = errors.Is(err, errEnough)
	if err != nil && !d.cut {
		return nil, err
	}
	if len(d.lines) == 0 {
		return nil, nil
	}
	d.end = reader.Position()
	return d, nil
}

func (d *draught) keep(l line, behind ring.Position) {
	d.lines = append(d.lines, l)
	d.ends = append(d.ends, behind)
}

// level is up to which time all rings were read: later lines wait for those that others have before them.
func level(list []*draught) (horizon int64) {
	horizon = 1<<63 - 1
	for _, d := range list {
		if d.cut {
			horizon = min(horizon, d.latest())
		}
	}
	return horizon
}

// latest is the time of the latest line, which need not be the last one: clocks are set.
func (d *draught) latest() (at int64) {
	for _, l := range d.lines {
		at = max(at, l.at)
	}
	return at
}

// upTo gives the lines up to the horizon; the others are read again.
func (d *draught) upTo(horizon int64) []line {
	n := 0
	for n < len(d.lines) && d.lines[n].at <= horizon {
		n++
	}
	if n > 0 && n < len(d.lines) && d.lines[n-1].gap > 0 { // it stands before the line that it was read with
		n--
	}
	if n == len(d.lines) {
		return d.lines
	}
	d.cut, d.end = true, d.start
	if n > 0 {
		d.end = d.ends[n-1]
	}
	return d.lines[:n]
}

// origin is who wrote into the ring.
func (r Ring) origin() origin {
	o := origin{source: sourceNumber(platform.LogApp), process: r.Source, release: r.Release}
	typ, _, _ := strings.Cut(r.Source, ".")
	switch s := platform.LogSource(typ); s {
	case "":
		o.source = sourceNumber(platform.LogPlatform)
	case platform.LogRouter, platform.LogRun, platform.LogCron, platform.LogRelease: // one-off instances, by their type
		o.source = sourceNumber(s)
	}
	return o
}

// line makes a record a line, whose text is the record's. A note has its process in its text, for notes of all processes share a ring.
func (r Ring) line(rec ring.Record, who origin) line {
	l := line{at: rec.At / 1000, origin: who, level: platform.LogInfo, text: rec.Text}
	switch {
	case r.Source == "":
		process, text, _ := strings.Cut(string(rec.Text), NoteSeparator)
		l.origin.process, l.text, l.level = process, []byte(text), platform.LogWarn
		return l
	case rec.Stream == ring.Stdout:
		l.origin.stream = 1
	case rec.Stream == ring.Stderr:
		l.origin.stream, l.level = 2, platform.LogError
	}
	if level, ok := levelOf(rec.Text); ok {
		l.level = level
	}
	return l
}
