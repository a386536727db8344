// Package std stands between net/http and wire: Handler lets net/http's servers (HTTP/3, and the reference for
// HTTP/1) bring exchanges to a wire.Handler, and Serve lets an http.Handler answer an exchange.
package std

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"paas/router/http1"
	"paas/router/wire"
)

// Handler serves net/http's requests as exchanges.
func Handler(h wire.Handler, l Limits) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		x := &exchange{w: w, rc: http.NewResponseController(w), req: req}
		x.in.limit, x.out.limit = l.Stall, l.Stall
		if status := l.refuses(req); status != 0 {
			http.Error(w, http.StatusText(status), status)
			return
		}
		if err := x.read(); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err := x.lookForBody(l.Body); err != nil {
			http.Error(w, http.StatusText(http.StatusRequestTimeout), http.StatusRequestTimeout)
			return
		}
		h.Serve(x)
		x.finish()
	})
}

// exchange implements wire.Exchange over net/http.
type exchange struct {
	w       http.ResponseWriter
	rc      *http.ResponseController
	req     *http.Request
	head    wire.Request
	length  int64 // of the answer's body as announced
	written int64
	begun   bool
	ended   bool
	taken   bool // as a tunnel
	in, out pace
	begin   []byte // of a body, read already

	mu      sync.Mutex
	aborted bool
	stopped bool
	gone    chan struct{}
}

var errAborted = errors.New("the exchange was broken off")

// read makes the head.
func (x *exchange) read() error {
	req := x.req
	x.head = wire.Request{
		Version: version(req), Method: []byte(req.Method), TLS: req.TLS, Authority: []byte(req.Host),
		Target: target(req), Length: req.ContentLength, Client: addr(req.RemoteAddr),
		Trailers: hasToken(req.Header["Te"], "trailers"), Continue: hasToken(req.Header["Expect"], "100-continue"),
	}
	if local, ok := req.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		x.head.Local = addr(local.String())
	}
	if hasToken(req.Header["Upgrade"], "websocket") && hasToken(req.Header["Connection"], "upgrade") && req.ProtoMajor == 1 &&
		req.Method == http.MethodGet && req.ContentLength == 0 {
		x.head.Protocol = []byte("websocket")
	}
	if len(x.head.Target) == 0 || x.head.Target[0] != '/' && string(x.head.Target) != "*" {
		return errors.New("the address in the request line is not one of a website")
	}
	x.fields()
	return nil
}

// fields are the header's, without those of the connection.
func (x *exchange) fields() {
	for name, values := range x.req.Header {
		if http1.HopByHop([]byte(name)) || name == "Expect" || hasToken(x.req.Header["Connection"], name) {
			continue
		}
		for _, v := range values {
			x.head.Fields = append(x.head.Fields, wire.Field{Name: []byte(name), Value: []byte(v)})
		}
	}
}

func version(req *http.Request) wire.Version {
	switch {
	case req.ProtoMajor == 3:
		return wire.HTTP3
	case req.ProtoMajor == 2:
		return wire.HTTP2
	case req.ProtoMinor == 0:
		return wire.HTTP10
	}
	return wire.HTTP11
}

// target is the path and query byte for byte, also of an absolute address, whose host net/http has taken.
func target(req *http.Request) []byte {
	uri := req.RequestURI
	if len(uri) > 0 && uri[0] != '/' && uri != "*" {
		_, rest, ok := strings.Cut(uri, "://")
		if !ok {
			return nil
		}
		if at := strings.IndexAny(rest, "/?"); at >= 0 {
			rest = rest[at:]
		} else {
			rest = ""
		}
		if rest == "" || rest[0] == '?' {
			rest = "/" + rest
		}
		uri = rest
	}
	return []byte(uri)
}

func addr(text string) netip.AddrPort {
	a, _ := netip.ParseAddrPort(text) // the kernel's own text; else zero
	return a
}

