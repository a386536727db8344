package router

import (
	"cmp"
	"sync/atomic"
	"time"
)

// Bounds of requests that wait for an app to wake up.
const (
	sleepQueue = 1000 // where the app says nothing
	sleepWait  = 30 * time.Second
)

// sleep is one sleep of an app.
type sleep struct {
	called  atomic.Bool // Options.Wake was
	waiting atomic.Int32
	over    chan struct{} // closed when the app is awake, or gone
}

// fallAsleep begins a sleep. An app that is asleep already sleeps on, with those who wait for it.
func (rt *route) fallAsleep() {
	if rt.sleep.Load() == nil {
		rt.sleep.Store(&sleep{over: make(chan struct{})})
	}
}

// dismiss closes the idle connections to instances that stand still.
func (rt *route) dismiss() {
	for _, b := range *rt.backends.Load() {
		b.pool.dismiss()
	}
}

// awake ends the sleep.
func (rt *route) awake() {
	if s := rt.sleep.Swap(nil); s != nil {
		close(s.over)
	}
}

// rouse has the app woken up and waits for it.
func (f *flight) rouse(s *sleep) *fault {
	if most := cmp.Or(f.info.Traffic.WakeQueue, sleepQueue); int(s.waiting.Add(1)) > most {
		s.waiting.Add(-1)
		return asleep(f.rt.app)
	}
	defer s.waiting.Add(-1)
	if s.called.CompareAndSwap(false, true) && f.r.wake != nil {
		f.r.wake(f.rt.app)
	}
	if f.waitUntil.IsZero() {
		f.waitUntil = f.start.Add(sleepWait)
	}
	return f.wait(s.over, asleep(f.rt.app))
}
