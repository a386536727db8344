package http1

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"paas/router/wire"
)

// Server serves HTTP/1.0 and 1.1. Its fields must not change once it serves; its methods are safe for concurrent
// use.
type Server struct {
	Handler wire.Handler
	Limits  Limits
	// Protocols serve the TLS connections on which ALPN agreed on something else than HTTP/1, and return when they
	// are done. A connection of a protocol that is not here and not HTTP/1 is closed.
	Protocols map[string]func(*tls.Conn)
	// Trusted are clients whose connections are not counted, because they stand for many: the proxies of a CDN. nil
	// is none.
	Trusted func(netip.Addr) bool
	// Patience is what the app of a name (SNI, as the client spelt it) has of own limits until the first request of a
	// TLS connection has come; nil for the listener's. It must not block. nil: nobody has any.
	Patience func(name string) *wire.Patience
	Log      *slog.Logger // of faults of ours; nil for none

	once     sync.Once
	limits   Limits
	clients  clients
	conns    registry
	sweeping atomic.Bool
	date     atomic.Pointer[string] // the header line, of the last sweep
	draining atomic.Bool
	closed   atomic.Bool
	severed  atomic.Bool

	mu        sync.Mutex
	loops     sync.WaitGroup // of accepting
	listeners map[net.Listener]struct{}
}

// ErrClosed is said by Serve after Shutdown or Close.
var ErrClosed = errors.New("the server is closed")

// Pauses after Accept failed, which it does when descriptors run out.
const (
	firstPause = 5 * time.Millisecond
	lastPause  = time.Second
)

// ServeListener serves the connections of l, plain or TLS, until Shutdown or Close, which close l; then it returns
// ErrClosed. It blocks.
func (s *Server) ServeListener(l net.Listener) error {
	s.once.Do(s.start)
	if !s.track(l) {
		return errors.Join(ErrClosed, l.Close())
	}
	defer s.untrack(l)
	defer s.loops.Done()
	for pause := firstPause; ; {
		c, err := l.Accept()
		switch {
		case err == nil:
			pause = firstPause
			if known := s.enter(c); known != nil { // before the next: Wait must know of it
				go known.serve()
			}
		case s.closed.Load():
			return ErrClosed
		case !passing(err):
			return err
		default:
			time.Sleep(pause)
			pause = min(2*pause, lastPause)
		}
	}
}

// passing tells an error of Accept that concerns one connection or one moment: too many open files, or a client
// that went away again.
func passing(err error) bool {
	var op *net.OpError
	return !errors.Is(err, net.ErrClosed) && errors.As(err, &op)
}

func (s *Server) start() {
	s.limits = s.Limits.filled()
	s.clients.max = s.limits.PerClient
	s.refreshDate(time.Now())
}

func (s *Server) track(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() {
		return false
	}
	if s.listeners == nil {
		s.listeners = map[net.Listener]struct{}{}
	}
	s.listeners[l] = struct{}{}
	s.loops.Add(1)
	return true
}

func (s *Server) untrack(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

// Serve serves one connection until it ends, and closes it. It blocks.
func (s *Server) Serve(n net.Conn) {
	s.once.Do(s.start)
	if c := s.enter(n); c != nil {
		c.serve()
	}
}

// enter counts a connection in, or closes it when it may not come in, and returns nil.
func (s *Server) enter(n net.Conn) *conn {
	c := newConn(s, n)
	if c.counted = s.clients.counts(c.client.Addr(), s.Trusted); s.severed.Load() || c.counted && !s.clients.enter(c.client.Addr()) {
		_ = n.Close()
		return nil
	}
	s.conns.add(c)
	s.sweepWhileNeeded()
	return c
}

// Enter counts in a connection of another protocol that a client has. What it returns counts it out again; ok is false
// where the client has too many. Safe for concurrent use.
func (s *Server) Enter(a netip.Addr) (leave func(), ok bool) {
	s.once.Do(s.start)
	if !s.clients.counts(a, s.Trusted) {
		return func() {}, true
	}
	return func() { s.clients.leave(a) }, s.clients.enter(a)
}

// Drain lets the connections go: every answer from now on says that its connection closes, and a connection whose
// exchange ends is closed. Those that are idle stay until their client's next request, since a request may be on
// its way on any of them; Shutdown closes them. It does not block. Listeners are not touched.
func (s *Server) Drain() { s.draining.Store(true) }

// Wait blocks until there are no connections left, or ctx ends, whose error it returns.
func (s *Server) Wait(ctx context.Context) error {
	select {
	case <-s.conns.none():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Shutdown closes the listeners and the idle connections, lets requests in flight and tunnels finish, and waits
// for them. When ctx ends it returns its error and cuts nothing; Close does.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.shut()
	s.loops.Wait() // what they have taken is served
	s.conns.each(func(c *conn) { c.letGo() })
	return errors.Join(err, s.Wait(ctx))
}

// Close closes the listeners and cuts all connections.
func (s *Server) Close() error {
	s.severed.Store(true)
	err := s.shut()
	s.conns.each(func(c *conn) { // closing would wait for whoever reads
		c.aborted.Store(true)
		c.cut()
	})
	return err
}

func (s *Server) shut() error {
	s.draining.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed.Store(true)
	var err error
	for l := range s.listeners {
		if e := l.Close(); !errors.Is(e, net.ErrClosed) {
			err = errors.Join(err, e)
		}
	}
	return err
}
