package gitreceive

import (
	"sync"

	gossh "golang.org/x/crypto/ssh"

	"paas/platform"
)

const maxSignals = 16 // that wait for a command to take them; more are dropped

// signals are what a client's "signal" and "break" requests say (RFC 4254, section 6.9; RFC 4335). They end a session
// as they end a program, unless its command has taken them over.
type signals struct {
	mu     sync.Mutex
	taken  chan platform.Signal // nil: nobody wants them
	closed bool
}

// take gives the signals to a command. The channel is closed with the session's.
func (s *signals) take() <-chan platform.Signal {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken == nil {
		s.taken = make(chan platform.Signal, maxSignals)
		if s.closed {
			close(s.taken)
		}
	}
	return s.taken
}

// deliver is false if nobody has taken the signals.
func (s *signals) deliver(name platform.Signal) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken == nil || s.closed {
		return false
	}
	select {
	case s.taken <- name:
	default:
	}
	return true
}

func (s *signals) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.taken != nil {
		close(s.taken)
	}
}

// signal passes a signal on, or ends the session on those that end a program.
func (c *channel) signal(payload []byte) {
	var s struct{ Name string }
	if gossh.Unmarshal(payload, &s) != nil || c.signals.deliver(platform.Signal(s.Name)) {
		return
	}
	switch s.Name {
	case "INT", "TERM", "HUP", "QUIT", "KILL":
		c.cancel()
	}
}

// interrupt is a break on the line. It tells whether somebody heard it.
func (c *channel) interrupt() bool { return c.signals.deliver(platform.Break) }
