package http1

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"

	"paas/router/wire"
)

const (
	outSize  = 16 << 10 // bytes that are gathered before they are sent; a record of TLS
	copyMost = 4 << 10  // bytes of a piece that are copied rather than written from where they are
	hexMost  = 18       // bytes of a chunk's first line
)

var outs = sync.Pool{New: func() any { return new([outSize]byte) }}

// output is an answer on its way. It holds memory while there is something that was not sent.
type output struct {
	out     []byte
	memory  *[outSize]byte
	silent  bool  // no body: HEAD, 204, 304
	chunked bool  // the body's end is told by a chunk
	sized   bool  // and else by its length
	left    int64 // of a sized body
	closes  bool  // the connection ends with this answer
	broken  error // of the connection: nothing more can be sent
}

func (o *output) take() {
	if o.memory == nil {
		o.memory, _ = outs.Get().(*[outSize]byte)
		o.out = o.memory[:0]
	}
}

func (o *output) drop() {
	if o.memory != nil {
		outs.Put(o.memory)
	}
	o.memory, o.out = nil, nil
}

// statusLines are those of the statuses that have a name.
var statusLines = linesOf()

func linesOf() (t [600]string) {
	for i := range t {
		if words := http.StatusText(i); words != "" {
			t[i] = "HTTP/1.1 " + strconv.Itoa(i) + " " + words + "\r\n"
		}
	}
	return t
}

func appendStatus(b []byte, status int) []byte {
	if status < len(statusLines) && statusLines[status] != "" {
		return append(b, statusLines[status]...)
	}
	b = append(b, "HTTP/1.1 "...)
	return append(strconv.AppendInt(b, int64(status), 10), " \r\n"...)
}

// AppendField writes a field's line. A value that is none, which only a part of ours can have made, is left empty:
// it must not become two fields.
func AppendField(b []byte, f wire.Field) []byte {
	b = append(b, f.Name...)
	b = append(b, ": "...)
	if ValidValue(f.Value) {
		b = append(b, f.Value...)
	}
	return append(b, "\r\n"...)
}

// Interim implements wire.Exchange.
func (x *exchange) Interim(status int, fields []wire.Field) error {
	if status < 100 || status > 199 || status == 101 {
		return errStatus
	}
	if x.begun {
		return errBegun
	}
	if x.req.Version == wire.HTTP10 || status == 100 && (!x.req.Continue || x.continued) {
		return nil
	}
	if status == 100 {
		return x.welcome()
	}
	x.take()
	x.out = appendStatus(x.out, status)
	for _, f := range fields {
		x.out = AppendField(x.out, f)
	}
	x.out = append(x.out, "\r\n"...)
	return x.Flush()
}

// Head implements wire.Exchange. With HEAD and status 304 a length is said, and no body follows.
func (x *exchange) Head(status int, fields []wire.Field, length int64) error {
	if status < 200 || status > 999 {
		return errStatus
	}
	if !x.begin() {
		return errBegun
	}
	x.frame(status, length)
	x.take()
	b := appendStatus(x.out, status)
	dated := false
	for _, f := range fields {
		dated = dated || len(f.Name) == 4 && Is(f.Name, "date")
		b = AppendField(b, f)
	}
	if !dated { // as who has a clock must (RFC 9110 section 6.6.1)
		b = append(b, *x.c.s.date.Load()...)
	}
	x.out = append(x.appendFraming(b, status, length), "\r\n"...)
	return nil
}

// begin is true once.
func (x *exchange) begin() bool {
	if x.req.Continue {
		x.mu.Lock()
		defer x.mu.Unlock()
	}
	if x.begun {
		return false
	}
	x.begun = true
	return true
}

func (x *exchange) frame(status int, length int64) {
	old := x.req.Version == wire.HTTP10
	x.silent = status == 204 || status == 304 || string(x.req.Method) == "HEAD"
	x.sized = length >= 0 && !x.silent
	x.chunked = length < 0 && !x.silent && !old
	x.left = length
	x.closes = !x.head.keep || x.c.last.Load() || x.c.s.draining.Load() ||
		length < 0 && !x.silent && old || x.req.Continue && !x.continued && !x.body.Done()
}

