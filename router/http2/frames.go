package http2

import (
	"encoding/binary"
	"io"
	"slices"

	"paas/router/wire"
)

// take handles one frame. An error ends the connection.
func (c *conn) take(f *frame) error {
	if c.block.id != 0 && (f.kind != frameContinuation || f.id != c.block.id) {
		return connError{codeProtocol, "a head was interrupted"}
	}
	switch f.kind {
	case frameData:
		return c.data(f)
	case frameHeaders:
		return c.headers(f)
	case frameContinuation:
		return c.continuation(f)
	case framePriority:
		return c.priority(f)
	case frameReset:
		return c.rst(f)
	case frameSettings:
		return c.settings(f)
	case framePush:
		return connError{codeProtocol, "PUSH_PROMISE from a client"}
	case framePing:
		return c.ping(f)
	case frameGoAway:
		return c.goAway(f)
	case frameWindow:
		return c.update(f)
	}
	return c.spend(costFrame)
}

// spend charges the client for a frame.
func (c *conn) spend(cost int) error {
	c.mu.Lock()
	granted := c.granted
	c.mu.Unlock()
	return c.noise.spend(cost, granted)
}

// say queues a frame of the reader's. The lock is held.
func (c *conn) say(add func(b []byte) []byte) {
	c.out.buf = add(c.out.start())
	c.out.urgent = true
}

// find returns an open stream, or nil. The lock is held.
func (c *conn) find(id uint32) *stream {
	for _, s := range c.streams {
		if s.id == id {
			return s
		}
	}
	return nil
}

// refuseStream resets a stream that is not, or no longer, in streams. The lock is held.
func (c *conn) refuseStream(id uint32, why code, ended bool) {
	c.say(func(b []byte) []byte { return appendReset(b, id, why) })
	if !ended {
		c.forget(id)
	}
}

// forget remembers a stream of which frames may still come that mean nothing. The lock is held.
func (c *conn) forget(id uint32) {
	if len(c.cutOff) >= c.limits.Streams {
		c.cutOff = slices.Delete(c.cutOff, 0, len(c.cutOff)/2)
	}
	c.cutOff = append(c.cutOff, id)
}

func (c *conn) data(f *frame) error {
	if f.id == 0 {
		return connError{codeProtocol, "DATA without a stream"}
	}
	p, err := f.unpad()
	if err != nil {
		return err
	}
	c.mu.Lock()
	cost, err := c.deliver(f, p)
	c.mu.Unlock()
	if err != nil || cost == 0 {
		return err
	}
	return c.spend(cost)
}

// deliver gives a body's bytes to their stream. The lock is held.
func (c *conn) deliver(f *frame, p []byte) (cost int, err error) {
	if f.id > c.most || f.id%2 == 0 {
		return 0, connError{codeProtocol, "DATA on an idle stream"}
	}
	if !c.inbound.spend(len(f.payload)) {
		return 0, connError{codeFlow, "more DATA than the connection's window"}
	}
	s := c.find(f.id)
	if s == nil || s.inEnded {
		return c.stray(f, s), nil
	}
	if !s.in.spend(len(f.payload)) {
		s.breakOff(codeFlow, wire.ErrBody)
		c.credit(len(f.payload))
		return costError, nil
	}
	s.got += int64(len(p))
	if s.tooLong() || f.has(flagEnd) && s.short() {
		s.breakOff(codeProtocol, wire.ErrBody)
		c.credit(len(f.payload))
		return costError, nil
	}
	s.accept(p, len(f.payload)-len(p))
	c.lendIfWaited()
	if f.has(flagEnd) {
		s.endIn()
		return 0, nil
	}
	if s.spent {
		s.lingered()
	}
	if len(p) == 0 {
		return costFrame, nil
	}
	return 0, nil
}

// stray is DATA that nobody takes. It counts as read. The lock is held.
func (c *conn) stray(f *frame, s *stream) (cost int) {
	c.credit(len(f.payload))
	if s != nil {
		s.breakOff(codeClosed, wire.ErrBody)
		return costError
	}
	i := slices.Index(c.cutOff, f.id)
	if i < 0 {
		c.refuseStream(f.id, codeClosed, true)
		return costError
	}
	if f.has(flagEnd) {
		c.cutOff = slices.Delete(c.cutOff, i, i+1)
	}
	if len(f.payload) == 0 {
		return costFrame
	}
	return 0
}

// credit gives n bytes of the connection's window back. The lock is held.
func (c *conn) credit(n int) {
	if more := c.inbound.credit(n); more > 0 {
		c.say(func(b []byte) []byte { return appendWindow(b, 0, more) })
	}
}

// lend makes room for a body that is waited for, when others have filled the connection's window. The lock is held.
func (c *conn) lend() {
	if more := c.inbound.lend(c.promised); more > 0 {
		c.say(func(b []byte) []byte { return appendWindow(b, 0, more) })
	}
}

// lendIfWaited does so when the window has become small while somebody waits. The lock is held.
func (c *conn) lendIfWaited() {
	if c.inbound.left >= frameSize {
		return
	}
	if slices.ContainsFunc(c.streams, (*stream).waits) {
		c.lend()
	}
}

