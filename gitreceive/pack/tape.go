package pack

import (
	"bufio"
	"crypto/sha1"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
)

// tape reads a pack's stream byte by byte for the inflater, which must not read beyond its object, and
// hands everything that was read to the file, the pack's checksum and the entry's CRC in big pieces.
type tape struct {
	in     io.Reader
	out    *bufio.Writer
	sum    hash.Hash
	limit  int64
	buf    []byte
	pos    int   // next byte to read
	end    int   // end of what the buffer holds
	marked int   // everything before was handed on
	start  int64 // offset of buf[0] in the stream
	crc    uint32
}

func newTape(in io.Reader, out io.Writer, limit int64) *tape {
	return &tape{in: in, out: bufio.NewWriterSize(out, 256<<10), sum: sha1.New(), limit: limit, buf: make([]byte, 64<<10)}
}

// offset is where in the stream the next byte lies.
func (t *tape) offset() int64 { return t.start + int64(t.pos) }

func (t *tape) ReadByte() (byte, error) {
	if t.pos == t.end {
		if err := t.fill(); err != nil {
			return 0, err
		}
	}
	t.pos++
	return t.buf[t.pos-1], nil
}

func (t *tape) Read(p []byte) (int, error) {
	if t.pos == t.end {
		if err := t.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, t.buf[t.pos:t.end])
	t.pos += n
	return n, nil
}

// fill reads more once the buffer is used up.
func (t *tape) fill() error {
	if err := t.handOn(); err != nil {
		return err
	}
	t.start += int64(t.pos)
	t.pos, t.end, t.marked = 0, 0, 0
	if t.start > t.limit {
		return &LimitError{Reason: fmt.Sprintf("the pack is bigger than %s", size(t.limit)), Whole: true}
	}
	n, err := t.in.Read(t.buf)
	t.end = n
	if n > 0 {
		return nil
	}
	if err == nil {
		return io.ErrNoProgress
	}
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF // a pack says how many objects it has, so its end is never a surprise
	}
	return err
}

// handOn gives what was read since the last call to the file, the checksum and the CRC.
func (t *tape) handOn() error {
	p := t.buf[t.marked:t.pos]
	t.marked = t.pos
	t.crc = crc32.Update(t.crc, crc32.IEEETable, p)
	_, _ = t.sum.Write(p) // never fails (hash.Hash)
	_, err := t.out.Write(p)
	return err
}

// entryCRC ends an entry: it returns the CRC of its bytes and starts the next.
func (t *tape) entryCRC() (uint32, error) {
	err := t.handOn()
	crc := t.crc
	t.crc = 0
	return crc, err
}

// trailer reads the pack's checksum, compares it, and flushes the file.
func (t *tape) trailer() (sum ID, err error) {
	if err := t.handOn(); err != nil {
		return sum, err
	}
	want := ID(t.sum.Sum(nil))
	if _, err := io.ReadFull(t, sum[:]); err != nil {
		return sum, err
	}
	if sum != want {
		return sum, broken("the pack's checksum is wrong")
	}
	if err := t.handOn(); err != nil {
		return sum, err
	}
	return sum, t.out.Flush()
}

// size prints bytes as people read them.
func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.4g GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.4g MiB", float64(n)/(1<<20))
	default:
		return fmt.Sprintf("%d bytes", n)
	}
}
