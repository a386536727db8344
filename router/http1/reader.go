package http1

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

const (
	bufferSize = 8 << 10 // bytes; a head and a first piece of body
	leastRoom  = 256     // bytes of a buffer that are worth a system call
)

// buffers are shared by all connections: one that waits for its peer holds none.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// errLong is a head or line that does not fit its limit.
var errLong = errors.New("too long")

// Reader reads from a connection ahead of what was asked for. While nothing is buffered it holds no memory: on a
// socket the buffer is taken after the kernel says that there is something to read. A head that was read stays
// where it is until Release. It belongs to one goroutine.
type Reader struct {
	conn io.Reader
	raw  syscall.RawConn    // nil where the connection is no socket
	try  func(uintptr) bool // one read without blocking, into the room
	buf  []byte             // nil, or keep <= r <= w <= len(buf)
	r, w int
	keep int // the head that is in use ends here
	n    int // what try read
	err  error
	one  [1]byte
	own  *[bufferSize]byte // buf's memory, when it is from the pool
	asks []byte            // what Ask has still to write
	ask  func(uintptr) bool
}

// NewReader makes a reader of a connection. Where c has SyscallConn, bytes are read by the kernel's descriptor: a
// wrapper that holds bytes back must not have it.
func NewReader(c net.Conn) *Reader {
	if s, ok := c.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			return newReader(c, raw)
		}
	}
	return newReader(c, nil)
}

func newReader(c io.Reader, raw syscall.RawConn) *Reader {
	r := &Reader{conn: c, raw: raw}
	if raw != nil {
		r.try = r.attempt
	}
	return r
}

// Buffered is how many bytes can be read without asking the connection.
func (r *Reader) Buffered() int { return r.w - r.r }

// Peek is what is buffered. It is valid until the next call.
func (r *Reader) Peek() []byte { return r.buf[r.r:r.w] }

// Skip passes over n buffered bytes.
func (r *Reader) Skip(n int) { r.r += n }

// Read implements io.Reader. It does not buffer.
func (r *Reader) Read(p []byte) (int, error) {
	if r.r < r.w {
		n := copy(p, r.buf[r.r:r.w])
		r.r += n
		return n, nil
	}
	return r.conn.Read(p)
}

// Release gives up the head that was read, and the memory if nothing is buffered.
func (r *Reader) Release() {
	r.keep = 0
	if r.r == r.w {
		r.drop()
	}
}

// hold keeps the n bytes that are next in line, a head, and passes over them.
func (r *Reader) hold(n int) {
	r.r += n
	r.keep = r.r
}

// detach leaves the head that was read to whoever holds it, and to the garbage collector then.
func (r *Reader) detach() {
	waiting := r.Peek()
	r.own, r.buf, r.r, r.w, r.keep = nil, nil, 0, 0, 0
	if len(waiting) > 0 {
		r.buf = append(make([]byte, 0, bufferSize), waiting...)
		r.w, r.buf = len(waiting), r.buf[:cap(r.buf)]
	}
}

func (r *Reader) drop() {
	if r.own != nil {
		buffers.Put(r.own)
	}
	r.own, r.buf, r.r, r.w = nil, nil, 0, 0
}

func (r *Reader) take() {
	r.own, _ = buffers.Get().(*[bufferSize]byte)
	r.buf, r.r, r.w = r.own[:], 0, 0
}

// fill blocks until there is at least a byte more than before. max is how many may be buffered; beyond it the
// error is errLong.
func (r *Reader) fill(max int) error {
	if r.r == r.w && r.buf != nil {
		r.r, r.w = r.keep, r.keep
	}
	if r.w-r.r >= max {
		return errLong
	}
	if r.buf != nil && len(r.buf)-r.w < leastRoom {
		r.widen()
	}
	if r.raw != nil {
		return r.wait()
	}
	return r.block()
}

// widen makes room. A head in use stays valid in the old memory, which is left to the garbage collector then.
func (r *Reader) widen() {
	waiting := r.buf[r.r:r.w]
	if r.r-r.keep >= leastRoom { // there is room before them
		r.r, r.w = r.keep, r.keep+copy(r.buf[r.keep:], waiting)
		return
	}
	size := bufferSize
	for size < 2*len(waiting) {
		size *= 2
	}
	old, own := r.buf, r.own
	r.buf, r.own = make([]byte, size), nil
	r.r, r.w = 0, copy(r.buf, old[r.r:r.w])
	if r.keep == 0 && own != nil {
		buffers.Put(own)
	}
	r.keep = 0
}

// wait reads from a socket.
func (r *Reader) wait() error {
	r.n, r.err = 0, nil
	if err := r.raw.Read(r.try); err != nil {
		return err
	}
	return r.filled()
}

