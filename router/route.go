package router

import (
	"context"
	"sync"
	"sync/atomic"

	"paas/platform"
)

// route is an app's way: its hosts lead here.
type route struct {
	info     atomic.Pointer[platform.Route]
	backends atomic.Pointer[[]*backend]
	next     atomic.Uint64 // round robin
	requests atomic.Uint64
	inflight atomic.Int64
	last     atomic.Int64         // when the last request ended, in unix nanoseconds
	gate     atomic.Pointer[gate] // nil: the app is awake
}

// Swap implements platform.Router.
func (r *Router) Swap(to platform.Route) (drained func(context.Context)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rt := r.routes[to.App]
	if rt == nil {
		rt = &route{}
		rt.backends.Store(&[]*backend{})
		r.routes[to.App] = rt
	}
	before := rt.info.Swap(&to)
	gone := rt.replace(to.Backends)
	rt.shut(to.Asleep)
	if before == nil || !sameHosts(before.Hosts, to.Hosts) {
		r.retable()
	}
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
	r.retable()
	cut, cancel := context.WithCancel(context.Background())
	cancel()
	drainAll(cut, rt.replace(nil))
	rt.shut(false)
}

// retable builds the table anew and publishes it.
func (r *Router) retable() {
	table := map[string]*route{}
	for _, rt := range r.routes {
		for _, host := range rt.info.Load().Hosts {
			table[host] = rt
		}
	}
	r.table.Store(&table)
}

func sameHosts(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// replace publishes the backends, keeping those that stay with their connections, and marks the others.
func (rt *route) replace(want []platform.Backend) (gone []*backend) {
	have := map[platform.InstanceID]*backend{}
	for _, b := range *rt.backends.Load() {
		have[b.ID] = b
	}
	list := make([]*backend, 0, len(want))
	for _, w := range want {
		b := have[w.ID]
		if b == nil {
			b = newBackend(w)
		}
		delete(have, w.ID)
		list = append(list, b)
	}
	rt.backends.Store(&list)
	for _, b := range have {
		b.leaving.Store(true)
		gone = append(gone, b)
	}
	return gone
}

// pick takes the next backend that is neither leaving nor resting nor among the tried; resting ones
// serve when there is no other.
func (rt *route) pick(tried []*backend) *backend {
	for _, rested := range []bool{false, true} {
		list := *rt.backends.Load() // read again: a swap may have come in between
		start := rt.next.Add(1)
		for i := range list {
			b := list[(start+uint64(i))%uint64(len(list))]
			if (rested || !b.resting()) && !contains(tried, b) && b.acquire() {
				return b
			}
		}
	}
	return nil
}

func contains(list []*backend, b *backend) bool {
	for _, have := range list {
		if have == b {
			return true
		}
	}
	return false
}

func drainAll(ctx context.Context, list []*backend) {
	var wg sync.WaitGroup
	for _, b := range list {
		wg.Go(func() { b.drain(ctx) })
	}
	wg.Wait()
}
