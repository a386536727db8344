package sockets

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Listener takes connections from a socket that others may have open too. Closing it leaves the socket, and
// with it the connections that wait there, to them. While it is paused, Accept blocks and the kernel queues.
type Listener struct {
	file *os.File // the set's
	addr net.Addr

	mu     sync.Mutex
	view   net.Listener  // nil while paused
	change chan struct{} // closed when view or closed change
	closed bool
}

func newListener(f *os.File) (*Listener, error) {
	l := &Listener{file: f, change: make(chan struct{})}
	if err := l.Resume(); err != nil {
		return nil, err
	}
	l.addr = l.view.Addr()
	return l, nil
}

// silence is how long a connection whose client says nothing is held back, in seconds.
const silence = 1

// HoldBack asks the kernel to give us connections when their clients have said something, for protocols in which
// they speak first: reading does not wait then. One that stays silent comes after a second (tcp(7),
// TCP_DEFER_ACCEPT). It holds for the socket, whoever has it.
func (l *Listener) HoldBack() error {
	raw, err := l.file.SyscallConn()
	if err != nil {
		return fmt.Errorf("hold back on %s: %w", l.file.Name(), err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, silence)
	})
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("hold back on %s: %w", l.file.Name(), err)
	}
	return nil
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		view, change, closed := l.now()
		if closed {
			return nil, net.ErrClosed
		}
		if view == nil {
			<-change
			continue
		}
		c, err := view.Accept()
		if !errors.Is(err, net.ErrClosed) {
			return c, err
		}
	}
}

func (l *Listener) now() (net.Listener, <-chan struct{}, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.view, l.change, l.closed
}

// Pause takes no more connections until Resume. A connection that Accept has taken already is returned.
func (l *Listener) Pause() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.view == nil {
		return
	}
	_ = l.view.Close() // of this view; the file holds the socket
	l.view = nil
	l.changed()
}

// Resume undoes Pause.
func (l *Listener) Resume() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.view != nil || l.closed {
		return nil
	}
	view, err := net.FileListener(l.file)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", l.file.Name(), err)
	}
	l.view = view
	l.changed()
	return nil
}

// Close implements net.Listener. The socket stays in the set.
func (l *Listener) Close() error {
	l.Pause()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return net.ErrClosed
	}
	l.closed = true
	l.changed()
	return nil
}

// changed wakes those who wait. l.mu is held.
func (l *Listener) changed() {
	close(l.change)
	l.change = make(chan struct{})
}

// Addr implements net.Listener.
func (l *Listener) Addr() net.Addr { return l.addr }
