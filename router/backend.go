package router

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"paas/platform"
)

// An instance that fails is left alone for a while, and for twice as long each further time.
const (
	restFirst  = time.Second
	restMost   = 30 * time.Second
	faultsRest = 3 // broken or missing answers in a row; a refused connection counts as so many
)

// backend is one instance with its connections and the count of requests that it has in flight.
type backend struct {
	platform.Backend
	route    *route
	pool     pool
	token    string // its name in the cookie of sticky clients
	inflight atomic.Int64
	leaving  atomic.Bool
	idle     chan struct{} // closed when it is leaving and nothing is in flight
	once     sync.Once
	faults   atomic.Int32 // in a row
	rests    atomic.Int32 // in a row
	restEnd  atomic.Int64 // unix nanoseconds
	begun    atomic.Int64 // of its slow start, unix nanoseconds; 0: it has its full share
	stats    counters
	frames   http2Instance
}

func newBackend(r *Router, rt *route, b platform.Backend) *backend {
	n := &backend{Backend: b, route: rt, idle: make(chan struct{}), token: token(r.secret, rt.app, b.ID)}
	n.pool.addr = b.Addr
	n.frames.open()
	return n
}

// acquire counts a request in before it looks whether the backend is leaving, so that none slips to one that was
// found idle. most bounds what is in flight; 0 does not.
func (b *backend) acquire(most int) bool {
	n := b.inflight.Add(1)
	if b.leaving.Load() || most > 0 && n > int64(most) {
		b.release()
		return false
	}
	return true
}

func (b *backend) release() {
	if b.inflight.Add(-1) == 0 && b.leaving.Load() {
		b.once.Do(func() { close(b.idle) })
	}
	b.route.line.wake()
}

// drain waits until nothing is in flight, or cuts what is left when ctx ends.
func (b *backend) drain(ctx context.Context) {
	b.leaving.Store(true)
	if b.inflight.Load() == 0 {
		b.once.Do(func() { close(b.idle) })
	}
	select {
	case <-b.idle:
		b.close()
		return
	case <-ctx.Done():
	}
	b.close()
	select { // goodbyes are short
	case <-b.idle:
	case <-time.After(farewell):
	}
}

// close ends its connections, those in use too.
func (b *backend) close() {
	b.pool.close()
	b.frames.close()
}

// failed notes a request that the instance did not answer; refused, that it did not even take the connection.
func (b *backend) failed(now time.Time, refused bool) {
	if b.faults.Add(1) < faultsRest && !refused {
		return
	}
	b.faults.Store(0)
	rest := min(restFirst<<min(b.rests.Add(1)-1, 10), restMost)
	b.restEnd.Store(now.Add(rest).UnixNano())
}

// worked forgets failures.
func (b *backend) worked() {
	if b.faults.Load() != 0 || b.rests.Load() != 0 {
		b.faults.Store(0)
		b.rests.Store(0)
		b.restEnd.Store(0)
	}
}

func (b *backend) resting(now time.Time) bool {
	end := b.restEnd.Load()
	return end != 0 && now.UnixNano() < end
}

// startSlowly gives the backend its share little by little.
func (b *backend) startSlowly(now time.Time) { b.begun.Store(now.UnixNano()) }

// leastShare of its traffic a new instance gets at once.
const leastShare = 0.1

// share is what part of its traffic the backend takes, 1 when its slow start is over: after as long as is set now, not
// as was set when it began.
func (b *backend) share(now time.Time) float64 {
	begun := b.begun.Load()
	if begun == 0 {
		return 1
	}
	ramp := slowStart(b.route.info.Load().Traffic)
	part := float64(now.UnixNano()-begun) / float64(max(ramp, 1))
	if ramp <= 0 || part >= 1 {
		b.begun.Store(0)
		return 1
	}
	return max(part, leastShare)
}

// token names an instance to nobody but the holder of the secret: a client cannot make one up.
func token(secret []byte, app platform.AppName, id platform.InstanceID) string {
	mac := hmac.New(sha256.New, secret)
	_, _ = mac.Write([]byte(string(app) + "\x00" + string(id))) // never fails
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:18])
}

// http2Instance is the way to an instance that speaks HTTP/2 without TLS, made when it is first gone.
type http2Instance struct {
	once      sync.Once
	transport *http.Transport
	cut       context.Context // ends what is in flight when draining is over
	end       context.CancelFunc
}

func (h *http2Instance) open() { h.cut, h.end = context.WithCancel(context.Background()) }

func (h *http2Instance) close() {
	h.end()
	h.once.Do(func() {})
	if h.transport != nil {
		h.transport.CloseIdleConnections()
	}
}
