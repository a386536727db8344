package http1

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// conn is a client's connection. While it waits for a request it is this and a goroutine.
type conn struct {
	s      *Server
	net    net.Conn
	raw    syscall.RawConn // of the socket, also below TLS; nil where there is none
	tcp    *net.TCPConn    // nil with TLS, and where there is none
	tls    *tls.ConnectionState
	reader *Reader
	client netip.AddrPort
	local  netip.AddrPort
	turn   uint32      // of the request, see sweep.go
	last   atomic.Bool // the exchange at hand is the last
	taken  bool        // by a tunnel, which closes it

	aborted atomic.Bool // the exchange at hand was broken off

	in, out      atomic.Uint32 // what is waited for, see sweep.go
	got          atomic.Int64  // bytes of bodies read
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
	below := n
	if t, ok := n.(*tls.Conn); ok {
		below = t.NetConn()
	} else {
		c.tcp, _ = n.(*net.TCPConn)
	}
	if sc, ok := below.(syscall.Conn); ok {
		c.raw, _ = sc.SyscallConn()
	}
	c.reader = NewReader(n)
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
		c.turn += oneMore
		c.in.Store(c.turn | idling)
		if c.s.closed.Load() { // and nobody comes by any more to say so
			time.AfterFunc(parting, c.letGo)
		}
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
		c.s.clients.leave(c.client.Addr())
	})
}

// handshake tells whether the connection is one of HTTP/1; of another protocol it is over when this returns.
func (c *conn) handshake(t *tls.Conn) bool {
	if err := t.HandshakeContext(context.Background()); err != nil { // the sweep ends it
		return false
	}
	state := t.ConnectionState()
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

// next serves a request. It returns false when the connection has no other.
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

// lastLook is how long a connection that is about to be closed is looked at once more: what came in that moment is
// served.
const lastLook = time.Millisecond

// await blocks until there is something to read. It holds no buffer meanwhile.
func (c *conn) await() bool {
	err := c.reader.fill(bufferSize)
	if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
		return err == nil
	}
	c.poke.Lock() // whoever set the deadline is done with it
	_ = c.net.SetReadDeadline(time.Now().Add(lastLook))
	c.poke.Unlock()
	if err = c.reader.fill(bufferSize); err != nil {
		return false
	}
	c.last.Store(true)
	return true
}

// write sends b, and leaves word that it is the client who is waited for.
func (c *conn) write(b []byte) error {
	c.out.Store(c.turn | writing)
	_, err := c.net.Write(b)
	c.out.Store(c.turn | quiet)
	return err
}

// writeBoth sends two pieces as one, on plain TCP.
func (c *conn) writeBoth(a, b []byte) error {
	c.pair = [2][]byte{a, b}
	c.vector = c.pair[:]
	c.out.Store(c.turn | writing)
	_, err := c.vector.WriteTo(c.tcp)
	c.out.Store(c.turn | quiet)
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

// Limits of lingering.
const (
	lingerTime  = time.Second
	lingerBytes = 256 << 10
)

// linger closes the connection such that the client gets what was sent even if it is still sending: bytes that
// nobody reads would make the kernel reset the connection, and the client drop our answer.
func (c *conn) linger() {
	half, ok := c.net.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	c.received(quiet)
	_ = c.net.SetReadDeadline(time.Now().Add(lingerTime))
	var sink [1 << 10]byte
	for n := c.reader.Buffered(); n < lingerBytes; {
		more, err := c.net.Read(sink[:])
		if err != nil {
			return
		}
		n += more
	}
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
