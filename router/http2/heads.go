package http2

import (
	"encoding/binary"
	"slices"

	"paas/router/wire"
)

// A head is one HEADERS frame, and as many of CONTINUATION as it needs: it opens a stream, or ends its body.

func (c *conn) headers(f *frame) error {
	if f.id%2 == 0 {
		return connError{codeProtocol, "HEADERS on a stream that clients do not open"}
	}
	p, err := f.unpad()
	if err != nil {
		return err
	}
	b := &c.block
	b.end, b.self, b.fragments, b.bytes = f.has(flagEnd), false, 1, b.bytes[:0]
	if f.has(flagPriority) {
		if len(p) < 5 {
			return connError{codeSize, "HEADERS without the priority it announces"}
		}
		b.self = binary.BigEndian.Uint32(p)&maxWindow == f.id
		p = p[5:]
	}
	if f.has(flagEndHeaders) {
		return c.decode(f.id, p)
	}
	b.id = f.id
	b.bytes = append(b.bytes, p...)
	return c.in.hold(true)
}

func (c *conn) continuation(f *frame) error {
	b := &c.block
	if b.id == 0 {
		return connError{codeProtocol, "CONTINUATION of nothing"}
	}
	b.fragments++
	b.bytes = append(b.bytes, f.payload...)
	if b.fragments > c.limits.Continued || len(b.bytes) > c.limits.block() {
		return connError{codeCalm, "a head in too many pieces"}
	}
	if !f.has(flagEndHeaders) {
		return nil
	}
	id, whole := b.id, b.bytes
	b.id, b.bytes = 0, nil
	if err := c.in.hold(false); err != nil {
		return err
	}
	return c.decode(id, whole)
}

// decode reads a whole head. That must be done for every one, wanted or not: the next depend on it.
func (c *conn) decode(id uint32, p []byte) error {
	c.mu.Lock()
	s := c.find(id)
	c.mu.Unlock()
	c.head.begin(id <= c.most)
	if _, err := c.dec.Write(p); err != nil {
		return connError{codeCompression, err.Error()}
	}
	if err := c.dec.Close(); err != nil {
		return connError{codeCompression, err.Error()}
	}
	switch {
	case id > c.most:
		return c.begin(id)
	case s != nil:
		return c.trailer(id)
	}
	return c.late(id, c.block.end)
}

// late is a head for a stream that is closed: no error when we closed it and the client may not know yet.
func (c *conn) late(id uint32, end bool) error {
	c.mu.Lock()
	i := slices.Index(c.cutOff, id)
	if i >= 0 && end {
		c.cutOff = slices.Delete(c.cutOff, i, i+1)
	}
	cost := costFrame
	if i >= 0 && c.head.bad != "" {
		cost = costError
		c.refuseStream(id, codeProtocol, true)
	}
	c.mu.Unlock()
	if i < 0 {
		return connError{codeClosed, "HEADERS on a closed stream"}
	}
	return c.spend(cost)
}

// begin opens a stream.
func (c *conn) begin(id uint32) error {
	end := c.block.end
	status := c.head.check(end)
	if status == 0 && c.head.bad == "" && c.server.Covers != nil && c.tls != nil && !c.server.Covers(c.tls, bytesOf(c.head.authority)) {
		status = 421
	}
	c.mu.Lock()
	cost := c.admit(id, status)
	c.mu.Unlock()
	if cost == 0 {
		return nil
	}
	return c.spend(cost)
}

// admit starts the request that was decoded, or refuses it and tells what that costs the client. The lock is held.
func (c *conn) admit(id uint32, status int) (cost int) {
	c.most = id
	end := c.block.end
	switch {
	case c.err != nil: // it is over for all requests, also for those that were read before
		return 0
	case c.leaving >= closing:
		c.refuseStream(id, codeRefused, end)
		return costFrame
	case c.head.bad != "" || c.block.self:
		c.refuseStream(id, codeProtocol, end)
		return costError
	// Handlers that outlive their streams count too, else resetting them would start any number of them.
	case len(c.streams) >= c.limits.Streams || c.running >= 2*c.limits.Streams:
		c.refuseStream(id, codeRefused, end)
		return costReset
	case status != 0:
		c.refuse(id, status, end)
		return costError
	}
	c.start(id, end)
	return 0
}

// refuse answers without a handler. The lock is held.
func (c *conn) refuse(id uint32, status int, end bool) {
	c.say(func(b []byte) []byte {
		at := len(b)
		b = appendFrameHead(b, 0, frameHeaders, flagEnd|flagEndHeaders, id)
		b = c.enc.length(c.enc.status(c.enc.begin(b), status), 0)
		setFrameSize(b[at:], len(b)-at-frameHead)
		return b
	})
	if !end {
		c.refuseStream(id, codeNo, false)
	}
}

// trailer ends a stream's body with fields.
func (c *conn) trailer(id uint32) error {
	c.mu.Lock()
	s := c.find(id)
	if s == nil { // it ended while the head was read
		c.mu.Unlock()
		return c.late(id, c.block.end)
	}
	h := &c.head
	why := codeNo
	switch {
	case s.inEnded:
		why = codeClosed
	case h.bad != "" || h.over || c.block.self || !c.block.end:
		why = codeProtocol
	case s.short():
		why = codeProtocol
	}
	if why == codeNo {
		s.trailer = append([]wire.Field(nil), h.fields...)
		s.endIn()
		c.mu.Unlock()
		return nil
	}
	s.breakOff(why, wire.ErrBody)
	c.mu.Unlock()
	return c.spend(costError)
}
