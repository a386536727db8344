package http1

import (
	"math"
	"net/http"
	"time"

	"golang.org/x/sys/unix"
)

// What a connection is waiting for. A word in conn.in and conn.out has the phase in its low bits, and above them a
// number that changes with every request, so that two glances at it tell whether it is still the same wait.
const (
	quiet    = iota // for nothing that a client owes
	idling          // the first byte of a request
	heading         // the rest of a head, or a handshake
	reading         // a body
	writing         // the client to take what is sent
	poked           // the deadline of reads is past: the sweep found it idle for too long, or the server drains
	phaseMax = 7
	oneMore  = phaseMax + 1
)

// Glances at all connections: as often as the shortest limit needs, and not more often.
const (
	glance      = time.Second
	shortGlance = 10 * time.Millisecond
)

// longAgo as a deadline ends a wait at once.
var longAgo = time.Unix(1, 0)

// wait is what the sweep knows of one direction of one connection. Only the sweep looks at it.
type wait struct {
	word   uint32
	since  time.Time // of the first glance at this word
	mark   int64     // what had been moved when the window began
	moved  int64     // what had been moved at the last glance
	waited time.Duration
	still  time.Duration // the part of it at the end in which nothing moved
}

// sweepWhileNeeded looks after deadlines as long as there are connections. A request costs no timer: it only leaves
// a word on what it waits for.
func (s *Server) sweepWhileNeeded() {
	if s.sweeping.CompareAndSwap(false, true) {
		go s.sweep()
	}
}

func (s *Server) sweep() {
	every := max(shortGlance, min(glance, s.limits.Header/8, s.limits.Idle/8, s.limits.Window/8))
	tick := time.NewTicker(every)
	defer tick.Stop()
	s.refreshDate(time.Now())
	for {
		now := <-tick.C
		s.refreshDate(now)
		s.conns.each(func(c *conn) { c.glance(now, every) })
		if s.conns.count.Load() > 0 {
			continue
		}
		s.sweeping.Store(false)
		if s.conns.count.Load() == 0 || !s.sweeping.CompareAndSwap(false, true) {
			return
		}
	}
}

func (s *Server) refreshDate(now time.Time) {
	d := "Date: " + now.UTC().Format(http.TimeFormat) + "\r\n"
	s.date.Store(&d)
}

func (c *conn) glance(now time.Time, every time.Duration) {
	c.glanceIn(now, every)
	c.glanceOut(every)
}

func (c *conn) glanceIn(now time.Time, every time.Duration) {
	w, word, l := &c.inWait, c.in.Load(), &c.s.limits
	if w.word != word&^phaseMax {
		*w = wait{word: word &^ phaseMax, mark: c.got.Load()}
	}
	switch phase := word & phaseMax; phase {
	case idling, heading:
		c.glanceHead(now, phase)
	case reading:
		if w.slow(c.got.Load(), every, l) || w.still >= c.patience(&c.readTimeout) {
			c.end(word)
		}
	}
}

// glanceHead compares times, since nothing but time counts until a head is there.
func (c *conn) glanceHead(now time.Time, phase uint32) {
	w, word := &c.inWait, c.in.Load()
	if w.since.IsZero() || w.moved != int64(phase) {
		w.since, w.moved = now, int64(phase)
		if phase == idling && c.raw != nil && hasLeft(c.raw) { // its loop may not have been told
			c.end(word)
			return
		}
	}
	if now.Sub(w.since) >= c.longest(phase) {
		c.end(word)
	}
}

// longest is how long a head may take, or its first byte.
func (c *conn) longest(phase uint32) time.Duration {
	l, p := &c.s.limits, c.patient.Load()
	switch {
	case phase == heading && p != nil && p.Head > 0:
		return p.Head
	case phase == heading:
		return l.Header
	case p != nil && p.Idle > 0:
		return p.Idle
	}
	return l.Idle
}

// slow counts a glance at a direction in which something should move, and tells whether it was too little in a
// whole window.
func (w *wait) slow(moved int64, every time.Duration, l *Limits) bool {
	if w.still += every; moved != w.moved {
		w.still, w.moved = 0, moved
	}
	if w.waited += every; w.waited < l.Window {
		return false
	}
	least := int64(math.Min(float64(l.Rate)*l.Window.Seconds(), noLimit))
	slow := moved-w.mark < least
	w.waited, w.mark = 0, moved
	return slow && l.Rate < noLimit
}

// glanceOut asks the kernel what the client has acknowledged. An instance that sends slowly is not the client's
// fault: then there is nothing unsent.
func (c *conn) glanceOut(every time.Duration) {
	w, word := &c.outWait, c.out.Load()
	if word&phaseMax != writing {
		*w = wait{word: word}
		return
	}
	acked, waiting := c.sent()
	if !waiting || w.word&phaseMax != writing {
		*w = wait{word: word, mark: acked, moved: acked}
		return
	}
	if w.slow(acked, every, &c.s.limits) || w.still >= c.patience(&c.writeTimeout) {
		_ = c.net.SetWriteDeadline(longAgo)
	}
}

// sent is how many bytes the client has acknowledged, and whether it has others to acknowledge. What is no socket
// has no answer to that, and is judged by whether a write ends.
func (c *conn) sent() (acked int64, waiting bool) {
	if c.raw == nil {
		return int64(c.out.Load()), true
	}
	var info *unix.TCPInfo
	err := c.raw.Control(func(fd uintptr) { info, _ = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	if err != nil || info == nil {
		return int64(c.out.Load()), true
	}
	return int64(info.Bytes_acked), info.Unacked > 0 || info.Notsent_bytes > 0
}

// end ends a wait for the client, if it is still the one that was found too long.
func (c *conn) end(word uint32) {
	c.poke.Lock()
	defer c.poke.Unlock()
	if c.in.CompareAndSwap(word, word&^phaseMax|poked) {
		_ = c.net.SetReadDeadline(longAgo)
	}
}

// letGo ends the wait for another request.
func (c *conn) letGo() {
	if word := c.in.Load(); word&phaseMax == idling {
		c.end(word)
	}
}

// received ends a wait. If it was ended by others at the same moment, their deadline is taken back.
func (c *conn) received(phase uint32) {
	if old := c.in.Swap(c.turn | phase); old&phaseMax != poked {
		return
	}
	c.mayRead()
	c.last.Store(true)
}

// mayRead takes a deadline in the past back, but for those of Abort and StopRead.
func (c *conn) mayRead() {
	c.poke.Lock()
	defer c.poke.Unlock()
	if !c.aborted.Load() && !c.stopped.Load() {
		_ = c.net.SetReadDeadline(time.Time{})
	}
}

// cut ends reads and writes from now on.
func (c *conn) cut() {
	c.poke.Lock()
	defer c.poke.Unlock()
	_ = c.net.SetDeadline(longAgo)
	c.last.Store(true)
}
