package image

import (
	"bytes"
	"errors"
	"io"
	"os"
)

const (
	copyBytes  = 256 << 10
	blockBytes = 4 << 10 // what file systems allocate at least
)

// copyContent writes a regular file's content and leaves blocks of zeros out: what was a hole in an
// archive's sparse file (its reader gives zeros there) is one again, and never takes room.
func (x *extraction) copyContent(f *os.File, content io.Reader) error {
	var at int64
	for {
		n, err := io.ReadFull(content, x.buf)
		if err := x.writeBlocks(f, x.buf[:n], at); err != nil {
			return err
		}
		at += int64(n)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return f.Truncate(at) // the last block may be a hole
		}
		if err != nil {
			return err
		}
	}
}

// writeBlocks writes the runs of blocks that hold anything but zeros. at is the place of data in f, a
// multiple of blockBytes.
func (x *extraction) writeBlocks(f *os.File, data []byte, at int64) error {
	for len(data) > 0 {
		hole := zeroBlocks(data)
		data, at = data[hole:], at+int64(hole)
		run := dataBlocks(data)
		if _, err := f.WriteAt(data[:run], at); err != nil {
			return err
		}
		if err := x.wrote(run); err != nil {
			return err
		}
		data, at = data[run:], at+int64(run)
	}
	return nil
}

// zeroBlocks is how many bytes of whole blocks of zeros data begins with.
func zeroBlocks(data []byte) (n int) {
	for len(data)-n >= blockBytes && isZero(data[n:n+blockBytes]) {
		n += blockBytes
	}
	return n
}

// dataBlocks is how many bytes come before the next whole block of zeros.
func dataBlocks(data []byte) (n int) {
	for len(data)-n >= blockBytes && !isZero(data[n:n+blockBytes]) {
		n += blockBytes
	}
	if len(data)-n < blockBytes {
		return len(data)
	}
	return n
}

// isZero compares the block with itself, a byte shifted: that runs at the speed of memory.
func isZero(block []byte) bool {
	return block[0] == 0 && bytes.Equal(block[1:], block[:len(block)-1])
}