// priority is ignored but for its form (RFC 9113, 5.3.2).
func (c *conn) priority(f *frame) error {
	switch {
	case f.id == 0:
		return connError{codeProtocol, "PRIORITY without a stream"}
	case len(f.payload) != 5:
		return connError{codeSize, "PRIORITY of another size"}
	case binary.BigEndian.Uint32(f.payload)&maxWindow == f.id:
		return connError{codeProtocol, "a stream that depends on itself"}
	}
	return c.spend(costFrame)
}

// rst is the client's RST_STREAM.
func (c *conn) rst(f *frame) error {
	if len(f.payload) != 4 {
		return connError{codeSize, "RST_STREAM of another size"}
	}
	c.mu.Lock()
	c.cutOff = slices.DeleteFunc(c.cutOff, func(id uint32) bool { return id == f.id }) // nothing more may come
	idle := f.id == 0 || f.id > c.most || f.id%2 == 0
	cost := costFrame
	if s := c.find(f.id); s != nil {
		if !s.headSent {
			cost = costReset
		}
		s.drop(io.ErrUnexpectedEOF)
	}
	c.mu.Unlock()
	if idle {
		return connError{codeProtocol, "RST_STREAM on an idle stream"}
	}
	return c.spend(cost)
}

func (c *conn) settings(f *frame) error {
	switch {
	case f.id != 0:
		return connError{codeProtocol, "SETTINGS of a stream"}
	case f.has(flagAck) && len(f.payload) > 0, len(f.payload)%settingBytes != 0:
		return connError{codeSize, "SETTINGS of another size"}
	case f.has(flagAck):
		return c.spend(costFrame)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := f.payload; len(p) > 0; p = p[settingBytes:] {
		if err := c.setting(binary.BigEndian.Uint16(p), binary.BigEndian.Uint32(p[2:])); err != nil {
			return err
		}
	}
	c.say(func(b []byte) []byte { return appendFrameHead(b, 0, frameSettings, flagAck, 0) })
	return c.noise.spend(costFrame+len(f.payload)/settingBytes, c.granted)
}

// setting follows one of the client's. The lock is held.
func (c *conn) setting(id uint16, value uint32) error {
	switch id {
	case settingTableSize:
		c.enc.resize(value)
	case settingPush, settingConnect:
		if value > 1 {
			return connError{codeProtocol, "a setting that is neither on nor off"}
		}
	case settingFrameSize:
		if value < frameSize || value > largestFrameLimit {
			return connError{codeProtocol, "SETTINGS_MAX_FRAME_SIZE out of range"}
		}
	case settingWindow:
		return c.rewindow(value)
	}
	return nil
}

// rewindow changes every stream's window by what the initial one changes (RFC 9113, 6.9.2). The lock is held.
func (c *conn) rewindow(value uint32) error {
	if value > maxWindow {
		return connError{codeFlow, "SETTINGS_INITIAL_WINDOW_SIZE out of range"}
	}
	more := int64(value) - c.initial
	c.initial = int64(value)
	for _, s := range c.streams {
		if s.window += more; s.window > maxWindow {
			return connError{codeFlow, "a stream's window is too large"}
		}
		s.wake()
	}
	return nil
}

func (c *conn) ping(f *frame) error {
	switch {
	case f.id != 0:
		return connError{codeProtocol, "PING of a stream"}
	case len(f.payload) != 8:
		return connError{codeSize, "PING of another size"}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !f.has(flagAck) {
		c.pings++
		c.say(func(b []byte) []byte { return appendPing(b, flagAck, f.payload) })
	} else if string(f.payload) == leavePing {
		c.lastCall()
	}
	return c.noise.spend(costFrame, c.granted)
}

// goAway is a client that opens no more streams; its requests are answered all the same.
func (c *conn) goAway(f *frame) error {
	switch {
	case f.id != 0:
		return connError{codeProtocol, "GOAWAY of a stream"}
	case len(f.payload) < 8:
		return connError{codeSize, "GOAWAY of another size"}
	}
	return c.spend(costFrame)
}

// update is WINDOW_UPDATE.
func (c *conn) update(f *frame) error {
	if len(f.payload) != 4 {
		return connError{codeSize, "WINDOW_UPDATE of another size"}
	}
	more := int64(binary.BigEndian.Uint32(f.payload) & maxWindow)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.enlarge(f.id, more); err != nil {
		return err
	}
	return c.noise.spend(costFrame, c.granted)
}

func (c *conn) enlarge(id uint32, more int64) error {
	if id == 0 {
		return c.enlargeAll(more)
	}
	if id > c.most || id%2 == 0 {
		return connError{codeProtocol, "WINDOW_UPDATE on an idle stream"}
	}
	s := c.find(id)
	if s == nil {
		return nil
	}
	s.window += more
	switch {
	case more == 0:
		s.breakOff(codeProtocol, io.ErrUnexpectedEOF)
		return c.noise.spend(costError, c.granted)
	case s.window > maxWindow:
		s.breakOff(codeFlow, io.ErrUnexpectedEOF)
		return c.noise.spend(costError, c.granted)
	}
	s.wake()
	return nil
}

func (c *conn) enlargeAll(more int64) error {
	if more == 0 {
		return connError{codeProtocol, "WINDOW_UPDATE by nothing"}
	}
	if c.window += more; c.window > maxWindow {
		return connError{codeFlow, "the connection's window is too large"}
	}
	for _, s := range c.streams {
		s.wake()
	}
	return nil
}
