package http2

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/http2/hpack"
)

const (
	// connWindow is what a client may send of all bodies before a handler reads any of it, and initWindow of one; those
	// that are read as fast as they come get up to Limits.Window, and Limits.StreamWindow.
	connWindow = 1 << 20
	// linger is how long a connection that we end waits for the client's end, so that our last bytes are not
	// lost to a reset.
	linger = time.Second
	// leaveRound is how long the first GOAWAY's ping may take before the second one goes out all the same.
	leaveRound = time.Second
	// pausedMost are finished streams kept for the next requests of a connection.
	pausedMost = 16
)

// conn is a client's connection.
type conn struct {
	server *Server
	limits Limits
	nc     net.Conn
	tls    *tls.ConnectionState
	client netip.AddrPort
	local  netip.AddrPort

	// The reader's.
	in    input
	dec   *hpack.Decoder
	head  head
	block block
	noise noise

	mu         sync.Mutex
	err        error  // why nothing goes out any more
	pings      uint32 // of the client
	streams    []*stream
	paused     []*stream // finished ones
	running    int       // handlers
	quiet      gate      // running fell to 0
	most       uint32    // the highest stream the client opened
	cutOff     []uint32  // streams we reset while the client was still sending
	inbound    window    // what a client may send of all bodies
	promised   int       // sizes of the open streams' windows, all together
	out        output
	enc        encoder
	window     int64 // what we may send
	initial    int64 // a new stream's
	leaving    leaving
	keeper     *time.Timer
	idle       time.Duration // without a stream
	restedAt   uint32        // most, when the keeper last looked
	stuckRound uint64        // out.round, when the keeper last looked
	stuckFor   int
	granted    int // DATA frames and ends we sent: what a client's noise is measured against
}

// leaving is how far a connection is with its end.
type leaving uint8

const (
	staying leaving = iota
	warned          // the first GOAWAY is out
	closing         // the last GOAWAY is out: no new streams
	closed          // nothing is left to be sent
)

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{server: s, limits: s.Limits.filled(), nc: nc, window: initWindow, initial: initWindow}
	c.in = input{conn: nc, begun: c.limits.Begun, stall: c.limits.Stall}
	c.in.buf = c.in.small[:]
	c.quiet.under(&c.mu)
	c.out.room.under(&c.mu)
	first := min(connWindow, c.limits.Window)
	c.inbound = window{size: first, left: first, most: c.limits.Window}
	c.enc = newEncoder()
	c.out.round = 1 // a stream that has sent nothing has 0
	c.noise = newNoise(c.limits.Noise)
	c.dec = hpack.NewDecoder(tableSize, c.head.field)
	c.head.dec, c.head.limits = c.dec, &c.limits
	c.dec.SetMaxStringLength(2 * c.limits.block())
	c.client, c.local = address(nc.RemoteAddr()), address(nc.LocalAddr())
	return c
}

func address(a net.Addr) netip.AddrPort {
	if tcp, ok := a.(*net.TCPAddr); ok {
		to := tcp.AddrPort()
		return netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	}
	return netip.AddrPort{}
}

// serve reads until the end, and leaves nothing behind.
func (c *conn) serve() error {
	err := c.greet()
	if err == nil {
		c.answer()
		c.mu.Lock()
		c.keeper = time.AfterFunc(c.tick(), c.keep)
		if c.leaving == warned {
			c.keeper.Reset(leaveRound)
		}
		c.mu.Unlock()
		err = c.read()
	}
	err = c.part(err)
	_ = c.nc.Close()
	c.in.release()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keeper != nil {
		c.keeper.Stop()
	}
	for c.running > 0 || c.out.writing {
		c.quiet.wait()
	}
	return err
}

// greet exchanges the prefaces (RFC 9113, 3.4): ours are SETTINGS and a larger window, the client's is a fixed text.
func (c *conn) greet() error {
	if err := c.secure(); err != nil {
		return err
	}
	c.mu.Lock()
	c.out.add(c.hello())
	c.flush()
	c.mu.Unlock()
	if err := c.in.hold(true); err != nil {
		return err
	}
	if err := c.in.fill(len(preface), 0); err != nil {
		return err
	}
	if !bytes.Equal(c.in.buf[:len(preface)], []byte(preface)) {
		return connError{codeProtocol, "no preface of HTTP/2"}
	}
	c.in.r += len(preface)
	f, err := c.in.next()
	if err != nil {
		return err
	}
	if f.kind != frameSettings || f.has(flagAck) {
		return connError{codeProtocol, "the preface has no SETTINGS"}
	}
	if err := c.in.hold(false); err != nil {
		return err
	}
	return c.settings(&f)
}