func (x *exchange) appendFraming(b []byte, status int, length int64) []byte {
	switch {
	case length >= 0 && status != 204:
		b = append(b, "Content-Length: "...)
		b = append(strconv.AppendInt(b, length, 10), "\r\n"...)
	case x.chunked:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	switch {
	case x.closes:
		b = append(b, "Connection: close\r\n"...)
	case x.req.Version == wire.HTTP10:
		b = append(b, "Connection: keep-alive\r\n"...)
	}
	return b
}

// Write implements wire.Exchange.
func (x *exchange) Write(p []byte) (int, error) {
	if err := x.admit(int64(len(p))); err != nil {
		return 0, err
	}
	if x.silent || len(p) == 0 {
		return len(p), nil
	}
	x.openChunk(int64(len(p)))
	if err := x.send(p); err != nil {
		return 0, err
	}
	x.closeChunk()
	return len(p), nil
}

// admit tells whether n bytes more may be written.
func (x *exchange) admit(n int64) error {
	switch {
	case !x.begun:
		return errNotBegun
	case x.broken != nil:
		return x.broken
	case x.ended || x.sized && n > x.left:
		return x.fail(errLength)
	}
	x.left -= n
	return nil
}

// fail makes err the end of the answer.
func (x *exchange) fail(err error) error {
	if x.c.aborted.Load() {
		err = errAborted
	}
	x.broken = err
	return err
}

func (x *exchange) openChunk(n int64) {
	if x.chunked {
		x.take()
		x.out = append(strconv.AppendInt(x.out, n, 16), "\r\n"...)
	}
}

func (x *exchange) closeChunk() {
	if x.chunked {
		x.take()
		x.out = append(x.out, "\r\n"...)
	}
}

// send gathers small pieces. A large one leaves with what was gathered, in one system call.
func (x *exchange) send(p []byte) error {
	if x.fits(p) {
		x.take()
		x.out = append(x.out, p...)
		return nil
	}
	if x.c.tcp != nil && len(x.out) > 0 {
		err := x.c.writeBoth(x.out, p)
		return x.sent(err)
	}
	return x.sendRecords(p)
}

func (x *exchange) fits(p []byte) bool {
	room := outSize - len(x.out) - hexMost
	return len(p) <= room && (len(p) <= copyMost || x.c.tcp == nil)
}

// sendRecords fills what is gathered up before it sends it: a record of TLS costs the same short or long.
func (x *exchange) sendRecords(p []byte) error {
	if len(x.out) > 0 {
		n := min(max(0, outSize-len(x.out)), len(p))
		x.out = append(x.out, p[:n]...)
		if p = p[n:]; x.flush() != nil {
			return x.broken
		}
	}
	if len(p) == 0 {
		return nil
	}
	return x.sent(x.c.write(p))
}

func (x *exchange) sent(err error) error {
	x.drop()
	if err != nil {
		return x.fail(err)
	}
	return nil
}

func (x *exchange) flush() error {
	if x.broken != nil || len(x.out) == 0 {
		return x.broken
	}
	return x.sent(x.c.write(x.out))
}

// Flush implements wire.Exchange.
func (x *exchange) Flush() error { return x.flush() }

// End implements wire.Exchange.
func (x *exchange) End(trailers []wire.Field) error {
	if err := x.admit(0); err != nil {
		return err
	}
	if x.sized && x.left > 0 {
		return x.fail(errLength)
	}
	if x.chunked {
		x.lastChunk(trailers)
	}
	x.ended, x.c.final = true, x.closes
	return x.flush()
}

func (x *exchange) lastChunk(trailers []wire.Field) {
	x.take()
	x.out = append(x.out, "0\r\n"...)
	if x.req.Trailers {
		for _, f := range trailers {
			if inTrailers(f.Name) {
				x.out = AppendField(x.out, f)
			}
		}
	}
	x.out = append(x.out, "\r\n"...)
}

// Splice implements wire.Splicer.
func (x *plain) Splice(from *net.TCPConn, n int64) (int64, error) {
	if err := x.admit(n); err != nil || x.silent {
		return 0, err
	}
	x.openChunk(n)
	if err := x.flush(); err != nil {
		return 0, err
	}
	c := x.c
	c.out.Store(c.turn | writing)
	moved, err := c.tcp.ReadFrom(&io.LimitedReader{R: from, N: n})
	c.out.Store(c.turn)
	if err == nil && moved < n {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return moved, x.fail(err)
	}
	x.closeChunk()
	return moved, nil
}

// refuse answers what is no request, and what a handler did not answer; errors of the connection have no answer.
func (x *exchange) refuse(err error) {
	r, ok := err.(refusal)
	if !ok {
		return
	}
	body := strconv.Itoa(r.status()) + " " + http.StatusText(r.status()) + "\n" + r.Error() + "\n"
	b := append(appendStatus(nil, r.status()), *x.c.s.date.Load()...)
	if r == noTunnel {
		b = append(b, "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"...)
	}
	b = append(b, "Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\nContent-Length: "...)
	b = append(strconv.AppendInt(b, int64(len(body)), 10), "\r\n\r\n"...)
	if string(x.req.Method) != "HEAD" {
		b = append(b, body...)
	}
	if x.c.write(b) == nil {
		x.c.lingers = min(lingerRefused, x.c.s.limits.Linger)
	}
}
