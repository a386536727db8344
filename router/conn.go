package router

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"paas/router/http1"
)

// How the router keeps its connections to instances.
const (
	dialTimeout  = 5 * time.Second
	idleUpstream = 4 * time.Second  // many app servers close idle connections after 5 s
	idleMost     = 60 * time.Second // when the instance says that it keeps them for longer
	idleLeast    = 100 * time.Millisecond
	maxIdle      = 1024 // to one instance
	// probeAfter is from what idle time on a connection is asked whether it still lives before it is used, which costs
	// a system call. A request that may be sent twice does without when the connection was used a moment ago.
	probeAfter = 5 * time.Millisecond
)

// conn is a connection to an instance. Nobody reads it while it is idle: no goroutine, no buffer.
type conn struct {
	*net.TCPConn
	raw     syscall.RawConn
	in      *http1.Reader // holds no memory while the connection is idle
	answer  http1.Answer
	body    http1.Body
	freed   time.Time // when it became idle
	armed   time.Time // the deadline of reads, as it stands
	cut     atomic.Bool
	answers int              // that it has carried
	look    func(fd uintptr) // lookOnce
	lives   bool             // what it saw

	owner  *tunnel // under the pool's mu: who is to say goodbye when draining is over
	pool   *pool
	before *conn // in the pool's list of all
	after  *conn
}

// pool is the connections to one instance.
type pool struct {
	addr netip.AddrPort

	mu     sync.Mutex
	idle   []*conn // the last one was used last, and is used next
	all    *conn
	keep   patience
	sweep  *time.Timer // nil when nothing is idle
	closed bool
}

var errClosed = errors.New("the instance is on its way out")

// take gives an idle connection that lives, or nil. once says that the request must not be sent twice: then the
// connection is always asked, and one that was never used again and may be about to close, as those of servers that
// do not say so, is not waited for.
func (p *pool) take(now time.Time, once bool) *conn {
	for {
		c := p.pop()
		if c == nil {
			return nil
		}
		rested := now.Sub(c.freed)
		switch {
		case rested < probeAfter && !once:
			return c
		case rested < probeAfter && c.answers < 2:
		case rested > p.limit(now):
		case c.alive():
			return c
		default:
			p.learn(rested, now)
		}
		p.discard(c)
	}
}

func (p *pool) pop() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	c := p.idle[n-1]
	p.idle[n-1] = nil
	p.idle = p.idle[:n-1]
	return c
}

func (p *pool) limit(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keep.now(now)
}

// learn notes that the instance closed a connection that had rested so long.
func (p *pool) learn(rested time.Duration, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keep.learn(rested, now)
}

// alive looks for the connection's end, or for bytes that nobody asked for, without waiting.
func (c *conn) alive() bool {
	c.lives = false
	_ = c.raw.Control(c.look) // an error leaves it dead
	return c.lives
}

func (c *conn) lookOnce(fd uintptr) { c.lives = !http1.Ripe(fd) }

// readable waits, without a buffer, until there is something to read, or the deadline of reads has passed.
func (c *conn) readable() error {
	return c.raw.Read(http1.Ripe)
}

// dial makes a connection.
func (p *pool) dial() (*conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	made, err := d.Dial("tcp", p.addr.String())
	if err != nil {
		return nil, err
	}
	c := &conn{TCPConn: made.(*net.TCPConn), pool: p}
	if c.raw, err = c.SyscallConn(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	_ = c.raw.Control(calm) // what refuses it stays as it is
	c.in, c.look = http1.NewReader(c.TCPConn), c.lookOnce
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errors.Join(errClosed, c.Close())
	}
	if c.after = p.all; c.after != nil {
		c.after.before = c
	}
	p.all = c
	return c, nil
}

// put keeps a connection for the next request.
func (p *pool) put(c *conn, now time.Time) {
	c.in.Release()
	c.freed = now
	c.answers++
	p.mu.Lock()
	if p.closed || len(p.idle) >= maxIdle {
		p.mu.Unlock()
		p.discard(c)
		return
	}
	p.idle = append(p.idle, c)
	if p.sweep == nil {
		p.sweep = time.AfterFunc(p.keep.now(now), p.clean)
	}
	p.mu.Unlock()
}

// clean closes what was idle for too long, and comes again as long as something is.
func (p *pool) clean() {
	p.mu.Lock()
	now := time.Now()
	keep := p.keep.now(now)
	old := now.Add(-keep)
	n := 0
	for n < len(p.idle) && p.idle[n].freed.Before(old) {
		n++
	}
	gone := append([]*conn(nil), p.idle[:n]...)
	p.idle = append(p.idle[:0], p.idle[n:]...)
	clear(p.idle[len(p.idle) : len(p.idle)+n])
	p.sweep = nil
	if len(p.idle) > 0 && !p.closed {
		p.sweep = time.AfterFunc(max(keep/2, idleLeast), p.clean)
	}
	p.mu.Unlock()
	for _, c := range gone {
		p.discard(c)
	}
}

// dismiss closes what is idle. The instance is about to stand still, and would close what was idle for too long
// the moment it goes on, under the next request.
func (p *pool) dismiss() {
	for c := p.pop(); c != nil; c = p.pop() {
		p.discard(c)
	}
}

// discard closes a connection that is not idle.
func (p *pool) discard(c *conn) {
	p.mu.Lock()
	if c.before != nil {
		c.before.after = c.after
	} else if p.all == c {
		p.all = c.after
	}
	if c.after != nil {
		c.after.before = c.before
	}
	c.before, c.after = nil, nil
	p.mu.Unlock()
	_ = c.Close() // nothing is lost with it
}

// hand tells the pool who speaks over a connection that became a tunnel. It is false when all must go.
func (p *pool) hand(c *conn, t *tunnel) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.owner = t
	return !p.closed
}

// close ends the connections, idle or not; tunnels say goodbye first.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.sweep != nil {
		p.sweep.Stop()
	}
	for c := p.all; c != nil; c = c.after {
		if c.owner != nil {
			c.owner.leave()
			continue
		}
		c.cut.Store(true)
		_ = c.Close() // whoever uses it notices
	}
	p.idle, p.sweep = nil, nil
}

// Deadlines of reads are set anew only when they are off by so much, not for each request.
const (
	glance = 500 * time.Millisecond // a wait that is not long
	slack  = time.Second
)

// armGlance has reads give up after glance, or a little later.
func (c *conn) armGlance(now time.Time) {
	if c.armed.Sub(now) < glance {
		c.arm(now.Add(glance + slack))
	}
}

func (c *conn) arm(until time.Time) {
	c.armed = until
	_ = c.SetReadDeadline(until) // fails on a closed one, which reading tells
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
