package http2

import "time"

const (
	// keeperRounds is how often a connection is looked at in the shortest of its limits: one is met to a quarter.
	keeperRounds = 4
	// stallBytes is what a body must move in Limits.Stall: less is a client that holds us on purpose.
	stallBytes = 4 << 10
	// leavePing is in the PING that follows the first GOAWAY.
	leavePing = "goodbye!"
)

func (c *conn) tick() time.Duration { return min(c.limits.Idle, c.limits.Stall) / keeperRounds }

// keep looks after a connection from time to time: who waits for what, and since when. So nothing on the way of a
// request sets a timer or asks for the time.
func (c *conn) keep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	tick := c.tick()
	switch {
	case c.err != nil:
		return
	case c.leaving == closed:
		_ = c.nc.Close()
		return
	case c.leaving == warned:
		c.lastCall()
	}
	c.stuck()
	for i := len(c.streams) - 1; i >= 0; i-- {
		c.streams[i].look()
	}
	c.rest(tick)
	c.kickUrgent()
	if c.leaving != closed {
		c.keeper.Reset(tick)
	}
}

func (c *conn) kickUrgent() {
	if c.out.urgent {
		c.out.urgent = false
		c.kick()
	}
}

// rest ends a connection that had no stream for long.
func (c *conn) rest(tick time.Duration) {
	if len(c.streams) > 0 || c.running > 0 || c.most != c.restedAt {
		c.idle, c.restedAt = 0, c.most
		return
	}
	c.paused = nil
	if c.idle += tick; c.idle >= c.limits.Idle && c.leaving < closing {
		c.lastCall()
	}
}

// stuck ends a connection whose client takes nothing: one write did not end in Limits.Stall.
func (c *conn) stuck() {
	if !c.out.writing || c.out.round != c.stuckRound {
		c.stuckRound, c.stuckFor = c.out.round, 0
		return
	}
	if c.stuckFor++; time.Duration(c.stuckFor)*c.tick() >= c.limits.Stall {
		c.fail(errGone)
		_ = c.nc.Close()
	}
}

// look breaks off a stream whose client neither takes the answer nor sends the body it announced. A body without
// a length may take its time: it may be a conversation.
func (s *stream) look() {
	waits := s.blocked || s.reading && !s.inEnded && s.req.Length > 0
	if !waits || s.moved >= stallBytes {
		s.moved, s.stalled = 0, 0
		return
	}
	// A round may be of the shortest limit, which need not be this one.
	if s.stalled++; time.Duration(s.stalled)*s.c.tick() >= s.c.limits.Stall {
		s.breakOff(codeCancel, errStalled)
	}
}

// leave begins a regular end: the first GOAWAY lets every stream come that is already on its way, and the answer
// to the PING behind it tells that they have.
func (c *conn) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaving != staying || c.err != nil {
		return
	}
	c.leaving = warned
	c.say(func(b []byte) []byte {
		return appendPing(appendGoAway(b, maxWindow, codeNo, ""), 0, []byte(leavePing))
	})
	c.kickUrgent()
	if c.keeper != nil {
		c.keeper.Reset(leaveRound)
	}
}

// turnAway ends a connection that came too late, so that the client asks somebody else.
func (c *conn) turnAway() {
	_ = c.nc.SetDeadline(time.Now().Add(linger))
	if _, err := c.nc.Write(appendGoAway(c.hello(), 0, codeNo, "")); err == nil {
		c.lingering()
	}
	_ = c.nc.Close()
}

// lastCall is the last GOAWAY: later streams are not served. The lock is held.
func (c *conn) lastCall() {
	if c.leaving >= closing {
		return
	}
	c.leaving = closing
	c.say(func(b []byte) []byte { return appendGoAway(b, c.most, codeNo, "") })
	c.kickUrgent()
	c.settle()
}

// settle closes a connection that is leaving, once nothing is on its way. The lock is held.
func (c *conn) settle() {
	if c.leaving != closing || len(c.streams) > 0 || c.running > 0 {
		return
	}
	c.leaving = closed
	c.out.urgent = false
	if !c.out.writing {
		c.out.writing = true
		go c.writeOn()
	}
}

// hangUp ends our direction after the last frame; the client ends the other, or the keeper does. The lock is held,
// and let go of meanwhile.
func (c *conn) hangUp() {
	c.mu.Unlock()
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	} else {
		_ = c.nc.Close()
	}
	c.mu.Lock()
	if c.keeper != nil {
		c.keeper.Reset(linger)
	}
}
