package http2

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"time"
)

const (
	// smallInput is what a connection reads with as long as nothing longer comes: some twenty requests of a
	// browser that repeats itself. It is all an idle connection holds.
	smallInput = 1 << 10
	// largeInput takes one whole frame of the largest size, and most of a second one.
	largeInput = 32 << 10
)

// input reads frames out of a connection. It belongs to the reader.
type input struct {
	conn  net.Conn
	buf   []byte // small, or one of the pool
	r, w  int
	begun time.Duration // how long a frame, a head or the preface may take
	stall time.Duration // and a frame of a body
	armed bool          // a deadline is set
	open  bool          // a head is not complete: its deadline stays
	large *[largeInput]byte
	small [smallInput]byte
}

// inputs is process-wide, as the memory is.
var inputs = sync.Pool{New: func() any { return new([largeInput]byte) }}

// next reads a frame. It blocks; the frame is valid until the next call.
func (in *input) next() (frame, error) {
	if err := in.fill(frameHead, 0); err != nil {
		return frame{}, err
	}
	h := in.buf[in.r:]
	size := sizeOf(h)
	f := frame{kind: h[3], flags: h[4], id: binary.BigEndian.Uint32(h[5:]) & maxWindow}
	if size > frameSize {
		return f, connError{codeSize, "frame is larger than SETTINGS_MAX_FRAME_SIZE"}
	}
	if err := in.fill(frameHead+size, f.kind); err != nil {
		return f, err
	}
	f.payload = in.buf[in.r+frameHead : in.r+frameHead+size]
	in.r += frameHead + size
	return f, in.disarm()
}

// more tells whether a whole frame is there already, so that reading it does not block.
func (in *input) more() bool {
	have := in.buf[in.r:in.w]
	return len(have) >= frameHead && len(have) >= frameHead+sizeOf(have)
}

// fill reads until n bytes are there.
func (in *input) fill(n int, kind byte) error {
	if in.w-in.r >= n {
		return nil
	}
	in.pack(n)
	for in.w < n {
		if err := in.arm(kind); err != nil {
			return err
		}
		got, err := in.conn.Read(in.buf[in.w:])
		in.w += got
		if err != nil && in.w < n {
			return in.short(err)
		}
		if in.w == smallInput && in.large == nil {
			in.grow()
		}
	}
	return nil
}

// pack moves what is there to the front of the buffer that n bytes fit into, and gives the large one back as soon
// as it is empty: the next read may be a long wait. Under TLS reading again costs no system call.
func (in *input) pack(n int) {
	if in.r == in.w && in.large != nil {
		inputs.Put(in.large)
		in.large, in.buf, in.r, in.w = nil, in.small[:], 0, 0
	}
	copy(in.buf, in.buf[in.r:in.w])
	in.r, in.w = 0, in.w-in.r
	if n > len(in.buf) {
		in.grow()
	}
}

func (in *input) grow() {
	if in.large != nil {
		return
	}
	in.large, _ = inputs.Get().(*[largeInput]byte)
	copy(in.large[:], in.buf[in.r:in.w])
	in.buf, in.r, in.w = in.large[:], 0, in.w-in.r
}

// release gives the buffer back at the end.
func (in *input) release() {
	if in.large != nil {
		inputs.Put(in.large)
	}
	in.large, in.buf, in.r, in.w = nil, in.small[:], 0, 0
}

// arm limits the wait for the rest of what has begun. Between frames there is no limit but the keeper's.
func (in *input) arm(kind byte) error {
	if in.armed || in.w == in.r {
		return nil
	}
	limit := in.begun
	if kind == frameData && in.w-in.r >= frameHead {
		limit = max(in.begun, in.stall)
	}
	in.armed = true
	return in.conn.SetReadDeadline(time.Now().Add(limit))
}

// hold keeps a deadline over the frames of one head.
func (in *input) hold(open bool) error {
	in.open = open
	if !open {
		return in.disarm()
	}
	if in.armed {
		return nil
	}
	in.armed = true
	return in.conn.SetReadDeadline(time.Now().Add(in.begun))
}

func (in *input) disarm() error {
	if !in.armed || in.open {
		return nil
	}
	in.armed = false
	return in.conn.SetReadDeadline(time.Time{})
}

// short tells an end between frames from one within.
func (in *input) short(err error) error {
	if err == io.EOF && (in.w > in.r || in.open) {
		return io.ErrUnexpectedEOF
	}
	return err
}
