package http2

import (
	"errors"
	"io"
	"slices"

	"paas/router/wire"
)

// keptBody is the largest buffer of a body that is kept for the next one.
const keptBody = 16 << 10

var (
	errDone    = errors.New("http2: the exchange is over")
	errAborted = errors.New("http2: the exchange was aborted")
	errOrder   = errors.New("http2: the answer has no head, or has one already")
	errLength  = errors.New("http2: the answer is longer than it said")
	errStalled = errors.New("http2: the client neither takes nor sends")
	errShort   = errors.New("http2: the answer is shorter than it said")
)

// stream is one request and its answer. conn.mu guards it. It is used again for the next request once its handler
// has returned: what others hold is an exchange, which knows the number.
type stream struct {
	c      *conn
	id     uint32 // 0: none
	open   bool   // in conn.streams: the client may send or expects something
	err    error  // why the exchange is broken off
	wakeup *gate
	gone   chan struct{}
	tunnel bool
	shut   bool // the tunnel is closed
	served bool // the handler has returned
	spent  bool // and answered, and the rest of the body is of no use

	req     wire.Request
	fields  []wire.Field
	crumbs  []byte
	trailer []wire.Field

	body    []byte
	off     int
	got     int64
	in      window
	inEnded bool
	bodyErr error
	expects bool // the client waits for 100 (Continue)
	reading bool // somebody waits for the body

	window   int64
	headSent bool
	outEnded bool
	bodiless bool // HEAD, 204, 304
	length   int64
	sent     int64
	last     int    // where in the output its last frame begins
	round    uint64 // and of which round

	blocked bool  // somebody waits for a window
	moved   int64 // bytes since the keeper began to count
	stalled int   // the keeper's rounds without enough of them
}

// start gives the request in c.head to a handler. The lock is held.
func (c *conn) start(id uint32, end bool) {
	s := c.spare()
	s.id, s.open, s.inEnded, s.window = id, true, end, c.initial
	s.in = window{size: initWindow, left: initWindow}
	c.promised += initWindow
	c.head.request(s, end)
	s.expects = s.req.Continue
	s.req.TLS, s.req.Client, s.req.Local = c.tls, c.client, c.local
	c.streams = append(c.streams, s)
	c.running++
	c.server.crew.run(&exchange{c: c, s: s, id: id})
}

func (c *conn) spare() *stream {
	n := len(c.paused) - 1
	if n < 0 {
		s := &stream{c: c, wakeup: new(gate)}
		s.wakeup.under(&c.mu)
		return s
	}
	s := c.paused[n]
	c.paused = c.paused[:n]
	return s
}

// clear makes a stream ready for the next request.
func (s *stream) clear() {
	clear(s.fields)
	if cap(s.body) > keptBody {
		s.body = nil
	}
	*s = stream{c: s.c, wakeup: s.wakeup, fields: s.fields[:0], crumbs: s.crumbs[:0], body: s.body[:0]}
}

// short tells whether the body ends before its Content-Length, tooLong whether it goes beyond.
func (s *stream) short() bool { return s.req.Length > s.got && s.req.Protocol == nil }
func (s *stream) tooLong() bool {
	return s.req.Length >= 0 && s.got > s.req.Length && s.req.Protocol == nil
}

// accept takes a part of the body, and what padded it.
func (s *stream) accept(p []byte, padding int) {
	if s.spent {
		s.c.credit(len(p) + padding)
		return
	}
	if padding > 0 {
		s.credit(padding)
	}
	if len(p) == 0 {
		return
	}
	if s.off > 0 && len(s.body)+len(p) > cap(s.body) {
		s.body = append(s.body[:0], s.body[s.off:]...)
		s.off = 0
	}
	s.body = append(s.body, p...)
	s.moved += int64(len(p))
	s.wakeup.open()
}

// endIn is the body's end.
func (s *stream) endIn() {
	s.inEnded = true
	s.wakeup.open()
	if s.outEnded {
		s.remove()
	}
}

func (s *stream) wake() {
	if s.blocked {
		s.wakeup.open()
	}
}

// credit gives n bytes of the body back to the windows.
func (s *stream) credit(n int) {
	s.c.credit(n)
	if s.inEnded {
		return
	}
	had := s.in.size
	s.in.most = min(s.c.limits.StreamWindow, had+s.c.limits.Window-s.c.promised)
	if more := s.in.credit(n); more > 0 {
		s.c.say(func(b []byte) []byte { return appendWindow(b, s.id, more) })
	}
	s.c.promised += s.in.size - had
}

