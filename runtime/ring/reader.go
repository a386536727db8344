package ring

import (
	"cmp"
	"errors"
	"io"
	"os"
	"slices"
)

// Segments are the ends of the names of a ring's two files, whose beginning is the ring's path.
var Segments = [2]string{".0", ".1"}

// Create makes the two empty segment files. The caller closes them.
func Create(path string) ([2]*os.File, error) {
	var files [2]*os.File
	for i, end := range Segments {
		f, err := os.OpenFile(path+end, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return files, err
		}
		files[i] = f
	}
	return files, nil
}

// Remove removes the files of a ring. One that is not there is no error.
func Remove(path string) error {
	var errs []error
	for _, end := range Segments {
		if err := os.Remove(path + end); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Position is a place between two records of a ring. The zero Position is before the first.
type Position struct {
	Sequence uint64 // of the segment
	Offset   int64  // in it
	Lines    uint64 // that came before, as far as the ring counts them
}

// Reader reads a ring from its oldest record on, also while it is written.
type Reader struct {
	files  [2]*os.File
	at     Position
	missed uint64
	buffer []byte
}

// OpenReader opens the ring of the path. The caller closes it.
func OpenReader(path string) (*Reader, error) {
	r := &Reader{}
	for i, end := range Segments {
		f, err := os.Open(path + end)
		if err != nil {
			_ = r.Close()
			return nil, err
		}
		r.files[i] = f
	}
	return r, nil
}

// Close closes the files.
func (r *Reader) Close() error {
	var errs []error
	for _, f := range r.files {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// Position is where the reader stands: behind the last record that was yielded.
func (r *Reader) Position() Position { return r.at }

// Seek makes the reader go on at a place that Position gave, of a reader of the same ring.
func (r *Reader) Seek(p Position) { r.at = p }

// Missed is how many records were overwritten before the reader came to them, or found no room on the disk, since
// it was asked last.
func (r *Reader) Missed() uint64 {
	n := r.missed
	r.missed = 0
	return n
}

// Next calls yield for every record that was written since the last call. A record's Text is valid
// during yield only. Records that were overwritten meanwhile are passed over. After an error of yield the reader
// stands behind the record that it was called with.
func (r *Reader) Next(yield func(Record) error) error {
	for _, s := range r.segments() {
		if s.sequence < r.at.Sequence {
			continue
		}
		if s.sequence > r.at.Sequence {
			r.enter(s.segment)
		}
		if err := r.drain(s.file, yield); err != nil {
			return err
		}
	}
	return nil
}

// enter begins with a segment.
func (r *Reader) enter(s segment) {
	if s.counted {
		r.missed += max(s.lines, r.at.Lines) - r.at.Lines
		r.at.Lines = s.lines
	}
	r.at.Sequence, r.at.Offset = s.sequence, s.size
}

type openSegment struct {
	file *os.File
	segment
}

// segments are those with a header, oldest first. An older one is complete, since the sequences were
// read before its records are.
func (r *Reader) segments() []openSegment {
	var out []openSegment
	for _, f := range r.files {
		if s := readHeader(f); s.sequence != 0 {
			out = append(out, openSegment{f, s})
		}
	}
	slices.SortFunc(out, func(a, b openSegment) int { return cmp.Compare(a.sequence, b.sequence) })
	return out
}

func readHeader(f *os.File) segment {
	var b [headerSize]byte
	n, _ := f.ReadAt(b[:], 0)
	return parseHeader(b[:n])
}

const chunk = 2 * (prefixSize + MaxLine) // must hold a whole record

func (r *Reader) drain(f *os.File, yield func(Record) error) error {
	if r.buffer == nil {
		r.buffer = make([]byte, chunk)
	}
	for {
		n, err := f.ReadAt(r.buffer, r.at.Offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if readHeader(f).sequence != r.at.Sequence {
			return nil
		}
		used, err := r.each(r.buffer[:n], yield)
		if used == 0 || err != nil {
			return err
		}
	}
}

func (r *Reader) each(b []byte, yield func(Record) error) (used int, err error) {
	for {
		record, size := cutRecord(b[used:])
		if size == 0 {
			return used, nil
		}
		used += size
		r.at.Offset += int64(size)
		r.at.Lines++
		if err := yield(record); err != nil {
			return used, err
		}
	}
}
