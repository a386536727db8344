package router

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// leaving is how a router asks its clients to go to another process that listens in its place. A connection that
// is closed while it is idle may meet the client's next request half-way, and not every client may send that
// again; so each connection is told with an answer that it was the last one.
type leaving struct {
	mu    sync.Mutex
	on    bool
	conns map[net.Conn]bool // without tunnels
	busy  int               // requests, and tunnels
}

// leaveStep is how often Leave looks whether the last connection is gone.
const leaveStep = 50 * time.Millisecond

// Leave makes every answer from now on the last one on its connection, and blocks until no connection is open or
// ctx ends. A client that sends nothing is gone after the idle time. Listeners are the caller's to stop.
func (r *Router) Leave(ctx context.Context) {
	r.leaving.mu.Lock()
	r.leaving.on = true
	r.leaving.mu.Unlock()
	for quiet := 0; quiet < 2; quiet++ { // twice: a connection may just be on its way from Accept to the server
		select {
		case <-time.After(leaveStep):
		case <-ctx.Done():
			return
		}
		if r.leaving.open() > 0 {
			quiet = -1
		}
	}
}

// note follows the connections of the server.
func (l *leaving) note(c net.Conn, state http.ConnState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch state {
	case http.StateNew:
		if l.conns == nil {
			l.conns = map[net.Conn]bool{}
		}
		l.conns[c] = true
	case http.StateClosed, http.StateHijacked:
		delete(l.conns, c)
	}
}

func (l *leaving) open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns) + l.busy
}

// count counts a request in, or with -1 out.
func (l *leaving) count(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy += n
}

// mark puts into an answer that it is the last one, but for one that makes the connection a tunnel.
func (l *leaving) mark(w http.ResponseWriter, req *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.on && req.Header.Get("Upgrade") == "" {
		w.Header().Set("Connection", "close")
	}
}
