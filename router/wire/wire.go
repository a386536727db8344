// Package wire is what the protocols of clients have in common: a request's head, and the exchange in which
// it is answered. HTTP/1, HTTP/2 and the net/http adapter (HTTP/3, and the reference) fill these in; the router
// works on nothing else.
//
//	client ─► http1 | http2 | net/http ─► wire.Exchange ─► router ─► instance
package wire

import (
	"crypto/tls"
	"io"
	"net"
	"net/netip"
)

// Field is a header or trailer field. The bytes belong to whoever made it and must not be changed.
type Field struct{ Name, Value []byte }

// Version is the protocol a request came by.
type Version uint8

// The versions of HTTP.
const (
	HTTP10 Version = iota + 1
	HTTP11
	HTTP2
	HTTP3
)

// Request is one request's head after the protocol's own rules were checked: what is in it is well-formed, and
// there is one reading of it. Its bytes are valid until the handler returns.
type Request struct {
	Version   Version
	Method    []byte
	TLS       *tls.ConnectionState // nil on a plain connection
	Authority []byte               // as sent in Host or :authority; empty with HTTP/1.0 only
	Target    []byte               // path and query, byte for byte; "*" with OPTIONS
	// Fields are the others, in order, without Host and without those that are about this connection or the
	// body's framing: Connection and what it lists, Keep-Alive, Proxy-Connection, TE, Transfer-Encoding,
	// Content-Length, Upgrade, Expect. TE: trailers is said by Trailers.
	Fields   []Field
	Length   int64  // of the body, in bytes; -1 when only its end tells
	Protocol []byte // "websocket" when the client asks for a tunnel (Upgrade, RFC 8441), else nil
	Continue bool   // the client waits for 100 (Continue); reading the body sends it
	Trailers bool   // the client takes trailers
	Client   netip.AddrPort
	Local    netip.AddrPort
}

// Exchange is one request and the way to answer it. It belongs to one goroutine, but for Abort and what is said
// otherwise. A handler reads the body or not, and either calls Head, Write as often as it likes, and End; or
// Tunnel; or Abort. What it leaves undone after Head the protocol completes as a broken-off answer.
type Exchange interface {
	// Request is the head.
	Request() *Request
	// Read reads the body. It blocks. io.EOF is its true end; io.ErrUnexpectedEOF a client that broke off;
	// ErrBody what must not be trusted. One other goroutine may read while the handler writes.
	io.Reader
	// Trailer are the fields after the body, once Read has returned io.EOF.
	Trailer() []Field
	// Interim passes on an answer from 100 to 199 but 101. HTTP/1.0 clients do not see it.
	Interim(status int, fields []Field) error
	// Head begins the answer. length is the body's in bytes, or -1. The fields must not contain those that are
	// about a connection or the framing. It does not block until Flush or Write does.
	Head(status int, fields []Field, length int64) error
	// Write writes a part of the body. It may keep p's bytes until the next Flush only by copying them.
	io.Writer
	// Flush sends what was written.
	Flush() error
	// End completes the answer, with trailers where the client and the protocol take them, and sends it.
	End(trailers []Field) error
	// Tunnel accepts the upgrade with the fields of the origin's answer, and hands over the stream, which the
	// caller closes. CloseWrite on it ends one direction.
	Tunnel(fields []Field) (Stream, error)
	// Abort breaks the exchange off so that the client notices: it ends Read and Write. Anybody may call it.
	Abort()
	// Gone is closed when the client went away or Abort was called. Watching it may cost a goroutine, so call it
	// only when there is something long to wait for.
	Gone() <-chan struct{}
}

// Stream is a tunnel's client side.
type Stream interface {
	io.ReadWriteCloser
	CloseWrite() error
}

// Splicer is an Exchange over a plain TCP connection: the kernel can move a body to it.
type Splicer interface {
	// Splice sends n bytes of the body from c, in the place of Write. It blocks.
	Splice(c *net.TCPConn, n int64) (int64, error)
}

// Handler answers exchanges. It returns when it is done with them.
type Handler interface {
	Serve(Exchange)
}

// Stopper is an Exchange whose body nobody may want any more while another goroutine still reads it.
type Stopper interface {
	// StopRead ends Read, a running one and all that follow, with an error. The answer goes on. Anybody may call it.
	StopRead()
}