func (r *Reader) attempt(fd uintptr) bool {
	if r.buf == nil {
		r.take()
	}
	for {
		r.n, r.err = readNow(fd, r.buf[r.w:])
		if r.err != syscall.EINTR {
			break
		}
	}
	if r.err != syscall.EAGAIN {
		return true
	}
	if r.keep == 0 && r.r == r.w {
		r.drop()
	}
	return false
}

// block reads from what is no socket: TLS. Its first byte goes to a place of its own, so that no buffer is held
// until it has come; the rest of its record is in memory then.
func (r *Reader) block() error {
	if r.buf != nil {
		r.n, r.err = r.conn.Read(r.buf[r.w:])
		return r.filled()
	}
	n, err := r.conn.Read(r.one[:])
	if n == 0 {
		r.n, r.err = 0, err
		return r.filled()
	}
	r.take()
	r.buf[0] = r.one[0]
	r.n, r.err = 1, err
	return r.filled()
}

// Ask writes b, a whole request, and waits for the first bytes of its answer, which are buffered then. On a socket
// the wait begins before b leaves, so that no read comes too early and finds nothing. The error is the connection's,
// or one of its deadline of reads, with which b has left all the same. Nothing may be buffered, and nobody else may
// write.
func (r *Reader) Ask(b []byte) error {
	if r.raw == nil {
		return r.tell(b)
	}
	if r.ask == nil {
		r.ask = r.askOnce
	}
	r.asks, r.n, r.err = b, 0, nil
	err := r.raw.Read(r.ask)
	if b, r.asks = r.asks, nil; err != nil {
		if len(b) == 0 {
			return err
		}
		if wrote := r.tell(b); wrote != nil { // the deadline had passed before anything could leave
			return wrote
		}
		return err
	}
	if len(b) > 0 && r.err == nil { // the socket's buffer is full
		return r.tell(b)
	}
	return r.filled()
}

func (r *Reader) askOnce(fd uintptr) bool {
	if len(r.asks) == 0 {
		return r.attempt(fd)
	}
	n, err := writeNow(fd, r.asks)
	for err == syscall.EINTR {
		n, err = writeNow(fd, r.asks)
	}
	if err != nil && err != syscall.EAGAIN {
		r.err = err
		return true
	}
	r.asks = r.asks[max(n, 0):]
	return len(r.asks) > 0
}

// tell only writes; the answer is waited for by who reads.
func (r *Reader) tell(b []byte) error {
	w, ok := r.conn.(io.Writer)
	if !ok {
		return syscall.EBADF
	}
	_, err := w.Write(b)
	return err
}

func (r *Reader) filled() error {
	if r.n > 0 {
		r.w += r.n
		return nil
	}
	if r.err == nil {
		return io.EOF
	}
	if errno, ok := r.err.(syscall.Errno); ok { // as package net says it
		return &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", errno)}
	}
	return r.err
}

// line is the next line without its end, which is CRLF. It is passed over, and valid until the next call.
func (r *Reader) line(max int) ([]byte, error) {
	for from := 0; ; {
		i := bytes.IndexByte(r.buf[r.r+from:r.w], '\n')
		if i >= 0 {
			if from+i >= max {
				return nil, errLong
			}
			line := r.buf[r.r : r.r+from+i]
			r.r += from + i + 1
			return cutCR(line)
		}
		from = r.w - r.r
		if err := r.fill(max); err != nil {
			return nil, unexpected(err)
		}
	}
}

// WriteTo implements io.WriterTo: it copies until the end, and holds a buffer only while there is something to
// copy.
func (r *Reader) WriteTo(to io.Writer) (int64, error) {
	if r.raw != nil {
		return r.pour(to)
	}
	sum := int64(0)
	for {
		n, err := r.flushTo(to)
		if sum += n; err != nil {
			return sum, err
		}
		if err := r.fill(bufferSize); err != nil {
			return sum, notEOF(err)
		}
	}
}

// flushTo writes what is buffered.
func (r *Reader) flushTo(to io.Writer) (sum int64, err error) {
	if r.r < r.w {
		var n int
		n, err = to.Write(r.buf[r.r:r.w])
		sum, r.r = int64(n), r.r+n
	}
	r.Release()
	return sum, err
}

func notEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// pour is WriteTo on a socket, in one wait for all.
func (r *Reader) pour(to io.Writer) (int64, error) {
	sum, fault := r.flushTo(to)
	if fault != nil {
		return sum, fault
	}
	err := r.raw.Read(func(fd uintptr) bool {
		for r.attempt(fd) { // until there is nothing: an end that came with the last bytes is told only once
			if fault = r.filled(); fault != nil {
				return true
			}
			n, err := r.flushTo(to)
			if sum, fault = sum+n, err; fault != nil {
				return true
			}
		}
		return false
	})
	if fault != nil {
		err = notEOF(fault)
	}
	return sum, err
}
