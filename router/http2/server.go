// Package http2 is the server's side of HTTP/2 (RFC 9113) for the router: it reads a client's frames, gives each
// request to a wire.Handler as a wire.Exchange, and writes the answers.
//
//	            ┌ reader (the caller of Serve): frames ─► streams ─► one of the crew's goroutines ─► Handler.Serve
//	net.Conn ───┤
//	            └ out: frames queue up in one buffer; whoever flushes first writes for everybody
//
// Everything of a connection that several goroutines touch is behind its one mutex. No goroutine and no buffer
// but the reader's small one belongs to a connection without requests.
package http2

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"

	"paas/router/wire"
)

// ErrServerClosed is what Serve returns for a connection that comes after Shutdown.
var ErrServerClosed = errors.New("http2: the server is shut down")

// Limits are what one client may ask for. A zero means the default.
type Limits struct {
	Streams int           // requests at a time on a connection; 100, what browsers and RFC 9113, 6.5.2 expect
	Head    int           // bytes of a request's fields, counted as RFC 9113, 6.5.2 does (32 for each field); 32 KiB
	Fields  int           // fields of a request, the crumbs of a cookie not counted; 100
	Target  int           // bytes of :path; 16 KiB
	Idle    time.Duration // a connection without requests is closed; 120 s
	Begun   time.Duration // from the first byte of a head, a frame or the preface to its last; 10 s
	Noise   int           // of frames that ask for work and want no answer, at once; 1000
	// Windows are what a client may send of a body that is not read yet: 64 KiB of one, and 1 MiB of all, of a client that
	// sends no faster; of others up to StreamWindow (1 MiB) and Window (4 MiB), neither below 64 KiB. Whatever
	// Window is, each of Streams has its 64 KiB.
	StreamWindow, Window int
	Continued            int           // frames of one head; 32
	Stall                time.Duration // a client that takes or sends next to nothing of a body it owes or wants is cut off; 60 s
}

func (l Limits) filled() Limits {
	return Limits{
		Streams: cmp.Or(l.Streams, 100), Head: cmp.Or(l.Head, 32<<10), Fields: cmp.Or(l.Fields, 100), Target: cmp.Or(l.Target, 16<<10),
		Idle: cmp.Or(l.Idle, 120*time.Second), Begun: cmp.Or(l.Begun, 10*time.Second), Stall: cmp.Or(l.Stall, 60*time.Second),
		Noise: cmp.Or(l.Noise, noiseMost), Continued: cmp.Or(l.Continued, fragmentsMost), StreamWindow: windowOf(l.StreamWindow, 1<<20), Window: windowOf(l.Window, 4<<20),
	}
}

// block is the bytes of an encoded head.
func (l *Limits) block() int { return max(blockLeast, 2*l.Head) }

// windowOf is a window's most, which is never less than what every window begins with.
func windowOf(most, otherwise int) int {
	return min(max(cmp.Or(most, otherwise), initWindow), maxWindow/2)
}

// Server serves connections on which HTTP/2 is spoken: TLS with ALPN "h2", or anything else that begins with the
// client's preface. Its fields must not change once Serve was called.
type Server struct {
	Handler wire.Handler
	Limits  Limits
	// Covers tells whether the connection's certificate stands for the authority of a request; one it does not
	// stand for is answered 421 (RFC 9110, 15.5.20). Nil: any. It is asked on TLS connections only, by the
	// reader, and must not block.
	Covers func(state *tls.ConnectionState, authority []byte) bool
	// Patience is what the app of a TLS connection's name (SNI) has of own limits, for the whole connection: its
	// requests share what is limited. nil: nobody has any.
	Patience func(name string) *wire.Patience

	mu     sync.Mutex
	conns  map[*conn]struct{}
	closed bool
	gone   sync.WaitGroup
	crew   crew
}

// Serve speaks HTTP/2 on nc until the client or Shutdown ends it, and closes it. It returns when every handler of
// the connection has: nil after a regular end, else why the connection was given up.
func (s *Server) Serve(nc net.Conn) error {
	c := newConn(s, nc)
	if !s.add(c) {
		c.turnAway()
		return ErrServerClosed
	}
	defer s.remove(c)
	return c.serve()
}

func (s *Server) add(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.conns == nil {
		s.conns = map[*conn]struct{}{}
	}
	s.conns[c] = struct{}{}
	s.gone.Add(1)
	return true
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.gone.Done()
}

// Shutdown asks every client to go elsewhere (two GOAWAYs, RFC 9113, 6.8), lets the requests on their way finish,
// and closes the connections. When ctx ends first, it cuts off what is left and returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.each(true, (*conn).leave)
	defer s.crew.close()
	done := make(chan struct{})
	go func() { s.gone.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.each(true, (*conn).cut)
	<-done
	return ctx.Err()
}

// Conns counts the connections.
func (s *Server) Conns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

func (s *Server) each(last bool, do func(*conn)) {
	s.mu.Lock()
	s.closed = s.closed || last
	all := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		all = append(all, c)
	}
	s.mu.Unlock()
	for _, c := range all {
		do(c)
	}
}
