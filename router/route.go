package router

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"paas/platform"
	"paas/router/edge"
	"paas/router/wire"
)

// route is an app's way: its hosts lead here.
type route struct {
	app      platform.AppName
	info     atomic.Pointer[platform.Route]
	backends atomic.Pointer[[]*backend]
	pools    atomic.Pointer[pools] // the same, sorted
	rules    atomic.Pointer[edge.Rules]
	patience atomic.Pointer[wire.Patience] // nil: the listener's
	sleep    atomic.Pointer[sleep]         // nil while the app is awake
	turn     atomic.Uint32                 // round robin
	line     line                          // of requests that wait for an instance to be less busy
	inflight atomic.Int64                  // requests, those that wait and WebSockets included
	last     atomic.Int64                  // end of the last one, unix nanoseconds
	stats    counters
	access   accessBook
}

// Swap implements platform.Router.
func (r *Router) Swap(to platform.Route) (drained func(context.Context)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rt := r.routes[to.App]
	if rt == nil {
		rt = &route{app: to.App}
		rt.backends.Store(&[]*backend{})
		r.routes[to.App] = rt
		r.apps.Store(to.App, rt)
	}
	rt.rules.Store(edge.Compile(to.Edge, rt.rules.Load()))
	rt.bePatient(to.Traffic)
	var before []string
	if was := rt.info.Swap(&to); was != nil {
		before = was.Hosts
	}
	if to.Asleep {
		rt.fallAsleep()
	}
	gone := rt.replace(r, to)
	if !to.Asleep {
		rt.awake()
	} else {
		rt.dismiss()
	}
	rt.line.wakeAll()
	r.table.change(rt, difference(to.Hosts, before), difference(before, to.Hosts))
	return func(ctx context.Context) { drainAll(ctx, gone) }
}

// Remove implements platform.Router. What is in flight is cut.
func (r *Router) Remove(app platform.AppName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rt := r.routes[app]
	if rt == nil {
		return
	}
	delete(r.routes, app)
	r.apps.Delete(app)
	r.table.change(rt, nil, rt.info.Load().Hosts)
	rt.info.Store(&platform.Route{App: app, Stopped: true})
	gone := rt.replace(r, platform.Route{})
	rt.awake()
	rt.line.wakeAll()
	cut, cancel := context.WithCancel(context.Background())
	cancel()
	drainAll(cut, gone)
	rt.access.end(r, app)
}

// Idle tells when the app's last request ended, zero if none did, and how many are in flight: WebSockets too, and
// every request that an instance may have got, also before it has. So none in flight after Swap has said Asleep
// means that none will be until the next Swap. It does not block.
func (r *Router) Idle(app platform.AppName) (since time.Time, inflight int) {
	r.mu.Lock()
	rt := r.routes[app]
	r.mu.Unlock()
	if rt == nil {
		return time.Time{}, 0
	}
	inflight = int(rt.inflight.Load()) // first: a request that ends says when before it is counted out
	if last := rt.last.Load(); last != 0 {
		since = time.Unix(0, last)
	}
	return since, inflight
}

// replace publishes the backends, keeping those that stay with their connections, and marks the others.
func (rt *route) replace(r *Router, to platform.Route) (gone []*backend) {
	have := map[platform.InstanceID]*backend{}
	for _, b := range *rt.backends.Load() {
		have[b.ID] = b
	}
	list := make([]*backend, 0, len(to.Backends))
	var fresh []*backend
	for _, w := range to.Backends {
		b := have[w.ID]
		if b == nil || b.Addr != w.Addr {
			b = newBackend(r, rt, w)
			fresh = append(fresh, b)
		} else {
			delete(have, w.ID)
		}
		list = append(list, b)
	}
	if len(fresh) < len(list) { // beside old ones
		for _, b := range fresh {
			b.startSlowly(r.now())
		}
	}
	rt.pools.Store(divide(to.Backends, list))
	rt.backends.Store(&list)
	for _, b := range have {
		b.leaving.Store(true)
		gone = append(gone, b)
	}
	return gone
}

func drainAll(ctx context.Context, list []*backend) {
	var wg sync.WaitGroup
	for _, b := range list {
		wg.Go(func() { b.drain(ctx) })
	}
	wg.Wait()
}
