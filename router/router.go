// Package router sends HTTP requests to the instances of apps. A deploy is one pointer: requests that
// come after Swap go to the new instances, those in flight finish on the old ones, and the deployer is
// told when the last has.
//
//	listener ─► net/http ─► ServeHTTP: host ─► route ─► backend (in-flight counter) ─► instance
//
// The table from hostnames to routes sits behind an atomic pointer and is copied only when a hostname
// comes or goes; the instances of a route sit behind another.
package router

import (
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"sync/atomic"
	"time"

	"paas/platform"
)

// Options are what a Router needs. Zero values mean the defaults.
type Options struct {
	Log       *slog.Logger
	AccessLog io.Writer // a line for each request; nil for none
	// Reserved are hostnames, in lower case and without port, that the platform answers at itself. No
	// route takes them away.
	Reserved map[string]http.Handler
	Now      func() time.Time
	// Wake asks for an app that sleeps to be woken. It must return at once. It is called once for each sleep;
	// the answer is a Swap.
	Wake func(app platform.AppName)
}

// Limits of what clients may do.
const (
	headerTimeout = 10 * time.Second  // to send a request's head
	idleTimeout   = 120 * time.Second // between two requests
	maxHeader     = 32 << 10          // bytes of a request's head
	maxTarget     = 16 << 10          // bytes of its target
)

// Router implements platform.Router and serves.
type Router struct {
	log    *slog.Logger
	access *accessLog
	now    func() time.Time
	server *http.Server
	own    map[string]http.Handler
	wake   func(platform.AppName)
	proxy  *httputil.ReverseProxy

	mu     sync.Mutex // of changes
	routes map[platform.AppName]*route
	table  atomic.Pointer[map[string]*route]
}

// New makes a router without routes.
func New(o Options) *Router {
	r := &Router{log: o.Log, now: o.Now, own: o.Reserved, wake: o.Wake, routes: map[platform.AppName]*route{}}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if r.wake == nil {
		r.wake = func(platform.AppName) {}
	}
	if r.now == nil {
		r.now = time.Now
	}
	r.access = newAccessLog(o.AccessLog)
	r.table.Store(&map[string]*route{})
	r.proxy = &httputil.ReverseProxy{
		Rewrite: rewrite, Transport: r, ErrorHandler: r.failed, FlushInterval: -1, BufferPool: &buffers{},
		ErrorLog: log.New(io.Discard, "", 0), // failed says what matters
	}
	r.server = &http.Server{
		Handler: r, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: log.New(io.Discard, "", 0), // strangers' broken requests are no news
	}
	return r
}

// Serve answers on l until Shutdown; then it returns nil. It blocks.
func (r *Router) Serve(l net.Listener) error {
	if err := r.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown stops listening and waits for requests in flight, at most until ctx ends; then it cuts them.
func (r *Router) Shutdown(ctx context.Context) error {
	err := r.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, r.server.Close())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rt := range r.routes {
		for _, b := range *rt.backends.Load() {
			b.close()
		}
	}
	return errors.Join(err, r.access.close())
}

// ServeHTTP answers one request: by an instance, or by a page that says why not.
func (r *Router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	seen := &watched{ResponseWriter: w}
	x := &exchange{start: r.now(), id: requestID(req)}
	r.answer(seen, req, x)
	r.access.write(x, seen, req, r.now())
}

func (r *Router) answer(w http.ResponseWriter, req *http.Request, x *exchange) {
	host, ok := hostOf(req.Host)
	switch {
	case !ok:
		page(w, req, http.StatusBadRequest, "Bad request", "The Host header is not a hostname.")
		return
	case req.Method == http.MethodConnect:
		page(w, req, http.StatusMethodNotAllowed, "Not a proxy", "CONNECT is not served here.")
		return
	case len(req.RequestURI) > maxTarget:
		page(w, req, http.StatusRequestURITooLong, "Address too long", "The address is longer than 16 KiB.")
		return
	}
	if own := r.own[host]; own != nil {
		own.ServeHTTP(w, req)
		return
	}
	rt := (*r.table.Load())[host]
	if rt == nil {
		page(w, req, http.StatusNotFound, "No such app", "There is no app at "+host+".")
		return
	}
	rt.requests.Add(1)
	rt.inflight.Add(1)
	defer rt.done(r.now)
	x.route = rt
	ctx, cancel := context.WithCancel(context.WithValue(req.Context(), exchangeKey{}, x))
	x.cancel = cancel
	defer x.done()
	r.proxy.ServeHTTP(w, req.WithContext(ctx))
}

// failed answers for an instance that did not.
func (r *Router) failed(w http.ResponseWriter, req *http.Request, err error) {
	x := exchangeOf(req)
	app := string(x.route.info.Load().App)
	switch {
	case errors.Is(err, errStopped):
		page(w, req, http.StatusServiceUnavailable, "Stopped", app+" is stopped.")
	case errors.Is(err, errAsleep):
		w.Header().Set("Retry-After", "5")
		page(w, req, http.StatusServiceUnavailable, "Waking up", app+" is waking up; too many wait for it, or it takes too long.")
	case errors.Is(err, errNobody):
		w.Header().Set("Retry-After", "5")
		page(w, req, http.StatusServiceUnavailable, "No instance", app+" has no healthy instance at the moment.")
	case req.Context().Err() != nil && (x.backend == nil || x.backend.cut.Err() == nil):
		w.WriteHeader(499) // nginx's word for a client that went away; nobody reads it but the log
	case errors.Is(err, errSilent):
		r.log.Warn("no answer in time", "app", app, "instance", x.instance())
		page(w, req, http.StatusGatewayTimeout, "No answer", app+" did not answer in time.")
	default:
		r.log.Warn("instance broke off", "app", app, "instance", x.instance(), "err", err)
		page(w, req, http.StatusBadGateway, "Bad answer", app+" broke off or gave no valid answer.")
	}
}

// buffers are for copying bodies.
type buffers struct{ pool sync.Pool }

const bufferSize = 32 << 10

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, bufferSize)
}

// Put implements httputil.BufferPool.
func (b *buffers) Put(p []byte) { b.pool.Put(&p) }
