package http1

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"paas/router/wire"
)

// What a handler may do wrong.
var (
	errBegun    = errors.New("the answer has begun already")
	errNotBegun = errors.New("the answer has not begun")
	errLength   = errors.New("the answer has another length than it said")
	errStatus   = errors.New("no such status")
	errNoTunnel = errors.New("the client asked for no tunnel")
	errAborted  = errors.New("the exchange was broken off")
	errStopped  = errors.New("the body is not wanted any more")
)

// exchange implements wire.Exchange, wire.Limited, wire.Patient and wire.Stopper.
type exchange struct {
	c    *conn
	req  wire.Request
	head head
	body Body

	mu        sync.Mutex // of begun and continued where the client waits for 100 (Continue)
	begun     bool       // a final answer's head was made
	ended     bool
	continued bool
	tunnelled bool
	limited   bool // has limits of its own
	maxBody   int64
	read      int64 // of the body

	output
	watch
}

// plain is an exchange over plain TCP. It implements wire.Splicer.
type plain struct{ exchange }

var exchanges = sync.Pool{New: func() any { return new(plain) }}

func takeExchange(c *conn) *plain {
	x, _ := exchanges.Get().(*plain)
	x.c = c
	return x
}

// put gives everything back.
func (x *plain) put() {
	x.unwatch()
	x.output.drop()
	if !x.tunnelled {
		x.c.reader.Release()
	}
	if x.limited {
		x.c.readTimeout.Store(0)
		x.c.writeTimeout.Store(0)
	}
	x.forget()
	exchanges.Put(x)
}

// forget keeps the memory of lists alone.
func (x *exchange) forget() {
	fields, others, trailers := x.req.Fields[:0], x.head.opts.others[:0], x.body.trailers[:0]
	x.c, x.req, x.head, x.body = nil, wire.Request{Fields: fields}, head{}, Body{trailers: trailers}
	x.head.opts.others = others
	x.begun, x.ended, x.continued, x.tunnelled, x.limited, x.maxBody, x.read = false, false, false, false, false, 0, 0
	x.output = output{}
}

// face is the exchange as the handler sees it.
func (x *plain) face() wire.Exchange {
	if x.c.tcp != nil {
		return x
	}
	return &x.exchange
}

// receive reads the head. Its first bytes are there.
func (x *exchange) receive() error {
	n, err := x.parse()
	if err == errShort {
		if err = x.rest(); err == nil {
			n, err = x.parse()
		}
	}
	if err == nil && n > x.c.s.limits.Head {
		err = longHead
	}
	if err != nil {
		return err
	}
	x.open(n)
	return nil
}

// open begins the exchange of a head of n bytes.
func (x *exchange) open(n int) {
	x.c.received(quiet)
	x.c.reader.hold(n)
	x.req.Client, x.req.Local, x.req.TLS = x.c.client, x.c.local, x.c.tls
	x.body.limits = &x.c.s.limits.Chunking
	x.body.Start(x.c.reader, x.head.framing, x.req.Length)
}

func (x *exchange) parse() (int, error) {
	x.head.reset(&x.req)
	return x.head.parse(x.c.reader.Peek(), &x.c.s.limits)
}

// rest waits for the rest of a head. It is not parsed again for every byte of a slow client.
func (x *exchange) rest() error {
	r := x.c.reader
	x.c.received(heading)
	x.head.reset(&x.req) // what was found so far does not stay where it is
	for at, whole := 0, false; !whole; {
		err := r.fill(x.c.s.limits.Head)
		switch {
		case err == errLong && bytes.IndexByte(r.Peek(), '\n') < 0:
			return longTarget
		case err == errLong:
			return longHead
		case errors.Is(err, os.ErrDeadlineExceeded):
			return tooSlow
		case err != nil:
			return err
		}
		if whole, at, err = ends(r.Peek(), at); err != nil {
			return err
		}
	}
	return nil
}

// Request implements wire.Exchange.
func (x *exchange) Request() *wire.Request { return &x.req }

// Read implements wire.Exchange. Beside the errors said there it returns os.ErrDeadlineExceeded of a client that
// sends too slowly, and wire.ErrTooLarge.
func (x *exchange) Read(p []byte) (int, error) {
	if x.body.Ended() {
		return x.body.Read(p)
	}
	if x.maxBody > 0 && (x.req.Length > x.maxBody || x.read > x.maxBody) {
		return 0, wire.ErrTooLarge
	}
	if err := x.welcome(); err != nil {
		return 0, err
	}
	n, err := x.readBody(p)
	if x.read += int64(n); x.maxBody > 0 && x.read > x.maxBody {
		return 0, wire.ErrTooLarge
	}
	if err != nil && err != io.EOF {
		x.lost()
	}
	return n, err
}

