package std

import (
	"io"
	"net/http"
	"time"

	"paas/router/wire"
)

// Limits are what the server below does not limit itself. Zero fields limit nothing.
type Limits struct {
	Fields int           // of a request's head
	Target int           // bytes of path and query
	Body   time.Duration // until a request that has none as a rule has begun one or ended; only HTTP/3 leaves that open
	Stall  time.Duration // in which a client moves at least StallBytes of a body that it owes or wants
}

// StallBytes is what a body must move in Limits.Stall, as with HTTP/2.
const StallBytes = 4 << 10

// refuses is the status that a request's head is refused with, or 0.
func (l Limits) refuses(req *http.Request) int {
	if l.Target > 0 && len(req.RequestURI) > l.Target {
		return http.StatusRequestURITooLong
	}
	n := 0
	for _, values := range req.Header {
		n += len(values)
	}
	if l.Fields > 0 && n > l.Fields {
		return http.StatusRequestHeaderFieldsTooLarge
	}
	return 0
}

// lookForBody finds out whether a request without a length has a body at all: over HTTP/3 that shows at the end of its
// head's stream, which quic-go does not tell. A body of unknown length goes to the instance in chunks, and there are
// instances that do not know what to do with an empty one behind a GET. Other methods may begin a conversation in
// which the client waits for us to speak, so they are not waited for.
func (x *exchange) lookForBody(wait time.Duration) error {
	if x.head.Version != wire.HTTP3 || x.head.Length >= 0 || !bodiless(x.req.Method) {
		return nil
	}
	if wait > 0 {
		x.readDeadline(time.Now().Add(wait))
		defer x.readDeadline(time.Time{})
	}
	for first := make([]byte, 1); ; {
		n, err := x.req.Body.Read(first)
		switch {
		case n > 0:
			x.begin = first
			return nil
		case err == io.EOF:
			x.head.Length = 0
			return nil
		case err != nil:
			return err
		}
	}
}

// bodiless tells the methods for whose requests a body means nothing (RFC 9110, 9.3).
func bodiless(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodDelete, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// pace is how fast one direction of a body moves. Only the time in which the client is waited for counts.
type pace struct {
	limit  time.Duration
	waited time.Duration // since StallBytes were last complete
	moved  int
}

// move does one read or write, and ends it when the client has taken too long.
func (p *pace) move(deadline func(time.Time), do func([]byte) (int, error), b []byte) (int, error) {
	begun := time.Now()
	deadline(begun.Add(p.limit - p.waited))
	n, err := do(b)
	deadline(time.Time{}) // what comes in between takes the app's time
	p.waited += time.Since(begun)
	if p.moved += n; p.moved >= StallBytes {
		p.waited, p.moved = 0, 0
	}
	return n, err
}

// readDeadline sets one, but not over that of Abort or StopRead.
func (x *exchange) readDeadline(t time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.aborted && !x.stopped {
		_ = x.rc.SetReadDeadline(t) // where there is none, the connection's end is the limit
	}
}

func (x *exchange) writeDeadline(t time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.aborted {
		_ = x.rc.SetWriteDeadline(t)
	}
}

// flush sends what net/http has gathered.
func (x *exchange) flush([]byte) (int, error) { return 0, x.rc.Flush() }
