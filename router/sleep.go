package router

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"paas/platform"
)

// How many requests wait for one app to wake, and for how long.
const (
	mostAsleep = 100
	wakeWait   = 30 * time.Second
)

var errAsleep = errors.New("the app did not wake in time, or too many wait for it")

// gate holds the requests of an app that sleeps.
type gate struct {
	open    chan struct{} // closed when it is awake
	knock   sync.Once
	waiting atomic.Int64
}

// shut makes a gate for an app that sleeps, or opens the one that there is. The caller holds mu. What passed
// before was counted before it looked, see Idle.
func (rt *route) shut(asleep bool) {
	g := rt.gate.Load()
	switch {
	case asleep && g == nil:
		rt.gate.Store(&gate{open: make(chan struct{})})
		for _, b := range *rt.backends.Load() {
			b.transport.CloseIdleConnections()
		}
	case !asleep && g != nil:
		rt.gate.Store(nil)
		close(g.open)
	}
}

// awaitWake blocks while the app sleeps.
func (r *Router) awaitWake(ctx context.Context, rt *route) error {
	late := time.Time{}
	for {
		g := rt.gate.Load()
		if g == nil {
			return nil
		}
		if late.IsZero() {
			late = time.Now().Add(wakeWait)
		}
		if err := r.passGate(ctx, rt, g, time.Until(late)); err != nil {
			return err
		}
	}
}

func (r *Router) passGate(ctx context.Context, rt *route, g *gate, patience time.Duration) error {
	defer g.waiting.Add(-1)
	if g.waiting.Add(1) > mostAsleep {
		return errAsleep
	}
	g.knock.Do(func() { r.wake(rt.info.Load().App) })
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-g.open:
		return nil
	case <-late.C:
		return errAsleep
	case <-ctx.Done():
		return ctx.Err()
	}
}

// done counts a request out.
func (rt *route) done(now func() time.Time) {
	rt.last.Store(now().UnixNano())
	rt.inflight.Add(-1)
}

// Idle implements platform.Router.
func (r *Router) Idle(app platform.AppName) (since time.Time, inflight int) {
	r.mu.Lock()
	rt := r.routes[app]
	r.mu.Unlock()
	if rt == nil {
		return since, 0
	}
	inflight = int(rt.inflight.Load())
	if last := rt.last.Load(); last != 0 {
		since = time.Unix(0, last)
	}
	return since, inflight
}
