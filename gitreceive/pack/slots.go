package pack

import (
	"bufio"
	"fmt"
	"io"
	"os"
)

// slots keeps the objects that wait while deltas are applied to them: small ones in memory up to the
// budget, the others one behind the other in a file without a name. Objects are given back in the
// opposite order of how they were taken, as a walk along delta chains does.
type slots struct {
	dir    string
	budget int64
	used   int64 // bytes in memory
	file   *os.File
	top    int64 // bytes in the file
}

// slot is the place of one object. Write it whole, then read it.
type slot struct {
	size   int64
	memory []byte        // what is written so far, if it is in memory
	writer *bufio.Writer // to the file, if it is there
	at     int64         // where in the file
	file   *os.File
}

func (s *slots) take(size int64) (*slot, error) {
	if size <= smallObject && s.used+size <= s.budget {
		s.used += size
		return &slot{size: size, memory: make([]byte, 0, size)}, nil
	}
	if s.top+size > spillLimit {
		return nil, &LimitError{Reason: "the pack's deltas grow too big"}
	}
	if err := s.open(); err != nil {
		return nil, err
	}
	at := s.top
	s.top += size
	w := io.NewOffsetWriter(s.file, at)
	return &slot{size: size, at: at, file: s.file, writer: bufio.NewWriterSize(w, 64<<10)}, nil
}

// none is the slot of an object that nothing waits for.
func (s *slots) none() *slot { return &slot{} }

// open makes the file on first use. It has no name from the start on, so a crash leaves nothing.
func (s *slots) open() error {
	if s.file != nil {
		return nil
	}
	f, err := os.CreateTemp(s.dir, "waiting-")
	if err != nil {
		return fmt.Errorf("make room for deltas: %w", err)
	}
	s.file = f
	return os.Remove(f.Name())
}

// give returns the slot that was taken last.
func (s *slots) give(p *slot) {
	if p.file == nil {
		s.used -= p.size
		return
	}
	s.top = p.at
}

func (s *slots) close() {
	if s.file != nil {
		_ = s.file.Close()
	}
}

func (p *slot) Write(b []byte) (int, error) {
	if p.file != nil {
		return p.writer.Write(b)
	}
	p.memory = append(p.memory, b...)
	return len(b), nil
}

// written ends the writing.
func (p *slot) written() error {
	if p.file == nil {
		return nil
	}
	err := p.writer.Flush()
	p.writer = nil
	return err
}

func (p *slot) ReadAt(b []byte, off int64) (int, error) {
	if p.file != nil {
		return p.file.ReadAt(b, p.at+off)
	}
	if off >= int64(len(p.memory)) {
		return 0, io.EOF
	}
	n := copy(b, p.memory[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}
