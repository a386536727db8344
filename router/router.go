// Package router sends requests to instances over net/http's ReverseProxy.
package router

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"paas/platform"
)

type Options struct {
	Log       *slog.Logger
	AccessLog io.Writer
}

type Router struct {
	opts   Options
	server *http.Server
	mu     sync.Mutex
	routes map[platform.AppName]*route
	table  atomic.Pointer[map[string]*route]
}

type route struct {
	info     atomic.Pointer[platform.Route]
	backends atomic.Pointer[[]*backend]
	next     atomic.Uint64
}

type backend struct {
	platform.Backend
	inflight atomic.Int64
	draining atomic.Bool
	idle     chan struct{}
	once     sync.Once
	ctx      context.Context
	cancel   context.CancelFunc
	proxy    *httputil.ReverseProxy
}

func New(o Options) *Router {
	r := &Router{opts: o, routes: map[platform.AppName]*route{}}
	r.table.Store(&map[string]*route{})
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 120 * time.Second, MaxHeaderBytes: 64 << 10}
	return r
}

func (r *Router) Serve(l net.Listener) error {
	if err := r.server.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return nil
}
func (r *Router) Shutdown(ctx context.Context) error { return r.server.Shutdown(ctx) }

func newBackend(b platform.Backend) *backend {
	n := &backend{Backend: b, idle: make(chan struct{})}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	addr := b.Addr
	n.proxy = &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = "http", addr.String()
			p.Out.Host = p.In.Host
			p.SetXForwarded()
		},
		FlushInterval: -1,
		Transport:     &http.Transport{MaxIdleConnsPerHost: 256, IdleConnTimeout: 4 * time.Second, DisableCompression: true, DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext},
		ErrorHandler: func(w http.ResponseWriter, req *http.Request, err error) {
			page(w, 502, "The app did not answer.")
		},
	}
	return n
}

func (r *Router) Swap(rt platform.Route) func(context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	cur := r.routes[rt.App]
	fresh := cur == nil
	if fresh {
		cur = &route{}
		empty := []*backend{}
		cur.backends.Store(&empty)
		r.routes[rt.App] = cur
	}
	have := map[platform.InstanceID]*backend{}
	for _, b := range *cur.backends.Load() {
		have[b.ID] = b
	}
	list := []*backend{}
	for _, b := range rt.Backends {
		if h := have[b.ID]; h != nil {
			list = append(list, h)
			delete(have, b.ID)
		} else {
			list = append(list, newBackend(b))
		}
	}
	cur.info.Store(&rt)
	cur.backends.Store(&list)
	r.rebuild()
	return func(ctx context.Context) {
		for _, b := range have {
			b.drain(ctx)
		}
	}
}

func (r *Router) rebuild() {
	t := map[string]*route{}
	for _, rt := range r.routes {
		for _, h := range rt.info.Load().Hosts {
			t[h] = rt
		}
	}
	r.table.Store(&t)
}

func (r *Router) Remove(app platform.AppName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.routes, app)
	r.rebuild()
}

func (b *backend) acquire() bool {
	b.inflight.Add(1)
	if b.draining.Load() {
		b.release()
		return false
	}
	return true
}

func (b *backend) release() {
	if b.inflight.Add(-1) == 0 && b.draining.Load() {
		b.once.Do(func() { close(b.idle) })
	}
}

func (b *backend) drain(ctx context.Context) {
	b.draining.Store(true)
	if b.inflight.Load() == 0 {
		b.once.Do(func() { close(b.idle) })
	}
	select {
	case <-b.idle:
	case <-ctx.Done():
	}
	b.cancel()
	b.proxy.Transport.(*http.Transport).CloseIdleConnections()
}

func (r *Router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	host := strings.ToLower(req.Host)
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	rt := (*r.table.Load())[strings.TrimSuffix(host, ".")]
	if rt == nil {
		page(w, 404, fmt.Sprintf("There is no app at %q.", host))
		return
	}
	if rt.info.Load().Stopped {
		page(w, 503, "This app is stopped.")
		return
	}
	for range 10 {
		list := *rt.backends.Load()
		if len(list) == 0 {
			break
		}
		b := list[rt.next.Add(1)%uint64(len(list))]
		if !b.acquire() {
			continue
		}
		defer b.release()
		ctx, cancel := context.WithCancel(req.Context())
		defer cancel()
		defer context.AfterFunc(b.ctx, cancel)()
		b.proxy.ServeHTTP(w, req.WithContext(ctx))
		return
	}
	w.Header().Set("Retry-After", "5")
	page(w, 503, "This app has no healthy instance.")
}

func page(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, text)
}

var _ netip.AddrPort