func hasToken(values []string, token string) bool {
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

// Request implements wire.Exchange.
func (x *exchange) Request() *wire.Request { return &x.head }

// Read implements wire.Exchange.
func (x *exchange) Read(p []byte) (int, error) {
	var n int
	var err error
	if len(x.begin) > 0 {
		n = copy(p, x.begin)
		x.begin = x.begin[n:]
		return n, nil
	}
	if x.in.limit == 0 || x.head.Length <= 0 { // one without a length may be a conversation
		n, err = x.req.Body.Read(p)
	} else {
		n, err = x.in.move(x.readDeadline, x.req.Body.Read, p)
	}
	switch {
	case err == nil || err == io.EOF:
		return n, err
	case x.over():
		return n, errAborted
	case errors.Is(err, io.ErrUnexpectedEOF):
		return n, io.ErrUnexpectedEOF
	}
	var op net.Error
	if errors.As(err, &op) {
		return n, io.ErrUnexpectedEOF
	}
	return n, wire.ErrBody
}

// Trailer implements wire.Exchange.
func (x *exchange) Trailer() (fields []wire.Field) {
	for name, values := range x.req.Trailer {
		for _, v := range values {
			fields = append(fields, wire.Field{Name: []byte(name), Value: []byte(v)})
		}
	}
	return fields
}

// Interim implements wire.Exchange.
func (x *exchange) Interim(status int, fields []wire.Field) error {
	if x.head.Version == wire.HTTP10 {
		return nil
	}
	h := x.w.Header()
	set(h, fields)
	x.w.WriteHeader(status)
	clear(h)
	return nil
}

func set(h http.Header, fields []wire.Field) {
	for _, f := range fields {
		name := http.CanonicalHeaderKey(string(f.Name))
		h[name] = append(h[name], string(f.Value))
	}
}

// Head implements wire.Exchange.
func (x *exchange) Head(status int, fields []wire.Field, length int64) error {
	h := x.w.Header()
	set(h, fields)
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // or net/http would guess one
	}
	if length >= 0 && status != http.StatusNoContent {
		h.Set("Content-Length", strconv.FormatInt(length, 10))
	}
	x.begun, x.length = true, length
	if x.req.Method == http.MethodHead || status == http.StatusNotModified || status == http.StatusNoContent {
		x.length = 0
	}
	x.w.WriteHeader(status)
	return x.broken()
}

// Write implements wire.Exchange.
func (x *exchange) Write(p []byte) (int, error) {
	if err := x.broken(); err != nil {
		return 0, err
	}
	var n int
	var err error
	if x.out.limit == 0 {
		n, err = x.w.Write(p)
	} else {
		n, err = x.out.move(x.writeDeadline, x.w.Write, p)
	}
	x.written += int64(n)
	return n, err
}

// Flush implements wire.Exchange.
func (x *exchange) Flush() error {
	err := x.broken()
	if err != nil || x.out.limit == 0 {
		return errors.Join(err, x.rc.Flush())
	}
	_, err = x.out.move(x.writeDeadline, x.flush, nil)
	return err
}

// Splice implements wire.Splicer: net/http's writer has the kernel do it where that is possible.
func (x *exchange) Splice(c *net.TCPConn, n int64) (int64, error) {
	if err := x.broken(); err != nil {
		return 0, err
	}
	done, err := x.w.(io.ReaderFrom).ReadFrom(io.LimitReader(c, n))
	x.written += done
	return done, err
}

// End implements wire.Exchange.
func (x *exchange) End(trailers []wire.Field) error {
	x.ended = x.length < 0 || x.written == x.length
	h := x.w.Header()
	for _, f := range trailers {
		h.Add(http.TrailerPrefix+string(f.Name), string(f.Value))
	}
	return x.broken()
}

// Tunnel implements wire.Exchange.
func (x *exchange) Tunnel(fields []wire.Field) (wire.Stream, error) {
	conn, rw, err := x.rc.Hijack()
	if err != nil {
		return nil, err
	}
	x.taken = true
	head := []byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n")
	for _, f := range fields {
		head = append(append(append(append(head, f.Name...), ": "...), f.Value...), "\r\n"...)
	}
	if _, err := conn.Write(append(head, "\r\n"...)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &stream{Conn: conn, in: rw.Reader}, conn.SetDeadline(time.Time{})
}

// Abort implements wire.Exchange.
func (x *exchange) Abort() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.aborted || x.taken {
		return
	}
	x.aborted = true
	_ = x.rc.SetReadDeadline(time.Unix(1, 0)) // not everywhere; then reading ends with the request
	_ = x.rc.SetWriteDeadline(time.Unix(1, 0))
	if x.gone != nil {
		close(x.gone)
	}
}

// StopRead implements wire.Stopper.
func (x *exchange) StopRead() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.stopped = true
	_ = x.rc.SetReadDeadline(time.Unix(1, 0)) // not everywhere; then reading ends with the request
}

// Gone implements wire.Exchange.
func (x *exchange) Gone() <-chan struct{} { return x.req.Context().Done() }

func (x *exchange) broken() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.aborted {
		return errAborted
	}
	return nil
}

func (x *exchange) over() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.aborted || x.stopped
}

// finish ends the request as net/http wants it.
func (x *exchange) finish() {
	if x.taken || x.ended && x.broken() == nil {
		return
	}
	panic(http.ErrAbortHandler) // net/http's way to close the connection instead of ending the answer
}

// stream is a tunnel's client side.
type stream struct {
	net.Conn
	in *bufio.Reader
}

// Read implements io.Reader: what net/http has read already comes first.
func (s *stream) Read(p []byte) (int, error) { return s.in.Read(p) }

// CloseWrite implements wire.Stream.
func (s *stream) CloseWrite() error {
	if half, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
