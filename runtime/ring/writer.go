package ring

import (
	"bytes"
	"sync"

	"golang.org/x/sys/unix"
)

// Writer appends to a ring. It is safe for concurrent use. What the disk does not take is dropped: an
// app must not hang because its log has no room.
type Writer struct {
	mu       sync.Mutex
	fds      [2]int
	limit    int64 // bytes of one segment
	current  int
	size     int64
	sequence uint64
	lines    uint64 // of all segments, those that found no room included
	buffer   []byte
}

// NewWriter begins an empty ring in two open files, each bounded to limit bytes.
func NewWriter(first, second int, limit int64) *Writer {
	w := &Writer{fds: [2]int{first, second}, limit: limit, current: 1}
	w.turn()
	return w
}

// Append writes records with one system call, in one segment.
func (w *Writer) Append(records ...Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buffer = w.buffer[:0]
	for _, r := range records {
		if w.size+int64(len(w.buffer)+prefixSize+len(r.Text)) > w.limit {
			w.flush()
			w.turn()
		}
		w.buffer = appendRecord(w.buffer, r)
		w.lines++
	}
	w.flush()
}

func (w *Writer) flush() {
	n, _ := unix.Pwrite(w.fds[w.current], w.buffer, w.size)
	w.size += wholeRecords(w.buffer[:max(n, 0)])
	w.buffer = w.buffer[:0]
}

// wholeRecords is the size of the records of b that a full disk did not cut off.
func wholeRecords(b []byte) int64 {
	used := 0
	for {
		_, size := cutRecord(b[used:])
		if size == 0 {
			return int64(used)
		}
		used += size
	}
}

// turn makes the other segment the current one and empties it.
func (w *Writer) turn() {
	w.current = 1 - w.current
	w.sequence++
	_ = unix.Ftruncate(w.fds[w.current], 0)
	_, _ = unix.Pwrite(w.fds[w.current], header(w.sequence, w.lines), 0)
	w.size = headerSize
}

// Lines cuts a stream of bytes into records.
type Lines struct {
	Stream byte
	rest   []byte
}

// Cut returns the lines that p completes, stamped at. The records alias p and l until the next call.
func (l *Lines) Cut(p []byte, at int64) []Record {
	l.rest = append(l.rest, p...)
	var out []Record
	b := l.rest
	for {
		line, size := nextLine(b)
		if size == 0 {
			break
		}
		out = append(out, Record{At: at, Stream: l.Stream, Text: line})
		b = b[size:]
	}
	l.rest = bytes.Clone(b)
	return out
}

// Rest returns what has no newline yet, at the end of the stream.
func (l *Lines) Rest(at int64) []Record {
	if len(l.rest) == 0 {
		return nil
	}
	r := Record{At: at, Stream: l.Stream, Text: l.rest}
	l.rest = nil
	return []Record{r}
}

func nextLine(b []byte) (line []byte, size int) {
	i := bytes.IndexByte(b, '\n')
	if i >= 0 && i <= MaxLine {
		return b[:i], i + 1
	}
	if len(b) > MaxLine {
		return b[:MaxLine], MaxLine
	}
	return nil, 0
}
