package router

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"paas/platform"
)

// How long the router waits for an instance.
const (
	dialTimeout   = 5 * time.Second
	answerTimeout = 60 * time.Second // to the first byte of the answer's head
	idleUpstream  = 4 * time.Second  // many app servers close idle connections after 5 s
	maxIdle       = 1024             // connections kept to one instance
	restTime      = time.Second      // an instance that refused a connection is left alone
)

// backend is one instance with its connections and the count of requests that it has in flight.
type backend struct {
	platform.Backend
	inflight  atomic.Int64
	leaving   atomic.Bool
	restUntil atomic.Int64  // unix nanoseconds
	idle      chan struct{} // closed when it is leaving and nothing is in flight
	once      sync.Once
	cut       context.Context // ends what is still in flight when draining is over
	end       context.CancelFunc
	transport *http.Transport
}

func newBackend(b platform.Backend) *backend {
	n := &backend{Backend: b, idle: make(chan struct{})}
	n.cut, n.end = context.WithCancel(context.Background())
	dialer := net.Dialer{Timeout: dialTimeout}
	n.transport = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", b.Addr.String())
		},
		MaxIdleConnsPerHost: maxIdle, IdleConnTimeout: idleUpstream, ResponseHeaderTimeout: answerTimeout,
		DisableCompression: true, ExpectContinueTimeout: time.Second, MaxResponseHeaderBytes: 256 << 10,
	}
	return n
}

// acquire counts a request in before it looks whether the backend is leaving, so that none slips to one
// that was found idle.
func (b *backend) acquire() bool {
	b.inflight.Add(1)
	if b.leaving.Load() {
		b.release()
		return false
	}
	return true
}

func (b *backend) release() {
	if b.inflight.Add(-1) == 0 && b.leaving.Load() {
		b.once.Do(func() { close(b.idle) })
	}
}

// drain waits until nothing is in flight, or cuts what is left when ctx ends.
func (b *backend) drain(ctx context.Context) {
	b.leaving.Store(true)
	if b.inflight.Load() == 0 {
		b.once.Do(func() { close(b.idle) })
	}
	select {
	case <-b.idle:
	case <-ctx.Done():
	}
	b.close()
}

func (b *backend) close() {
	b.end()
	b.transport.CloseIdleConnections()
}

func (b *backend) rest(now time.Time) { b.restUntil.Store(now.Add(restTime).UnixNano()) }

func (b *backend) resting() bool {
	until := b.restUntil.Load()
	return until != 0 && time.Now().UnixNano() < until
}

// What keeps a request from an instance's answer.
var (
	errStopped = errors.New("the app is stopped")
	errNobody  = errors.New("the app has no instance")
	errSilent  = errors.New("the instance did not answer in time")
)

// exchange is one request on its way through.
type exchange struct {
	start   time.Time
	id      string
	route   *route
	cancel  context.CancelFunc // ends the request, WebSocket or not
	backend *backend
	letGo   func() bool // no longer cut with the backend
}

type exchangeKey struct{}

func exchangeOf(req *http.Request) *exchange {
	x, _ := req.Context().Value(exchangeKey{}).(*exchange)
	return x
}

func (x *exchange) instance() platform.InstanceID {
	if x.backend == nil {
		return ""
	}
	return x.backend.ID
}

// done counts the request out, after its answer was copied or its WebSocket has ended.
func (x *exchange) done() {
	x.leave()
	x.cancel()
}

// join ties the request to an instance that was acquired for it.
func (x *exchange) join(b *backend) {
	x.leave()
	x.backend, x.letGo = b, context.AfterFunc(b.cut, x.cancel)
}

func (x *exchange) leave() {
	if x.backend != nil {
		x.letGo()
		x.backend.release()
	}
}

// RoundTrip sends the request to an instance. One that refuses the connection has seen nothing of it, so
// another is asked; a reused connection that died is net/http's to replace where HTTP allows it.
func (r *Router) RoundTrip(req *http.Request) (*http.Response, error) {
	x := exchangeOf(req)
	if err := r.awaitWake(req.Context(), x.route); err != nil {
		return nil, err
	}
	if x.route.info.Load().Stopped {
		return nil, errStopped
	}
	var tried []*backend
	for {
		b := x.route.pick(tried)
		if b == nil {
			return nil, errNobody
		}
		x.join(b)
		res, err := send(b, req)
		if !refused(err) || req.Context().Err() != nil {
			return res, err
		}
		b.rest(r.now())
		tried = append(tried, b)
	}
}

func send(b *backend, req *http.Request) (*http.Response, error) {
	res, err := b.transport.RoundTrip(req)
	var timeout net.Error
	if err != nil && !refused(err) && errors.As(err, &timeout) && timeout.Timeout() {
		return nil, errors.Join(errSilent, err)
	}
	if err == nil && res.StatusCode == http.StatusSwitchingProtocols && !isWebSocket(req.Header) {
		return nil, errors.Join(errors.New("the instance switched protocols unasked"), res.Body.Close())
	}
	return res, err
}

// refused tells a connection that did not come about.
func refused(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
