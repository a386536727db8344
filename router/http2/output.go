package http2

import (
	"errors"
	"runtime"
	"sync"
)

const (
	// flushAt is where an answer's frames go out without being asked to, and where its writer waits for them.
	flushAt = 64 << 10
	// controlMost is where a client that does not take our answers to its frames is not read any more.
	controlMost = 256 << 10
	// keptOutput is the largest buffer that is kept for the next one.
	keptOutput = 128 << 10
)

var errGone = errors.New("http2: the connection is closed")

// output is the frames on their way. Everybody appends, whoever flushes first writes for all.
type output struct {
	buf     []byte
	round   uint64 // counts writes: a frame appended in this round can still be changed
	writing bool   // somebody writes, or is about to
	urgent  bool   // the reader appended something
	room    gate   // a write was done
}

// outputs is process-wide, as the memory is.
var outputs = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

func (o *output) start() []byte {
	if o.buf == nil {
		o.buf = *outputs.Get().(*[]byte)
	}
	return o.buf
}

func (o *output) add(frame []byte) { o.buf = append(o.start(), frame...) }

// flush writes what is there, unless somebody is at it already. The lock is held, and let go of meanwhile. With
// other requests at work it lets them come first, so that their answers leave in the same write.
func (c *conn) flush() {
	if c.out.writing || len(c.out.buf) == 0 || c.err != nil {
		return
	}
	c.out.writing = true
	if c.running > 1 && len(c.out.buf) < flushAt {
		c.mu.Unlock()
		runtime.Gosched()
		c.mu.Lock()
	}
	c.writeRound()
	// A handler writes once: what came meanwhile must not hold it back.
	if len(c.out.buf) > 0 && c.err == nil {
		go c.writeOn()
		return
	}
	c.written()
}

// kick lets another goroutine flush. The lock is held.
func (c *conn) kick() {
	if c.out.writing || len(c.out.buf) == 0 || c.err != nil {
		return
	}
	c.out.writing = true
	go c.writeOn()
}

func (c *conn) writeOn() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.out.buf) > 0 && c.err == nil {
		c.writeRound()
	}
	c.written()
}

// written ends the writing. The lock is held.
func (c *conn) written() {
	if c.leaving == closed && c.err == nil {
		c.hangUp()
	}
	c.out.writing = false
	c.quiet.open()
}

// writeRound writes all there is. The lock is held, and let go of meanwhile.
func (c *conn) writeRound() {
	buf := c.out.buf
	c.out.buf = nil
	c.out.round++
	c.mu.Unlock()
	_, err := c.nc.Write(buf)
	if cap(buf) <= keptOutput {
		buf = buf[:0]
		outputs.Put(&buf)
	}
	c.mu.Lock()
	if err != nil {
		c.fail(err)
		_ = c.nc.Close()
	}
	c.out.room.open()
}