func (x *exchange) readBody(p []byte) (int, error) {
	c := x.c
	c.in.Store(c.turn | reading)
	n, err := x.body.Read(p)
	c.received(quiet)
	c.got.Add(int64(n))
	switch {
	case err == nil:
	case c.aborted.Load():
		err = errAborted
	case c.stopped.Load() && errors.Is(err, os.ErrDeadlineExceeded):
		err = errStopped
	}
	return n, err
}

// welcome sends 100 (Continue) to a client that waits for it, unless the answer has begun.
func (x *exchange) welcome() error {
	if !x.req.Continue {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.continued || x.begun {
		return nil
	}
	x.continued = true
	if x.c.reader.Buffered() > 0 { // it did not wait
		return nil
	}
	return x.c.write([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
}

// Trailer implements wire.Exchange.
func (x *exchange) Trailer() []wire.Field { return x.body.Trailer() }

// SetMaxBody implements wire.Limited.
func (x *exchange) SetMaxBody(n int64) {
	if n > 0 {
		x.maxBody = n
	}
}

// SetReadTimeout implements wire.Limited.
func (x *exchange) SetReadTimeout(d time.Duration) {
	if d > 0 {
		x.limited = true
		x.c.readTimeout.Store(int64(d))
	}
}

// SetWriteTimeout implements wire.Limited.
func (x *exchange) SetWriteTimeout(d time.Duration) {
	if d > 0 {
		x.limited = true
		x.c.writeTimeout.Store(int64(d))
	}
}

// SetPatience implements wire.Patient.
func (x *exchange) SetPatience(p *wire.Patience) {
	if x.c.patient.Load() != p { // nearly never: a connection asks for one app
		x.c.patient.Store(p)
	}
}

// Abort implements wire.Exchange. It must not be called after the handler returned.
func (x *exchange) Abort() {
	x.c.aborted.Store(true)
	x.c.cut()
	x.lost()
}

// StopRead implements wire.Stopper.
func (x *exchange) StopRead() {
	c := x.c
	c.poke.Lock()
	defer c.poke.Unlock()
	c.stopped.Store(true)
	_ = c.net.SetReadDeadline(longAgo)
}

// finish completes what the handler left, and tells whether the connection can have another request. It does not
// read.
func (x *exchange) finish() bool {
	c := x.c
	if c.stopped.CompareAndSwap(true, false) {
		c.mayRead()
	}
	switch {
	case x.tunnelled:
		return false
	case c.aborted.Load():
		x.lastWords()
		x.breakOff()
		return false
	case !x.begun:
		x.refuse(failed)
		return false
	case !x.ended || x.broken != nil:
		_ = x.flush()
		x.breakOff()
		return false
	case x.closes:
		if !x.body.Done() || c.reader.Buffered() > 0 {
			c.lingers = c.s.limits.Linger
		}
		return false
	}
	return true
}

// lastWordsTime is how long the client of an answer that was broken off may take for the part that was written
// before: it is in the kernel's hands at once, or the client is not there.
const lastWordsTime = 50 * time.Millisecond

func (x *exchange) lastWords() {
	if x.broken == nil && len(x.out) > 0 {
		_ = x.c.net.SetWriteDeadline(time.Now().Add(lastWordsTime))
		_ = x.flush()
	}
}

// breakOff makes sure that the client takes an answer for broken off: one whose end is the connection's needs a
// reset, which costs it what it has not read yet. Others are seen to be too short.
func (x *exchange) breakOff() {
	if x.begun && !x.ended && !x.sized && !x.chunked {
		x.c.reset()
	}
}

// drain reads what the handler left of a body, since the next request begins behind it. If that is too much, or the
// client has not been told to send it, the connection is closed.
func (x *exchange) drain() bool {
	limit := x.c.s.limits.Unread
	if !x.body.Ended() && x.body.Left() <= limit && (!x.req.Continue || x.continued) {
		x.maxBody = 0
		n, err := io.CopyBuffer(io.Discard, io.LimitReader(readerFunc(x.readBody), limit+1), make([]byte, 4<<10))
		if err == nil && n <= limit && x.body.Done() {
			return true
		}
	}
	x.c.lingers = x.c.s.limits.Linger
	return false
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
