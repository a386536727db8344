package http1

import (
	"errors"
	"os"
	"time"
)

// The loop of a plain connection runs inside the wait for its socket (syscall.RawConn.Read): what the kernel says
// while a request is answered is not forgotten there, so that the next wait begins without a read that would find
// nothing. Nearly all requests are served so:
//
//	wait ─► read ─► parse ─► handler ─► write ─► wait
//
// The socket's lock of readers is held meanwhile: a request with a body, a tunnel, a head that is not there as a
// whole, and whatever else has to read, is left to next, outside.

// await blocks until there is a request to be served outside, and holds no buffer meanwhile. It returns false when
// the connection has ended.
func (c *conn) await() bool {
	err := c.listen()
	if err == nil && c.tls != nil { // it is a byte, and the rest of its record is there
		c.received(heading)
		return c.reader.fill(bufferSize) == nil
	}
	if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || c.aborted.Load() {
		return err == nil
	}
	c.last.Store(true)
	c.poke.Lock() // whoever set the deadline is done with it
	_ = c.net.SetReadDeadline(time.Now().Add(lastLook))
	c.poke.Unlock()
	return c.listen() == nil
}

// lastLook is how long a connection that is about to be closed is looked at once more: what came in that moment is
// served.
const lastLook = time.Millisecond

func (c *conn) listen() error {
	if c.tcp == nil {
		return c.reader.fill(bufferSize)
	}
	c.over = nil
	if err := c.raw.Read(c.pump); err != nil {
		return err
	}
	return c.over
}

// errOver ends a connection in good order.
var errOver = errors.New("the connection has ended")

// pumpOnce is called with a socket that may be readable. It returns false to wait for that.
func (c *conn) pumpOnce(fd uintptr) bool {
	c.fd = fd
	defer func() { c.fd = 0 }()
	for r := c.reader; ; {
		if r.Buffered() == 0 {
			if !r.attempt(fd) {
				return false
			}
			if c.over = r.filled(); c.over != nil {
				return true
			}
		}
		all := r.w < len(r.buf) // nothing was left in the socket
		switch c.serveInside() {
		case leave:
			return true
		case end:
			c.over = errOver
			return true
		}
		// A FIN that came with the bytes is not told of again. Who asks once may wait for our end; who asked
		// twice will be noticed by the sweep.
		if all && r.Buffered() == 0 && c.turn > oneMore {
			return false
		}
	}
}

// What became of a request.
const (
	served = iota
	leave  // to next
	end
)

// serveInside serves the request at the front of the buffer, if it is one that takes no reading.
func (c *conn) serveInside() int {
	x := takeExchange(c)
	defer x.put()
	n, err := x.parse()
	if err != nil || n > c.s.limits.Head || x.head.framing != Empty || x.req.Protocol != nil {
		return leave
	}
	x.open(n)
	if !c.handle(x) {
		return end
	}
	c.advance()
	return served
}

// advance goes on to the next request.
func (c *conn) advance() {
	c.turn += oneMore
	c.in.Store(c.turn | idling)
	if c.s.closed.Load() { // and nobody comes by any more to say so
		c.letGo()
	}
}
