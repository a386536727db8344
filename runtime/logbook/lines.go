package logbook

import (
	"encoding/binary"
	"errors"
	"time"

	"paas/platform"
)

// MaxLine is the longest text of a line in bytes; longer ones are cut.
const MaxLine = 16 << 10

// origin is who wrote a line.
type origin struct {
	source  byte // index in platform.LogSources
	stream  byte // see streams
	release int
	process string
}

// streams are a line's by number. The order is on the disk.
func streams() []string { return []string{"", "stdout", "stderr"} }

// line is one line as it is kept.
type line struct {
	number uint64
	at     int64 // microseconds since 1970
	level  platform.LogLevel
	gap    uint64
	text   []byte
	origin origin
}

// gapBit in a line's level byte says that a count of missing lines follows it.
const gapBit = 0x80

var errDamaged = errors.New("it is damaged")

// encoder writes lines one after the other: who, level, time since the line before, text.
type encoder struct {
	origins []origin
	known   map[origin]int
	last    int64
	out     []byte
	count   int
}

func newEncoder() *encoder { return &encoder{known: map[origin]int{}} }

func (e *encoder) add(l line) {
	n, ok := e.known[l.origin]
	if !ok {
		n = len(e.origins)
		e.known[l.origin] = n
		e.origins = append(e.origins, l.origin)
	}
	level := byte(l.level)
	if l.gap > 0 {
		level |= gapBit
	}
	e.out = append(binary.AppendUvarint(e.out, uint64(n)), level)
	if l.gap > 0 {
		e.out = binary.AppendUvarint(e.out, l.gap)
	}
	e.out = binary.AppendVarint(e.out, l.at-e.last)
	e.last = l.at
	e.out = binary.AppendUvarint(e.out, uint64(len(l.text)))
	e.out = append(e.out, l.text...)
	e.count++
}

// decoder reads what an encoder wrote. Nothing in b is trusted.
type decoder struct {
	b       []byte
	origins []origin
	line    line // the current one; its text aliases b
	index   int  // of its origin
	bad     bool
}

// next steps to the next line; it is false at the end, and when what follows is no line.
func (d *decoder) next() bool {
	if len(d.b) == 0 {
		return false
	}
	d.index = int(min(d.uvarint(), uint64(len(d.origins))))
	level := d.byte()
	d.line.gap = 0
	if level&gapBit != 0 {
		d.line.gap = d.uvarint()
	}
	d.line.level = platform.LogLevel(level &^ gapBit)
	d.line.at += d.varint()
	d.line.text = d.bytes(d.uvarint())
	if d.bad || d.index >= len(d.origins) || d.line.level > platform.LogFatal {
		d.bad = true
		return false
	}
	d.line.origin = d.origins[d.index]
	return true
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.bad = true
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

func (d *decoder) bytes(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return nil
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out
}

func appendOrigins(b []byte, list []origin) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, o := range list {
		b = append(b, o.source, o.stream)
		b = binary.AppendUvarint(b, uint64(o.release))
		b = binary.AppendUvarint(b, uint64(len(o.process)))
		b = append(b, o.process...)
	}
	return b
}

func (d *decoder) readOrigins() []origin {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.bad = true
		return nil
	}
	list := make([]origin, 0, min(n, 1024))
	for range n {
		o := origin{source: d.byte(), stream: d.byte(), release: int(min(d.uvarint(), 1<<31))}
		o.process = string(d.bytes(d.uvarint()))
		if d.bad || int(o.source) >= len(platform.LogSources()) || int(o.stream) >= len(streams()) {
			d.bad = true
			return nil
		}
		list = append(list, o)
	}
	return list
}

func (l line) entry() platform.LogEntry {
	return platform.LogEntry{
		Number: l.number, At: time.UnixMicro(l.at).UTC(), Source: platform.LogSources()[l.origin.source],
		Process: l.origin.process, Release: l.origin.release, Level: l.level,
		Stream: streams()[l.origin.stream], Text: string(l.text), Gap: l.gap,
	}
}
