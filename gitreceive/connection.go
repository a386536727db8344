package gitreceive

import (
	"net"
	"sync"
	"time"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"

	"paas/platform"
)

const (
	maxConnections = 1024
	maxStrangers   = 100 // connections that have not proven a key, as sshd's MaxStartups
	missedAlive    = 3   // keepalives that may go unanswered
)

// connection is one TCP or unix connection, from its first byte on.
type connection struct {
	net.Conn
	door *Server
	idle *time.Timer // closes the connection when it has no session for long

	mu       sync.Mutex
	known    bool // a key is proven
	served   bool // it has or had a session
	sessions int
	alive    sync.Once // starts the keepalives
	guarded  sync.Once // has it closed when its key is removed
	ended    sync.Once
	closed   chan struct{}
}

// connectionKey finds the connection in its ssh.Context.
type connectionKey struct{}

func connectionOf(ctx ssh.Context) *connection { return ctx.Value(connectionKey{}).(*connection) }

// accept takes a connection, or drops it when there are too many. It has Login to prove a key.
func (d *Server) accept(ctx ssh.Context, conn net.Conn) net.Conn {
	c := &connection{Conn: conn, door: d, closed: make(chan struct{})}
	if !d.admit(c) {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = time.AfterFunc(d.options.Login, func() { _ = c.Close() })
	ctx.SetValue(connectionKey{}, c)
	return c
}

func (d *Server) admit(c *connection) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	strangers := 0
	for other := range d.conns {
		if !other.isKnown() {
			strangers++
		}
	}
	if d.closing || len(d.conns) >= maxConnections || strangers >= maxStrangers {
		return false
	}
	d.conns[c] = true
	return true
}

func (c *connection) isKnown() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known
}

// loggedIn ends the time to log in and starts the time to be idle.
func (c *connection) loggedIn() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known = true
	c.idle.Reset(c.door.options.Idle)
}

// Close closes the connection and forgets it.
func (c *connection) Close() error {
	c.ended.Do(func() {
		close(c.closed)
		c.mu.Lock()
		c.idle.Stop()
		c.mu.Unlock()
		c.door.mu.Lock()
		defer c.door.mu.Unlock()
		delete(c.door.conns, c)
	})
	return c.Conn.Close()
}

// SetDeadline does nothing: gliderlabs/ssh sets deadlines by the traffic, and the limits here are about
// logins and sessions.
func (c *connection) SetDeadline(time.Time) error { return nil }

// enter counts a session in. A connection with a session is not idle, however silent: a log may be.
func (c *connection) enter(conn *gossh.ServerConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sessions++
	c.idle.Stop()
	c.alive.Do(func() { go c.keepAlive(conn) })
}

// guard has the connection closed when its key may not come in any more. It begins before the first session looks the
// key up, so that a removal is seen by one of the two.
func (c *connection) guard(key string) {
	c.guarded.Do(func() {
		leave := c.door.options.Platform.Visiting(platform.Visit{
			Actor: platform.Actor{Fingerprint: key}, End: func(error) { go c.shutOut() },
		})
		go func() {
			<-c.closed
			leave()
		}()
	})
}

// goodbye is what sessions have to tell why they end, before their connection is closed.
const goodbye = 300 * time.Millisecond

func (c *connection) shutOut() {
	select {
	case <-time.After(goodbye):
	case <-c.closed:
	}
	_ = c.Close()
}

func (c *connection) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sessions--
	c.served = true
	if c.sessions == 0 {
		c.idle.Reset(c.door.options.Idle)
	}
}

func (c *connection) busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sessions > 0
}

// keepAlive asks the client for a sign of life while it has a session, and closes the connection when none
// comes: its machine is gone, or it is stopped, and would hold up a push for ever. It ends with the
// connection.
func (c *connection) keepAlive(conn *gossh.ServerConn) {
	interval := c.door.options.Alive
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for c.wait(tick.C) {
		if !c.busy() {
			continue
		}
		alive := time.AfterFunc(missedAlive*interval, func() { _ = c.Close() })
		_, _, err := conn.SendRequest("keepalive@openssh.com", true, nil)
		alive.Stop()
		if err != nil {
			return
		}
	}
}

func (c *connection) wait(tick <-chan time.Time) bool {
	select {
	case <-tick:
		return true
	case <-c.closed:
		return false
	}
}
