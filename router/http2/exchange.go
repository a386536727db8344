package http2

import (
	"paas/router/wire"
)

// exchange is a handler's hold on a stream: it lets go by itself when the stream serves another request.
type exchange struct {
	c  *conn
	s  *stream
	id uint32
}

var (
	_ wire.Exchange = (*exchange)(nil)
	_ wire.Lively   = (*exchange)(nil)
)

// Signs implements wire.Lively.
func (e *exchange) Signs() uint32 {
	e.c.mu.Lock()
	defer e.unlock()
	return e.c.pings
}

func (e *exchange) serve() {
	e.c.server.Handler.Serve(e)
	e.c.mu.Lock()
	defer e.c.mu.Unlock()
	e.s.served = true
	if !e.s.tunnel || e.s.shut {
		e.s.finish()
	}
}

// lock takes the connection's lock, and refuses a stream that is over.
func (e *exchange) lock() error {
	e.c.mu.Lock()
	switch {
	case e.s.id != e.id:
		return errDone
	case e.s.err != nil:
		return e.s.err
	}
	return nil
}

func (e *exchange) unlock() { e.c.mu.Unlock() }

// Request implements wire.Exchange.
func (e *exchange) Request() *wire.Request { return &e.s.req }

// Read implements wire.Exchange.
func (e *exchange) Read(p []byte) (int, error) {
	e.c.mu.Lock()
	defer e.unlock()
	return e.s.read(e, p)
}

// Trailer implements wire.Exchange.
func (e *exchange) Trailer() []wire.Field {
	e.c.mu.Lock()
	defer e.unlock()
	if e.s.id != e.id {
		return nil
	}
	return e.s.trailer
}

// Interim implements wire.Exchange.
func (e *exchange) Interim(status int, fields []wire.Field) error {
	err := e.lock()
	defer e.unlock()
	if err != nil {
		return err
	}
	if e.s.headSent || status < 100 || status > 199 || status == 101 {
		return errOrder
	}
	if status == 100 {
		e.s.expects = false
	}
	e.s.headers(status, fields, -1, 0)
	e.c.flush()
	return nil
}

// Head implements wire.Exchange.
func (e *exchange) Head(status int, fields []wire.Field, length int64) error {
	err := e.lock()
	defer e.unlock()
	if err != nil {
		return err
	}
	s := e.s
	if s.headSent || status < 200 || status > 999 {
		return errOrder
	}
	s.headSent, s.length = true, length
	s.bodiless = string(s.req.Method) == "HEAD" || status == 204 || status == 304
	if status == 204 {
		length = -1
	}
	s.headers(status, fields, length, 0)
	return nil
}

// Write implements wire.Exchange. It blocks while the client's windows, or the way to it, are full.
func (e *exchange) Write(p []byte) (int, error) {
	err := e.lock()
	defer e.unlock()
	if err != nil {
		return 0, err
	}
	s := e.s
	if !s.headSent || s.outEnded {
		return 0, errOrder
	}
	if s.bodiless {
		return len(p), nil
	}
	if s.length >= 0 && s.sent+int64(len(p)) > s.length {
		s.breakOff(codeInternal, errLength)
		s.c.flushUrgent()
		return 0, errLength
	}
	return s.write(e, p)
}

// Flush implements wire.Exchange.
func (e *exchange) Flush() error {
	err := e.lock()
	defer e.unlock()
	if err == nil {
		e.c.flush()
	}
	return err
}

// End implements wire.Exchange.
func (e *exchange) End(trailers []wire.Field) error {
	err := e.lock()
	defer e.unlock()
	if err != nil {
		return err
	}
	s := e.s
	if !s.headSent || s.outEnded {
		return errOrder
	}
	if s.length >= 0 && s.sent != s.length && !s.bodiless {
		s.breakOff(codeInternal, errShort)
		s.c.flushUrgent()
		return errShort
	}
	s.end(trailers)
	s.c.flush()
	return nil
}

// Abort implements wire.Exchange.
func (e *exchange) Abort() {
	e.c.mu.Lock()
	defer e.unlock()
	if e.s.id != e.id || e.s.spent {
		return
	}
	why := codeInternal
	if e.s.tunnel || e.s.outEnded {
		why = codeCancel
	}
	e.s.breakOff(why, errAborted)
	e.c.flushUrgent()
}

// StopRead ends Read, a running one and all that follow. The answer goes on. Anybody may call it.
func (e *exchange) StopRead() {
	e.c.mu.Lock()
	defer e.unlock()
	if e.s.id != e.id || e.s.bodyErr != nil {
		return
	}
	e.s.bodyErr = errDone
	e.s.wakeup.open()
}

