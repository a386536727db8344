package ports

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Bytes are read and written as they come, which is the cheapest for small messages. When a read has filled the
// buffer there is more, and the kernel moves the next part by itself (splice(2)), which is the cheapest for much.
const (
	pieceSize  = 16 << 10
	spliceSize = 1 << 20
)

// relay passes bytes on in both directions until both have ended, one has failed, or nothing has moved for so long.
func relay(a, b *net.TCPConn, patience time.Duration) {
	r := &moved{patience: patience}
	r.touch()
	var wg sync.WaitGroup
	for _, way := range [][2]*net.TCPConn{{a, b}, {b, a}} {
		wg.Go(func() {
			if err := r.pass(way[1], way[0]); err != nil {
				_ = a.Close()
				_ = b.Close()
				return
			}
			_ = way[1].CloseWrite() // the other direction may go on
		})
	}
	wg.Wait()
}

// moved notes when the connection last moved something, either way.
type moved struct {
	patience time.Duration
	last     atomic.Int64 // unix nanoseconds
}

func (m *moved) touch() { m.last.Store(time.Now().UnixNano()) }

// left is how long the connection may stay silent from now on.
func (m *moved) left() time.Duration {
	return m.patience - time.Since(time.Unix(0, m.last.Load()))
}

var pieces = sync.Pool{New: func() any { return new([pieceSize]byte) }}

// pass copies one direction to its end.
func (m *moved) pass(to, from *net.TCPConn) error {
	raw, err := from.SyscallConn()
	if err != nil {
		return err
	}
	for {
		n, err := m.piece(to, from, raw)
		if err == nil && n == pieceSize {
			err = m.bulk(to, from)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded) && m.left() > 0: // the other direction moves
		case err != nil:
			return err
		}
	}
}

// piece copies what is there. While nothing is, no buffer is held.
func (m *moved) piece(to, from *net.TCPConn, raw syscall.RawConn) (n int, err error) {
	if err := from.SetReadDeadline(time.Now().Add(max(m.left(), time.Millisecond))); err != nil {
		return 0, err
	}
	var buffer *[pieceSize]byte
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		buffer = pieces.Get().(*[pieceSize]byte)
		n, failed = unix.Read(int(fd), buffer[:])
		if errors.Is(failed, unix.EAGAIN) || errors.Is(failed, unix.EINTR) {
			pieces.Put(buffer)
			return false
		}
		return true
	})
	if err != nil {
		return 0, err
	}
	defer pieces.Put(buffer)
	switch {
	case failed != nil:
		return 0, failed
	case n == 0:
		return 0, io.EOF
	}
	m.touch()
	return n, m.write(to, buffer[:n])
}

func (m *moved) write(to *net.TCPConn, p []byte) error {
	if err := to.SetWriteDeadline(time.Now().Add(m.patience)); err != nil {
		return err
	}
	_, err := to.Write(p)
	m.touch()
	return err
}

// bulk has the kernel move what comes next.
func (m *moved) bulk(to, from *net.TCPConn) error {
	until := time.Now().Add(m.patience)
	if err := errors.Join(from.SetReadDeadline(until), to.SetWriteDeadline(until)); err != nil {
		return err
	}
	n, err := io.CopyN(to, from, spliceSize)
	if n > 0 {
		m.touch()
	}
	return err
}
