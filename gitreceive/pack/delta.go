package pack

import (
	"io"
)

// base is what a delta's copies come from.
type base interface {
	io.ReaderAt
	length() int64
}

func (p *slot) length() int64 { return p.size }

// patch is a delta whose sizes were read (gitformat-pack(5), "Deltified representation").
type patch struct {
	in   byteReader
	from int64 // the base's size
	to   int64 // the result's
	buf  []byte
}

func readPatch(in byteReader, buf []byte) (p patch, err error) {
	p = patch{in: in, buf: buf}
	if p.from, err = readSize(in); err != nil {
		return p, err
	}
	p.to, err = readSize(in)
	return p, err
}

// readSize reads a little-endian number in groups of seven bits.
func readSize(in io.ByteReader) (n int64, err error) {
	for shift := 0; ; shift += 7 {
		b, err := in.ReadByte()
		if err != nil {
			return 0, err
		}
		if shift > 55 {
			return 0, broken("a delta's size does not fit")
		}
		n |= int64(b&0x7f) << shift
		if b&0x80 == 0 {
			return n, nil
		}
	}
}

// apply writes the result to out.
func (p patch) apply(from base, out io.Writer) error {
	if from.length() != p.from {
		return broken("a delta does not fit its base")
	}
	left := p.to
	for left > 0 {
		op, err := p.in.ReadByte()
		if err != nil {
			return err
		}
		n, err := p.step(op, from, out, left)
		if err != nil {
			return err
		}
		left -= n
	}
	if _, err := p.in.ReadByte(); err != io.EOF {
		return broken("a delta goes on behind its end")
	}
	return nil
}

// step carries out one instruction, which may make at most left bytes, and returns how many it made.
func (p patch) step(op byte, from base, out io.Writer, left int64) (int64, error) {
	if op == 0 {
		return 0, broken("a delta has an unknown instruction")
	}
	in, n := io.Reader(p.in), int64(op)
	if op&0x80 != 0 {
		off, count, err := p.place(op)
		if err != nil {
			return 0, err
		}
		if off+count > p.from {
			return 0, broken("a delta copies from behind its base's end")
		}
		in, n = io.NewSectionReader(from, off, count), count
	}
	if n > left {
		return 0, broken("a delta makes more than it claims")
	}
	made, err := io.CopyBuffer(onlyWriter{out}, onlyReader{io.LimitReader(in, n)}, p.buf)
	if err == nil && made != n {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// onlyReader hides WriteTo, which would bring a buffer of its own.
type onlyReader struct{ io.Reader }

// place reads what a copy instruction copies: the bits of op say which bytes of offset and count follow.
func (p patch) place(op byte) (off, count int64, err error) {
	for i := range 7 {
		if op&(1<<i) == 0 {
			continue
		}
		b, err := p.in.ReadByte()
		if err != nil {
			return 0, 0, err
		}
		if i < 4 {
			off |= int64(b) << (8 * i)
		} else {
			count |= int64(b) << (8 * (i - 4))
		}
	}
	if count == 0 {
		count = 0x10000
	}
	return off, count, nil
}
