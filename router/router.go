// Package router sends HTTP requests to the instances of apps. A deploy is one pointer: requests that come after
// Swap go to the new instances, those in flight finish on the old ones, and the deployer is told when the last has.
//
//	http1 │ http2 │ net/http ─► wire.Exchange ─► flight: host ─► route ─► backend (counted) ─► pool ─► instance
//
// The table from hostnames to routes is read without a lock and copied in small parts when a hostname comes or
// goes; the instances of a route sit behind a pointer of their own. A flight is one request on its way: it runs on
// the goroutine of its client's connection or stream, writes the request to a connection of the instance, reads
// the answer from it and passes it on. A connection to an instance has no goroutine and, while idle, no buffer.
package router

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"paas/platform"
	"paas/router/edge"
)

// Options are what a Router needs. Zero values mean the defaults.
type Options struct {
	Log *slog.Logger
	// Access takes the lines of an app's access log in batches, at most half a second after the requests. It
	// must not keep the texts. One call an app at a time; requests go on meanwhile, until a mebibyte of lines waits.
	// nil: there is no access log.
	Access func(app platform.AppName, lines []platform.AccessLine)
	// Reserved are hostnames, in lower case and without port, that the platform answers at itself. No
	// route takes them away.
	Reserved map[string]http.Handler
	// Wake has an app that is asleep woken up, and returns at once. It is called once for each
	// sleep, by the first request that comes; the answer is a Swap.
	Wake func(app platform.AppName)
	// Trusted are proxies in front of this one: what they say about who asks is believed and passed on.
	Trusted []netip.Prefix
	// Secret signs the cookies of sticky clients; one that is made up for this Router when empty.
	Secret []byte
	// Covers tells whether a connection's certificate stands for the authority of a request that comes over HTTP/2;
	// one it does not stand for is answered 421. nil: any. It must not block.
	Covers func(state *tls.ConnectionState, authority []byte) bool
	// Challenge answers ACME authorities; Secured tells whether a host would be served over TLS, trusted: with a
	// certificate that browsers know. Both look in memory only; nil for no TLS. See certs.Manager.
	Challenge func(host, path string) (answer string, ok bool)
	Secured   func(host string, trusted bool) bool
	// AltSvc is said in answers over TLS (RFC 7838), like `h3=":443"`; empty: nothing is.
	AltSvc string
	// Reference has net/http speak with the clients of HTTP/1, instead of package http1.
	Reference bool
	Now       func() time.Time
}

// Router implements platform.Router and wire.Handler, and serves.
type Router struct {
	log     *slog.Logger
	access  func(platform.AppName, []platform.AccessLine)
	own     map[string]http.Handler
	wake    func(platform.AppName)
	trusted []netip.Prefix
	secret  []byte
	now     func() time.Time
	since   func(time.Time) time.Duration // by the same clock, for half of what now costs
	front   front
	altSvc  []byte // nil: nothing is said

	intake atomic.Pointer[platform.Intake]
	mirror edge.Mirror

	challenge func(host, path string) (string, bool)
	secured   func(host string, trusted bool) bool

	mu      sync.Mutex // of changes
	routes  map[platform.AppName]*route
	apps    sync.Map // of *route by name
	table   *table
	tunnels tunnels
	flights sync.Pool
	buffers sync.Pool
	shards  atomic.Uint32
}

// New makes a router without routes.
func New(o Options) *Router {
	r := &Router{
		log: o.Log, access: o.Access, own: o.Reserved, wake: o.Wake, trusted: o.Trusted, secret: o.Secret, now: o.Now,
		routes: map[platform.AppName]*route{}, table: newTable(), challenge: o.Challenge, secured: o.Secured,
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	r.since = func(t time.Time) time.Duration { return r.now().Sub(t) }
	if r.now == nil {
		r.now, r.since = time.Now, time.Since
	}
	if len(r.secret) == 0 {
		r.secret = make([]byte, 32)
		_, _ = rand.Read(r.secret) // never fails (crypto/rand)
	}
	if o.AltSvc != "" {
		r.altSvc = []byte(o.AltSvc)
	}
	r.front.open(r, o)
	r.Configure(platform.Intake{})
	return r
}

// Configure implements platform.Router.
func (r *Router) Configure(in platform.Intake) {
	in = in.Defaults()
	in.TrustedProxies = slices.Concat(r.trusted, in.TrustedProxies)
	r.intake.Store(&in)
	r.front.limit(in)
}

// Shutdown stops listening and waits for requests in flight, at most until ctx ends; then it cuts them. WebSockets
// are told goodbye.
func (r *Router) Shutdown(ctx context.Context) error {
	bye := make(chan struct{})
	go func() {
		defer close(bye)
		r.tunnels.close()
	}()
	err := r.front.shutdown(ctx)
	<-bye
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rt := range r.routes {
		for _, b := range *rt.backends.Load() {
			b.close()
		}
		rt.access.flush(r, rt.app)
	}
	return errors.Join(err)
}

func (r *Router) takeBuffer() *[]byte {
	if p, ok := r.buffers.Get().(*[]byte); ok {
		return p
	}
	p := make([]byte, bufferSize)
	return &p
}

func (r *Router) putBuffer(p *[]byte) { r.buffers.Put(p) }
