package router

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"paas/router/wire"
)

const (
	farewell     = 4 * time.Second // for goodbyes, on both sides
	tunnelClose  = 5 * time.Second // for the second direction when the first has ended
	tunnelBuffer = 4 << 10         // bytes; there may be thousands of WebSockets that are mostly silent
)

// tunnel is a WebSocket after its handshake: two streams of bytes.
type tunnel struct {
	f      *flight
	client wire.Stream
	origin *conn
	frames frames // from the origin to the client
	idle   time.Duration
	moved  atomic.Bool // since the last look
	bytes  int64       // to the client

	mu      sync.Mutex
	leaving bool
	half    bool // one direction has ended
}

// tunnel takes the client's stream over and returns when both directions have ended.
func (f *flight) tunnel() {
	f.status, f.headers = switchingProtocols, true
	f.first = f.r.now().Sub(f.start)
	client, err := f.x.Tunnel(f.tunnelFields())
	if err != nil {
		f.cut = errors.Join(errClient, err)
		return
	}
	defer func() { _ = client.Close() }()
	f.unwatch() // from here on reading tells
	t := &tunnel{f: f, client: client, origin: f.c, idle: orDefault(f.info.Traffic.Idle, defaultIdle)}
	defer f.r.tunnels.remove(t)
	if !f.r.tunnels.add(t) || !f.b.pool.hand(f.c, t) {
		t.leave()
	}
	up := make(chan struct{})
	go func() {
		defer close(up)
		t.up()
	}()
	t.down()
	<-up
	f.bytes = t.bytes
}

// tunnelFields are the answer's, without those that HTTP/2 has another way for.
func (f *flight) tunnelFields() []field {
	fields := f.answerFields(f.c.answer.Fields)
	if f.req.Version < wire.HTTP2 {
		return fields
	}
	kept := f.fields[:0]
	for _, h := range fields {
		if !nameIs(h.Name, "sec-websocket-accept") {
			kept = append(kept, h)
		}
	}
	f.fields = kept
	return kept
}

// up copies what the client sends.
func (t *tunnel) up() {
	if to, ok := t.client.(io.WriterTo); ok {
		_, _ = to.WriteTo(upstream{t}) // how it ended makes no difference
	} else {
		_, _ = io.CopyBuffer(upstream{t}, plainReader{t.client}, make([]byte, tunnelBuffer))
	}
	_ = t.origin.CloseWrite()
	t.ended()
}

// upstream is the way to the instance. It hides that it is a TCP connection: for small messages the kernel's
// splice costs more than it saves.
type upstream struct{ t *tunnel }

func (u upstream) Write(b []byte) (int, error) {
	u.t.move()
	return u.t.origin.Write(b)
}

type plainReader struct{ io.Reader }

// down copies what the instance sends, and says goodbye when one of the two is to go.
func (t *tunnel) down() {
	t.listen(t.idle)
	for {
		_, err := t.origin.in.WriteTo(t)
		if !isTimeout(err) || !t.goesOn() {
			break
		}
	}
	t.mu.Lock()
	leaving := t.leaving
	t.mu.Unlock()
	if leaving && t.frames.between() {
		_, _ = t.client.Write(goingAway())
	}
	_ = t.client.CloseWrite()
	t.ended()
}

// goesOn decides after a deadline: a tunnel on which something moved stays, and one that is to go may end its frame.
func (t *tunnel) goesOn() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.half && !t.leaving:
		return false
	case t.leaving:
		if t.frames.between() || t.half {
			return false
		}
		t.half = true // one more time
		_ = t.origin.SetReadDeadline(time.Now().Add(farewell / 2))
		return true
	case t.moved.Swap(false):
		_ = t.origin.SetReadDeadline(time.Now().Add(t.idle))
		return true
	}
	t.leaving = true // silent for too long
	t.hurry()
	return false
}

func (t *tunnel) listen(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.leaving {
		_ = t.origin.SetReadDeadline(time.Now().Add(d))
	}
}

// Write passes on what the instance has sent.
func (t *tunnel) Write(b []byte) (int, error) {
	t.move()
	n, err := t.client.Write(b)
	t.frames.pass(b[:n])
	t.bytes += int64(n)
	return n, err
}

func (t *tunnel) move() {
	if !t.moved.Load() {
		t.moved.Store(true)
	}
}

// ended gives the other direction some time to end.
func (t *tunnel) ended() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.half {
		return
	}
	t.half = true
	if !t.leaving {
		_ = t.origin.SetReadDeadline(time.Now().Add(tunnelClose))
	}
	time.AfterFunc(tunnelClose, func() { _ = t.client.Close() })
}

// leave ends the tunnel: reading from the instance stops at once, everything else soon.
func (t *tunnel) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.leaving {
		return
	}
	t.leaving = true
	_ = t.origin.SetReadDeadline(time.Unix(1, 0))
	t.hurry()
}

// hurry bounds what is left of a tunnel that is to go.
func (t *tunnel) hurry() {
	_ = t.origin.SetWriteDeadline(time.Now().Add(farewell / 2))
	time.AfterFunc(farewell/2, func() { _ = t.client.Close() })
}

// tunnels are the WebSockets that are open.
type tunnels struct {
	mu     sync.Mutex
	open   map[*tunnel]struct{}
	closed bool
	ended  sync.WaitGroup
}

func (s *tunnels) add(t *tunnel) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[*tunnel]struct{}{}
	}
	s.open[t] = struct{}{}
	s.ended.Add(1)
	return !s.closed
}

func (s *tunnels) remove(t *tunnel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, t)
	s.ended.Done()
}

// close says goodbye to all and waits until they have ended, which they do within seconds.
func (s *tunnels) close() {
	s.mu.Lock()
	s.closed = true
	for t := range s.open {
		t.leave()
	}
	s.mu.Unlock()
	s.ended.Wait()
}
