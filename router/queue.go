package router

import (
	"container/list"
	"sync"
	"sync/atomic"
	"time"
)

// line is where requests of an app wait in order.
type line struct {
	mu      sync.Mutex
	waiting list.List // of *place
	length  atomic.Int32
}

// place is one request's in the line.
type place struct {
	called  chan struct{} // closed when it is its turn
	element *list.Element // nil from then on; under the line's mu
}

// join takes a place; nil when the line has its most already.
func (l *line) join(most int) *place {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting.Len() >= most {
		return nil
	}
	p := &place{called: make(chan struct{})}
	p.element = l.waiting.PushBack(p)
	l.length.Add(1)
	return p
}

// leave gives a place up. It passes on a call that came at the same moment.
func (l *line) leave(p *place) {
	l.mu.Lock()
	called := p.element == nil
	if !called {
		l.waiting.Remove(p.element)
		l.length.Add(-1)
	}
	l.mu.Unlock()
	if called {
		l.wake()
	}
}

// wake calls the first.
func (l *line) wake() {
	if l.length.Load() > 0 {
		l.call(1)
	}
}

func (l *line) wakeAll() { l.call(1 << 30) }

func (l *line) call(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for ; n > 0 && l.waiting.Len() > 0; n-- {
		p := l.waiting.Remove(l.waiting.Front()).(*place)
		l.length.Add(-1)
		p.element = nil
		close(p.called)
	}
}

// queue waits until an instance may be free, in the line of the app. The first in it is called by each request
// that ends; whoever finds all busy again goes back to its end.
func (f *flight) queue() *fault {
	t := &f.info.Traffic
	most := t.Queue
	if most == 0 {
		most = defaultQueue
	}
	if f.waitUntil.IsZero() {
		f.waitUntil = f.start.Add(orDefault(t.QueueWait, defaultQueueWait))
	}
	place := f.rt.line.join(most)
	if place == nil {
		return overloaded(f.rt.app)
	}
	if b, busy := f.rt.pick(f); b != nil || !busy { // what ended before we stood in the line calls nobody
		f.rt.line.leave(place)
		f.b = b
		return nil
	}
	why := f.wait(place.called, overloaded(f.rt.app))
	if why != nil {
		f.rt.line.leave(place)
	}
	return why
}

// wait blocks until the channel is closed, for a limited time and while the client is there.
func (f *flight) wait(called <-chan struct{}, late *fault) *fault {
	timer := time.NewTimer(time.Until(f.waitUntil))
	defer timer.Stop()
	select {
	case <-called:
		return nil
	case <-f.x.Gone():
		return clientGone()
	case <-timer.C:
		return late
	}
}
