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

// Reader reads a ring from its oldest record on, also while it is written.
type Reader struct {
	files    [2]*os.File
	sequence uint64 // of the segment the reader stands in, 0 before the first
	offset   int64
	buffer   []byte
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

// Next calls yield for every record that was written since the last call. A record's Text is valid
// during yield only. Records that were overwritten meanwhile are passed over.
func (r *Reader) Next(yield func(Record) error) error {
	for _, s := range r.segments() {
		if s.sequence < r.sequence {
			continue
		}
		if s.sequence > r.sequence {
			r.sequence, r.offset = s.sequence, headerSize
		}
		if err := r.drain(s.file, yield); err != nil {
			return err
		}
	}
	return nil
}

type segment struct {
	file     *os.File
	sequence uint64
}

// segments are those with a header, oldest first. An older one is complete, since the sequences were
// read before its records are.
func (r *Reader) segments() []segment {
	var out []segment
	for _, f := range r.files {
		if s := readSequence(f); s != 0 {
			out = append(out, segment{f, s})
		}
	}
	slices.SortFunc(out, func(a, b segment) int { return cmp.Compare(a.sequence, b.sequence) })
	return out
}

func readSequence(f *os.File) uint64 {
	b := make([]byte, headerSize)
	n, _ := f.ReadAt(b, 0)
	return sequenceOf(b[:n])
}

const chunk = 2 * (prefixSize + MaxLine) // must hold a whole record

func (r *Reader) drain(f *os.File, yield func(Record) error) error {
	if r.buffer == nil {
		r.buffer = make([]byte, chunk)
	}
	for {
		n, err := f.ReadAt(r.buffer, r.offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if readSequence(f) != r.sequence {
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
		r.offset += int64(size)
		if err := yield(record); err != nil {
			return used, err
		}
	}
}