// remove takes the stream off the connection: the protocol is done with it. A body nobody read counts as read.
func (s *stream) remove() {
	if !s.open {
		return
	}
	s.open = false
	c := s.c
	c.promised -= s.in.size
	i := slices.Index(c.streams, s)
	last := len(c.streams) - 1
	c.streams[i], c.streams[last] = c.streams[last], nil
	c.streams = c.streams[:last]
	if left := len(s.body) - s.off; left > 0 {
		c.credit(left)
	}
}

// drop breaks the exchange off without a word to the client.
func (s *stream) drop(err error) {
	if s.err == nil {
		s.err = err
	}
	if s.gone != nil && !isClosed(s.gone) {
		close(s.gone)
	}
	s.remove()
	s.wakeup.open()
}

func isClosed(gone chan struct{}) bool {
	select {
	case <-gone:
		return true
	default:
		return false
	}
}

// breakOff breaks the exchange off, and tells the client why.
func (s *stream) breakOff(why code, err error) {
	if s.open {
		s.c.refuseStream(s.id, why, s.inEnded)
	}
	if s.bodyErr == nil {
		s.bodyErr = err
	}
	s.drop(err)
}

// finish is the handler's end: what it left undone is broken off.
func (s *stream) finish() {
	c := s.c
	switch {
	case !s.open:
	case !s.outEnded:
		s.breakOff(codeInternal, errAborted)
	case c.leaving < closing && !s.tunnel:
		s.linger()
	default:
		s.breakOff(codeNo, errDone)
	}
	if !s.spent {
		s.drop(errDone)
		s.clear()
		if len(c.paused) < pausedMost {
			c.paused = append(c.paused, s)
		}
	}
	c.running--
	if c.running == 0 {
		c.quiet.open()
	}
	c.settle()
	c.flushUrgent()
}

// linger keeps an answered stream whose body is not at its end: a little more is taken, and judged as ever, so that
// a client that is about to end it need not hear of a reset; one that has much to say is told to stop (RFC 9113,
// 8.1). The stream is not used again.
func (s *stream) linger() {
	s.spent, s.err, s.bodyErr = true, errDone, errDone
	s.c.credit(len(s.body) - s.off)
	s.body, s.off = nil, 0
	if s.gone != nil && !isClosed(s.gone) {
		close(s.gone)
	}
	s.wakeup.open()
	s.lingered()
}

// lingered ends it when the client has sent half a window more.
func (s *stream) lingered() {
	if s.in.left < initWindow/2 {
		s.breakOff(codeNo, errDone)
	}
}

// read copies from the body, and waits for it.
func (s *stream) read(e *exchange, p []byte) (int, error) {
	for s.id == e.id {
		switch {
		case s.bodyErr != nil:
			return 0, s.bodyErr
		case s.off < len(s.body) && s.err == nil:
			return s.consume(p), nil
		case s.err != nil:
			return 0, io.ErrUnexpectedEOF
		case s.inEnded:
			return 0, io.EOF
		}
		s.invite()
		if s.c.out.urgent {
			s.c.flushUrgent()
			continue
		}
		if s.c.lend(); s.c.out.urgent {
			s.c.flushUrgent()
			continue
		}
		s.reading = true
		s.wakeup.wait()
		s.reading = s.reading && s.id != e.id // no longer, unless it is another request's
	}
	return 0, io.ErrUnexpectedEOF
}

// waits tells whether somebody waits for more of the body than there is.
func (s *stream) waits() bool { return s.reading && !s.inEnded && s.off == len(s.body) }

func (s *stream) consume(p []byte) int {
	n := copy(p, s.body[s.off:])
	s.off += n
	if s.off == len(s.body) {
		s.body, s.off = s.body[:0], 0
	}
	if s.open {
		s.credit(n)
		s.c.flushUrgent()
	}
	return n
}

// invite sends the 100 (Continue) a client waits for.
func (s *stream) invite() {
	if !s.expects || s.headSent || s.got > 0 {
		return
	}
	s.expects = false
	s.headers(100, nil, -1, 0)
	s.c.out.urgent = true
}

// flushUrgent sends what must not wait for an answer.
func (c *conn) flushUrgent() {
	if c.out.urgent {
		c.out.urgent = false
		c.flush()
	}
}
