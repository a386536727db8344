package http1

import (
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// watch tells a handler that its client went away. Reading would take the next request's bytes, so the socket is
// asked for its state now and then: soon at first, and less and less often the longer the wait is.
type watch struct {
	guard  sync.Mutex
	gone   chan struct{} // nil until somebody asks
	closed bool
	timer  *time.Timer
	pause  time.Duration
}

const (
	firstAsk = 25 * time.Millisecond
	lastAsk  = time.Second
)

// Gone implements wire.Exchange.
func (x *exchange) Gone() <-chan struct{} {
	x.guard.Lock()
	defer x.guard.Unlock()
	if x.gone != nil {
		return x.gone
	}
	x.gone = make(chan struct{})
	if x.c.aborted.Load() {
		x.closed = true
		close(x.gone)
		return x.gone
	}
	if c, gone := x.c, x.gone; c.raw != nil {
		x.pause = firstAsk
		x.timer = time.AfterFunc(x.pause, func() { x.askAgain(c, gone) })
	}
	return x.gone
}

// askAgain belongs to the exchange that made gone: by the time it runs there may be another.
func (x *exchange) askAgain(c *conn, gone chan struct{}) {
	x.guard.Lock()
	defer x.guard.Unlock()
	if x.gone != gone || x.closed {
		return
	}
	if c.aborted.Load() || hasLeft(c.raw) {
		x.closed = true
		close(x.gone)
		return
	}
	x.pause = min(2*x.pause, lastAsk)
	x.timer.Reset(x.pause)
}

// States of a TCP socket in which its peer has ended the stream, or reset it (include/net/tcp_states.h).
const (
	tcpClose     = 7
	tcpCloseWait = 8
	tcpLastAck   = 9
	tcpClosing   = 11
)

// hasLeft asks for the first bytes of struct tcp_info: the state, and three more. It does not block, whoever reads.
func hasLeft(raw syscall.RawConn) bool {
	state, failed := 0, error(nil)
	err := raw.Control(func(fd uintptr) { state, failed = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	if err != nil || failed != nil {
		return err != nil // closed; what is no TCP has no state
	}
	switch uint8(state) { //nolint:gosec // the first byte, on the little-endian machines there are
	case tcpClose, tcpCloseWait, tcpLastAck, tcpClosing:
		return true
	}
	return false
}

// lost closes what Gone returned.
func (x *exchange) lost() {
	x.guard.Lock()
	defer x.guard.Unlock()
	if x.gone != nil && !x.closed {
		x.closed = true
		close(x.gone)
	}
}

// unwatch forgets what Gone returned.
func (x *exchange) unwatch() {
	if x.gone == nil { // the handler has returned: nobody asks any more
		return
	}
	x.guard.Lock()
	defer x.guard.Unlock()
	if x.timer != nil {
		x.timer.Stop()
	}
	x.gone, x.timer, x.closed = nil, nil, false
}
