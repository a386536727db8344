package logbook

import (
	"bytes"
	"math"
	"regexp"
	"slices"
	"strings"

	"paas/platform"
)

// filter is a platform.LogFilter, prepared.
type filter struct {
	sources  []byte
	process  string
	release  int
	level    platform.LogLevel
	from, to int64
	grep     *regexp.Regexp
	needle   needle
}

func newFilter(q platform.LogFilter, earliest int64) *filter {
	f := &filter{process: q.Process, release: q.Release, level: q.Level, from: earliest, to: math.MaxInt64, grep: q.Grep}
	for _, s := range q.Sources {
		f.sources = append(f.sources, sourceNumber(s))
	}
	if !q.Since.IsZero() {
		f.from = max(f.from, q.Since.UnixMicro())
	}
	if !q.Until.IsZero() {
		f.to = q.Until.UnixMicro()
	}
	if q.Grep != nil {
		f.needle = needleOf(q.Grep.String())
	}
	return f
}

// wants tells whether a block may have lines that are looked for.
func (f *filter) wants(b *blockInfo) bool {
	if b.to < f.from || b.from > f.to || b.levels>>f.level == 0 {
		return false
	}
	return slices.ContainsFunc(b.origins, f.who) && b.bloom.may(f.needle.hashes)
}

// who: a gap of several processes has none.
func (f *filter) who(o origin) bool {
	if len(f.sources) > 0 && !slices.Contains(f.sources, o.source) {
		return false
	}
	if several := o.process == "" && o.source == sourceNumber(platform.LogApp); f.process != "" && !several && o.process != f.process && !strings.HasPrefix(o.process, f.process+".") {
		return false
	}
	return f.release == 0 || o.release == f.release
}

// line tells whether a line is wanted. who is what who says of its origin.
func (f *filter) line(l *line, who bool) bool {
	if !who || l.at < f.from || l.at > f.to || l.level < f.level {
		return false
	}
	if f.grep == nil {
		return true
	}
	if f.needle.text != "" && !f.needle.folded {
		if !bytes.Contains(l.text, []byte(f.needle.text)) {
			return false
		}
		if f.grep.String() == f.needle.text {
			return true
		}
	}
	return f.grep.Match(l.text)
}

// each calls take for every line of a block that is wanted. The text is valid during take only.
func (f *filter) each(b *blockInfo, raw []byte, take func(l *line)) error {
	if n := f.needle; n.text != "" && !n.folded && !bytes.Contains(raw, []byte(n.text)) {
		return nil
	}
	who := make([]bool, len(b.origins))
	for i, o := range b.origins {
		who[i] = f.who(o)
	}
	d := decoder{b: raw, origins: b.origins}
	for n := b.first; d.next(); n++ {
		d.line.number = n
		if f.line(&d.line, who[d.index]) {
			take(&d.line)
		}
	}
	if d.bad {
		return errDamaged
	}
	return nil
}