func (c *conn) hello() []byte {
	b := appendFrameHead(nil, 3*settingBytes, frameSettings, 0, 0)
	b = appendSetting(b, settingStreams, uint32(c.limits.Streams))
	b = appendSetting(b, settingHeadSize, uint32(c.limits.Head))
	b = appendSetting(b, settingConnect, 1)
	if c.inbound.size > initWindow {
		b = appendWindow(b, 0, c.inbound.size-initWindow)
	}
	return b
}

// secure wants of TLS what RFC 9113, 9.2 does.
func (c *conn) secure() error {
	state, ok := c.nc.(interface{ ConnectionState() tls.ConnectionState })
	if !ok {
		return nil
	}
	if err := c.shake(); err != nil {
		return err
	}
	s := state.ConnectionState()
	c.tls = &s
	c.bePatient(s.ServerName)
	if s.Version < tls.VersionTLS12 || s.Version == tls.VersionTLS12 && !goodSuite(s.CipherSuite) {
		return connError{codeInsecure, "HTTP/2 wants TLS 1.2 with an ephemeral key exchange and an AEAD cipher"}
	}
	return nil
}

// bePatient takes the limits of the app whose name the client said.
func (c *conn) bePatient(name string) {
	if c.server.Patience == nil {
		return
	}
	p := c.server.Patience(name)
	if p == nil {
		return
	}
	c.limits.Begun, c.limits.Idle = cmp.Or(p.Head, c.limits.Begun), cmp.Or(p.Idle, c.limits.Idle)
	c.in.begun = c.limits.Begun
}

// shake does the handshake of TLS if nobody has yet.
func (c *conn) shake() error {
	t, ok := c.nc.(interface{ Handshake() error })
	if !ok {
		return nil
	}
	if err := c.in.hold(true); err != nil {
		return err
	}
	if err := t.Handshake(); err != nil {
		return err
	}
	return c.in.hold(false)
}

// goodSuite knows the suites of TLS 1.2 that crypto/tls has and RFC 9113, appendix A does not forbid.
func goodSuite(id uint16) bool {
	switch id {
	case tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256:
		return true
	}
	return false
}

// read takes frames until the connection ends.
func (c *conn) read() error {
	for {
		f, err := c.in.next()
		if err == nil {
			err = c.take(&f)
		}
		if err != nil {
			return err
		}
		if !c.in.more() {
			c.answer()
		}
	}
}

// answer sends what the reader has to say before it waits. It does not write itself: a client may be sending
// without reading, and then nobody would read.
func (c *conn) answer() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.out.urgent {
		return
	}
	c.out.urgent = false
	c.kick()
	for len(c.out.buf) > controlMost && c.err == nil {
		c.out.room.wait()
	}
}

// part ends the connection after err: it says why, gives up the streams, and waits a moment for the client's end.
func (c *conn) part(err error) error {
	c.mu.Lock()
	why, ours := err.(connError)
	if ours && c.leaving < closed && c.err == nil {
		c.out.add(appendGoAway(nil, c.most, why.code, why.why))
	}
	regular := c.leaving == closed || errors.Is(err, io.EOF) && len(c.streams) == 0
	c.dropAll(io.ErrUnexpectedEOF)
	if ours && c.err == nil {
		_ = c.nc.SetWriteDeadline(time.Now().Add(linger))
		c.kick()
		for c.out.writing {
			c.quiet.wait()
		}
	}
	c.fail(errGone)
	c.mu.Unlock()
	if ours {
		c.lingering()
	}
	if regular {
		return nil
	}
	return err
}

// lingering reads into the void until the client has seen our end.
func (c *conn) lingering() {
	_ = c.nc.SetDeadline(time.Now().Add(linger))
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok && half.CloseWrite() != nil {
		return
	}
	_, _ = io.Copy(io.Discard, c.nc)
}

// fail ends everything that goes out. The lock is held.
func (c *conn) fail(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	c.dropAll(err)
	c.out.room.open()
	c.quiet.open()
}

// dropAll gives up every stream. The lock is held.
func (c *conn) dropAll(err error) {
	for len(c.streams) > 0 {
		c.streams[0].drop(err)
	}
}

// cut closes the connection at once.
func (c *conn) cut() {
	c.mu.Lock()
	c.fail(errGone)
	c.mu.Unlock()
	_ = c.nc.Close()
}
