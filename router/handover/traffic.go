package handover

import (
	"context"
	"sync"
	"time"

	"paas/platform"
)

// Traffic is the platform's Router over the rooms that carry traffic, in this process and in one that came
// before it and still has clients. It implements platform.Router.
type Traffic struct {
	rooms []platform.Router

	mu      sync.Mutex
	settled bool                                 // drains go on although those who wait for them end
	drains  map[platform.AppName]map[*drain]bool // not over yet
	before  *Link                                // of the predecessor; nil: there is none, or no longer
	seq     int64
	far     map[int64]chan struct{} // what the predecessor has not answered, by seq
}

// drain is one swap's farewell, which begins once.
type drain struct {
	app   platform.AppName
	parts []func(context.Context)
	once  sync.Once
	ctx   context.Context
	cut   context.CancelFunc // closes what is left
	over  chan struct{}
}

// NewTraffic makes a Router of several, all of which get every route.
func NewTraffic(rooms ...platform.Router) *Traffic {
	return &Traffic{rooms: rooms, drains: map[platform.AppName]map[*drain]bool{}, far: map[int64]chan struct{}{}}
}

// Swap implements platform.Router.
func (t *Traffic) Swap(to platform.Route) (drained func(context.Context)) {
	d := t.swap(to)
	return func(ctx context.Context) { t.wait(ctx, d) }
}

func (t *Traffic) swap(to platform.Route) *drain {
	d := &drain{app: to.App, over: make(chan struct{}), parts: []func(context.Context){t.tell(to)}}
	d.ctx, d.cut = context.WithCancel(context.Background())
	for _, room := range t.rooms {
		d.parts = append(d.parts, room.Swap(to))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.drains[to.App] == nil {
		t.drains[to.App] = map[*drain]bool{}
	}
	t.drains[to.App][d] = true
	return d
}

// Remove implements platform.Router.
func (t *Traffic) Remove(app platform.AppName) {
	t.mu.Lock()
	before := t.before
	t.mu.Unlock()
	if before != nil {
		_ = before.Send(Message{Say: Remove, App: app}) // one that has ended has no route
	}
	for _, room := range t.rooms {
		room.Remove(app)
	}
}

// Stats implements platform.Router, for all rooms together.
func (t *Traffic) Stats(app platform.AppName) (sum platform.RequestStats) {
	for _, room := range t.rooms {
		sum = sum.Plus(room.Stats(app))
	}
	return sum
}

// Configure implements platform.Router.
func (t *Traffic) Configure(in platform.Intake) {
	for _, room := range t.rooms {
		room.Configure(in)
	}
}

// Idle implements platform.Router. While a predecessor drains, it may have a request of any app in flight.
func (t *Traffic) Idle(app platform.AppName) (since time.Time, inflight int) {
	t.mu.Lock()
	if t.before != nil {
		inflight = 1
	}
	t.mu.Unlock()
	for _, room := range t.rooms {
		at, n := room.Idle(app)
		if inflight += n; at.After(since) {
			since = at
		}
	}
	return since, inflight
}

// run drains every part, in the background.
func (t *Traffic) run(d *drain) {
	d.once.Do(func() {
		go func() {
			defer d.cut()
			var wg sync.WaitGroup
			for _, part := range d.parts {
				wg.Go(func() { part(d.ctx) })
			}
			wg.Wait()
			t.forget(d)
			close(d.over)
		}()
	})
}

func (t *Traffic) forget(d *drain) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.drains[d.app], d)
	if len(t.drains[d.app]) == 0 {
		delete(t.drains, d.app)
	}
}

// wait drains. When ctx ends, what is left is closed, unless the process is settled: then the daemon's end is
// no reason to cut anything.
func (t *Traffic) wait(ctx context.Context, d *drain) {
	t.run(d)
	select {
	case <-d.over:
		return
	case <-ctx.Done():
	}
	if t.isSettled() {
		return
	}
	d.cut()
	<-d.over
}

// Settle is said before the platform above is closed and its clients are not: from now on a drain whose waiter
// goes away is not cut, and one that nobody came to wait for begins.
func (t *Traffic) Settle() {
	t.mu.Lock()
	t.settled = true
	var list []*drain
	for _, drains := range t.drains {
		for d := range drains {
			list = append(list, d)
		}
	}
	t.mu.Unlock()
	for _, d := range list {
		t.run(d)
	}
}

// Unsettle undoes Settle: somebody decides here again.
func (t *Traffic) Unsettle() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settled = false
}

func (t *Traffic) isSettled() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.settled
}

// Lead makes a predecessor hear of every change from now on, until it ends.
func (t *Traffic) Lead(before *Link) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.before = before
}

// Hear takes a leading successor's answers until the predecessor has ended, and calls main when that says Main.
func (t *Traffic) Hear(before *Link, main func()) {
	for {
		m, err := before.Receive()
		if err != nil {
			break
		}
		switch m.Say {
		case Drained:
			t.answered(m.Seq)
		case Main:
			main()
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.before = nil
	for seq, c := range t.far {
		close(c)
		delete(t.far, seq)
	}
}

func (t *Traffic) answered(seq int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.far[seq]; c != nil {
		close(c)
		delete(t.far, seq)
	}
}

// tell sends the route to the predecessor. What it returns blocks until that has drained.
func (t *Traffic) tell(to platform.Route) func(context.Context) {
	t.mu.Lock()
	before := t.before
	t.seq++
	seq, over := t.seq, make(chan struct{})
	if before != nil {
		t.far[seq] = over
	}
	t.mu.Unlock()
	if before == nil || before.Send(Message{Say: Swap, Seq: seq, Route: &to}) != nil {
		t.answered(seq)
		return func(context.Context) {}
	}
	return func(ctx context.Context) {
		select {
		case <-over:
		case <-ctx.Done():
			_ = before.Send(Message{Say: Cut, Seq: seq}) // one that has ended needs no telling
		}
	}
}

// Follow makes this process's routes the successor's, until that ends or says End, and tells which it was. It
// blocks till then, and calls serving when the successor says so.
func (t *Traffic) Follow(after *Link, serving func()) (end bool) {
	cuts := map[int64]context.CancelFunc{} // a successor that ends cuts nothing
	for {
		m, err := after.Receive()
		if err != nil {
			return false
		}
		switch {
		case m.Say == End:
			return true
		case m.Say == Serving:
			serving()
		case m.Say == Remove:
			t.Remove(m.App)
		case m.Say == Swap && m.Route != nil:
			ctx, cut := context.WithCancel(context.Background())
			cuts[m.Seq] = cut
			d := t.swap(*m.Route)
			go t.obey(ctx, after, d, m.Seq)
		case m.Say == Cut && cuts[m.Seq] != nil:
			cuts[m.Seq]()
			delete(cuts, m.Seq)
		}
	}
}

// obey drains as the successor wants, and answers when nothing of the app is left with earlier instances.
func (t *Traffic) obey(ctx context.Context, after *Link, own *drain, seq int64) {
	t.run(own)
	for _, d := range t.open(own.app) {
		stop := context.AfterFunc(ctx, d.cut)
		<-d.over
		stop()
	}
	_ = after.Send(Message{Say: Drained, Seq: seq}) // one that has ended does not wait
}

func (t *Traffic) open(app platform.AppName) (list []*drain) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for d := range t.drains[app] {
		list = append(list, d)
	}
	return list
}

// End tells a predecessor that the service ends, so that it does soon.
func (t *Traffic) End() {
	t.mu.Lock()
	before := t.before
	t.mu.Unlock()
	if before != nil {
		_ = before.Send(Message{Say: End})
	}
}
