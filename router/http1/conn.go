package http1

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"paas/router/wire"
)

// conn is a client's connection. While it waits for a request it is this and a goroutine.
type conn struct {
	s       *Server
	net     net.Conn
	raw     syscall.RawConn // of the socket, also below TLS; nil where there is none
	tcp     *net.TCPConn    // nil with TLS, and where there is none
	tls     *tls.ConnectionState
	reader  *Reader
	client  netip.AddrPort
	local   netip.AddrPort
	counted bool                  // among its client's
	turn    uint32                // of the request, see sweep.go
	last    atomic.Bool           // the exchange at hand is the last
	taken   bool                  // by a tunnel, which closes it
	pump    func(fd uintptr) bool // pumpOnce
	fd      uintptr               // inside the wait for the socket, else 0
	over    error                 // what it ended with
	final   bool                  // what is written next is the end
	lingers time.Duration         // at its end, at most

	aborted atomic.Bool // the exchange at hand was broken off
	stopped atomic.Bool // nobody wants its body any more

	in, out      atomic.Uint32                 // what is waited for, see sweep.go
	got          atomic.Int64                  // bytes of bodies read
	patient      atomic.Pointer[wire.Patience] // of the app at hand; nil: the limits'
	readTimeout  atomic.Int64
	writeTimeout atomic.Int64
	poke         sync.Mutex
	inWait       wait
	outWait      wait
	shard        *shard
	index        int
	closing      sync.Once
	pair         [2][]byte // what is written together
	vector       net.Buffers
}

func newConn(s *Server, n net.Conn) *conn {
	c := &conn{s: s, net: n, client: address(n.RemoteAddr()), local: address(n.LocalAddr())}
	t, secret := n.(*tls.Conn)
	if secret {
		n = t.NetConn()
	}
	if sc, ok := n.(syscall.Conn); ok {
		c.raw, _ = sc.SyscallConn()
	}
	if secret {
		c.reader = newReader(t, nil)
		return c
	}
	c.tcp, c.pump, c.reader = below(n), c.pumpOnce, newReader(n, c.raw)
	return c
}

// below is the TCP connection of n, which may be one that has only another name for its client.
func below(n net.Conn) *net.TCPConn {
	if w, ok := n.(interface{ NetConn() net.Conn }); ok {
		n = w.NetConn()
	}
	c, _ := n.(*net.TCPConn)
	return c
}

// address is the zero value for what is not TCP.
func address(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		p := t.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	return netip.AddrPort{}
}

// parting is how long a connection stays whose answer was begun before anybody knew that it is the last: the client
// may have sent its next request, whose answer says so.
const parting = time.Second

func (c *conn) serve() {
	defer c.close()
	c.in.Store(c.turn | heading)
	if t, ok := c.net.(*tls.Conn); ok && !c.handshake(t) {
		return
	}
	c.in.Store(c.turn | heading) // also a connection that says nothing at all
	for c.next() {
		c.advance()
	}
	if c.lingers > 0 {
		c.linger()
	}
}

// close ends the connection, unless it was handed over.
func (c *conn) close() {
	if !c.taken {
		c.done()
	}
}

// done is what happens at the very end, whoever brings it about.
func (c *conn) done() {
	c.closing.Do(func() {
		_ = c.net.Close()
		c.s.conns.remove(c)
		if c.counted {
			c.s.clients.leave(c.client.Addr())
		}
	})
}

// handshake tells whether the connection is one of HTTP/1; of another protocol it is over when this returns.
func (c *conn) handshake(t *tls.Conn) bool {
	if err := t.HandshakeContext(context.Background()); err != nil { // the sweep ends it
		c.hint(err)
		return false
	}
	state := t.ConnectionState()
	if c.s.Patience != nil {
		c.patient.Store(c.s.Patience(state.ServerName))
	}
	switch state.NegotiatedProtocol {
	case "", "http/1.1", "http/1.0":
		c.tls = &state
		return true
	}
	c.received(quiet)
	if serve := c.s.Protocols[state.NegotiatedProtocol]; serve != nil {
		serve(t)
	}
	return false
}

// hint tells a client that speaks plain HTTP where TLS is spoken.
func (c *conn) hint(err error) {
	var odd tls.RecordHeaderError
	if !errors.As(err, &odd) || odd.Conn == nil || classes[odd.RecordHeader[0]]&inToken == 0 {
		return
	}
	_, _ = odd.Conn.Write([]byte("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nThis port speaks HTTPS.\n"))
}

// next serves a request that may have to read. It returns false when the connection has no other.
func (c *conn) next() bool {
	if c.reader.Buffered() == 0 && !c.await() {
		return false
	}
	x := takeExchange(c)
	defer x.put()
	if err := x.receive(); err != nil {
		x.refuse(err)
		return false
	}
	return c.handle(x) && (x.body.Done() || x.drain())
}

// handle has the request answered, and tells whether another may follow.
func (c *conn) handle(x *plain) (another bool) {
	defer c.contain()
	c.s.Handler.Serve(x.face())
	return x.finish()
}

// contain keeps what is wrong with one request from ending the daemon, and with it everybody else's.
func (c *conn) contain() {
	fault := recover()
	if fault == nil {
		return
	}
	c.reset()
	if c.s.Log != nil {
		c.s.Log.Error("request ended in a panic", "fault", fault, "stack", string(debug.Stack()))
	}
}

// write sends b, and leaves word that it is the client who is waited for.
func (c *conn) write(b []byte) error {
	if c.fd > 0 && !c.aborted.Load() { // nearly always all of it fits the socket
		write := writeNow
		if c.final {
			write = writeLast
		}
		n, err := write(c.fd, b)
		if err == nil && n == len(b) {
			return nil
		}
		b = b[n:] // an error comes again
	}
	c.out.Store(c.turn | writing)
	_, err := c.net.Write(b)
	c.out.Store(c.turn)
	return err
}

// writeBoth sends two pieces as one, on plain TCP.
func (c *conn) writeBoth(a, b []byte) error {
	c.pair = [2][]byte{a, b}
	c.vector = c.pair[:]
	c.out.Store(c.turn | writing)
	_, err := c.vector.WriteTo(c.tcp)
	c.out.Store(c.turn)
	c.pair, c.vector = [2][]byte{}, nil
	return err
}

// patience is a limit of the exchange at hand.
func (c *conn) patience(limit *atomic.Int64) time.Duration {
	if d := limit.Load(); d > 0 {
		return time.Duration(d)
	}
	return noLimit
}

// reset makes closing the connection a reset: the client sees that something broke, whatever came before.
func (c *conn) reset() {
	if r, ok := c.net.(interface{ SetLinger(int) error }); ok {
		_ = r.SetLinger(0)
	} else if t, ok := c.net.(*tls.Conn); ok {
		if r, ok := t.NetConn().(interface{ SetLinger(int) error }); ok {
			_ = r.SetLinger(0)
		}
	}
	c.last.Store(true)
}
