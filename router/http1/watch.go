package http1

import (
	"errors"
	"io"
	"sync"

	"golang.org/x/sys/unix"
)

// watch tells a handler that its client went away. Reading would take the next request's bytes, so the socket is
// waited on and its state asked for: netpoll wakes us for every packet, and for a FIN.
type watch struct {
	guard   sync.Mutex
	gone    chan struct{} // nil until somebody asks
	closed  bool
	stopped chan struct{} // a goroutine is watching until this is closed
}

// Gone implements wire.Exchange. It is not closed while a body is being read: then Read tells.
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
	x.startWatch()
	return x.gone
}

// startWatch needs guard.
func (x *exchange) startWatch() {
	if x.c.raw == nil || x.closed || x.stopped != nil || x.tunnelled {
		return
	}
	stopped := make(chan struct{})
	x.stopped = stopped
	raw := x.c.raw
	go func() {
		defer close(stopped)
		left := false
		err := raw.Read(func(fd uintptr) bool {
			left = hasLeft(int(fd))
			return left
		})
		if left && err == nil {
			x.lost()
		}
	}()
}

// States of a TCP socket in which its peer has ended the stream, or reset it (include/net/tcp_states.h).
const (
	tcpClose     = 7
	tcpCloseWait = 8
	tcpLastAck   = 9
	tcpClosing   = 11
)

// hasLeft asks for the first bytes of struct tcp_info: the state, and three more.
func hasLeft(fd int) bool {
	n, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return true
	}
	switch uint8(n) { //nolint:gosec // the first byte, on the little-endian machines there are
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

// stopWatch ends the goroutine, and waits for it: the socket is somebody else's to read afterwards.
func (x *exchange) stopWatch() {
	x.guard.Lock()
	stopped := x.stopped
	x.guard.Unlock()
	if stopped == nil {
		return
	}
	_ = x.c.net.SetReadDeadline(longAgo)
	<-stopped
	x.c.mayRead()
	x.guard.Lock()
	x.stopped = nil
	x.guard.Unlock()
}

// pauseWatch and resumeWatch keep the watch and the reader of the body apart: the socket has one of them at a time.
func (x *exchange) pauseWatch() { x.stopWatch() }

func (x *exchange) resumeWatch(err error) {
	if !errors.Is(err, io.EOF) {
		x.lost()
		return
	}
	x.guard.Lock()
	defer x.guard.Unlock()
	if x.gone != nil {
		x.startWatch()
	}
}