// Gone implements wire.Exchange. It costs nothing: somebody reads the connection all the time.
func (e *exchange) Gone() <-chan struct{} {
	e.c.mu.Lock()
	defer e.unlock()
	s := e.s
	if s.id != e.id || s.gone == nil {
		gone := make(chan struct{})
		if s.id != e.id || s.err != nil {
			close(gone)
		}
		if s.id == e.id {
			s.gone = gone
		}
		return gone
	}
	return s.gone
}

// headers queues a head, or trailers with status 0. Nothing is sent yet.
func (s *stream) headers(status int, fields []wire.Field, length int64, flags byte) {
	c := s.c
	b := c.out.start()
	at := len(b)
	b = c.enc.begin(appendFrameHead(b, 0, frameHeaders, flags|flagEndHeaders, s.id))
	if status != 0 {
		b = c.enc.status(b, status)
	}
	if length >= 0 {
		b = c.enc.length(b, length)
	}
	for _, f := range fields {
		b = c.enc.field(b, f)
	}
	c.out.buf = pieces(b, at, s.id)
	s.last, s.round = at, c.out.round
}

// pieces cuts a head that does not fit into one frame.
func pieces(b []byte, at int, id uint32) []byte {
	size := len(b) - at - frameHead
	setFrameSize(b[at:], min(size, frameSize))
	if size <= frameSize {
		return b
	}
	b[at+4] &^= flagEndHeaders
	rest := append([]byte(nil), b[at+frameHead+frameSize:]...)
	b = b[:at+frameHead+frameSize]
	for len(rest) > 0 {
		n, flags := min(len(rest), frameSize), byte(0)
		if n == len(rest) {
			flags = flagEndHeaders
		}
		b = append(appendFrameHead(b, n, frameContinuation, flags, id), rest[:n]...)
		rest = rest[n:]
	}
	return b
}

// write queues DATA as the windows allow, and sends it when it is much.
func (s *stream) write(e *exchange, p []byte) (n int, err error) {
	c := s.c
	for n < len(p) {
		switch {
		case s.id != e.id:
			return n, errDone
		case s.err != nil:
			return n, s.err
		case c.err != nil: // flush would do nothing, again and again
			return n, c.err
		case c.out.writing && len(c.out.buf) >= flushAt:
			c.out.room.wait()
		case len(c.out.buf) >= flushAt:
			c.flush()
		case min(s.window, c.window) <= 0:
			s.starve(e)
		default:
			n += s.dataFrame(p[n:])
		}
	}
	return n, nil
}

// starve sends what there is, and waits for a window.
func (s *stream) starve(e *exchange) {
	s.c.flush()
	if s.id != e.id || s.err != nil || min(s.window, s.c.window) > 0 {
		return
	}
	s.blocked = true
	s.wakeup.wait()
	if s.id == e.id {
		s.blocked = false
	}
}

// dataFrame queues as much of p as goes into one frame: the last one, if it is still the stream's and has room.
func (s *stream) dataFrame(p []byte) int {
	c := s.c
	b := c.out.start()
	had := len(b) - s.last - frameHead
	if s.round != c.out.round || had < 0 || had >= dataMost || b[s.last+3] != frameData || sizeOf(b[s.last:]) != had {
		s.last, s.round, had = len(b), c.out.round, 0
		b = appendFrameHead(b, 0, frameData, 0, s.id)
	}
	n := int(min(int64(len(p)), int64(dataMost-had), s.window, c.window))
	c.out.buf = append(b, p[:n]...)
	setFrameSize(c.out.buf[s.last:], had+n)
	s.window -= int64(n)
	c.window -= int64(n)
	s.sent += int64(n)
	s.moved += int64(n)
	c.granted++
	return n
}

// end ends the answer: with trailers, by a flag on the last frame if that has not left yet, or by an empty one.
func (s *stream) end(trailers []wire.Field) {
	c := s.c
	s.outEnded = true
	c.granted++
	switch {
	case len(trailers) > 0 && !s.bodiless:
		s.headers(0, trailers, -1, flagEnd)
	case s.round == c.out.round && len(c.out.buf) > s.last:
		c.out.buf[s.last+4] |= flagEnd
	default:
		c.out.buf = appendFrameHead(c.out.start(), 0, frameData, flagEnd, s.id)
	}
	if s.inEnded {
		s.remove()
	}
}
