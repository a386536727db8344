package http1

import (
	"crypto/tls"
	"net"
	"time"
)

const (
	lingerSilence = 5 * time.Second // without a byte of the client
	lingerRefused = time.Second     // in all, for a client whose head was none: there is less to lose
	lingerPiece   = 16 << 10        // bytes
)

// linger closes the connection such that the client gets what was sent even if it is still sending: bytes that
// nobody reads would make the kernel reset the connection, and the client drop our answer. It is told that nothing
// more comes, and what it sends is dropped, also below TLS, where it need not be deciphered for that.
//
//	answer, close_notify, FIN ─►
//	◄─ the rest of the body
//	◄─ FIN, or enough is enough
func (c *conn) linger() {
	n := c.net
	if t, ok := n.(*tls.Conn); ok {
		_ = t.CloseWrite() // close_notify; a client that takes nothing is waited for 5 s (crypto/tls)
		n = t.NetConn()
	}
	half, ok := n.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	c.received(quiet)
	c.dropFrom(n)
}

// dropFrom reads until the client is done, or out of patience with it, or the server cuts everything.
func (c *conn) dropFrom(n net.Conn) {
	end := time.Now().Add(c.lingers)
	sink := make([]byte, lingerPiece)
	for left := c.s.limits.Dropped; left > 0 && c.wait(n, end); {
		got, err := n.Read(sink)
		if err != nil {
			return
		}
		left -= int64(got)
	}
}

// wait allows for one more read, unless it is too late.
func (c *conn) wait(n net.Conn, end time.Time) bool {
	now := time.Now()
	c.poke.Lock()
	defer c.poke.Unlock()
	if c.aborted.Load() || !now.Before(end) {
		return false
	}
	return n.SetReadDeadline(earlier(now.Add(lingerSilence), end)) == nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
