package platform

import (
	"context"
	"sync"
	"time"
)

// A lane is one app's serial work: one deploy, scale or restart at a time. Repairs of crashed
// instances run in it too, but make way for anything a person asked for.
type lane struct {
	mu      sync.Mutex
	holder  string             // what holds the lane, "alice's push"; empty when free
	yield   context.CancelFunc // ends the repair that holds the lane
	free    chan struct{}      // closed when the holder leaves
	waiting int                // people who wait; a repair does not start before them

	routing sync.Mutex // held while a route is made and published, so that the last change wins

	candidates []Instance                     // instances that may be routed, see routing.go
	routed     []Instance                     // the web ones that the router sends requests to
	settings   *edgeSettings                  // that the route was published with; nil before the first time
	edge       Edge                           // as well
	mappings   []Mapping                      // as well
	paused     bool                           // a candidate is paused
	route      Route                          // as it was published last, but for the instances; zero: there is none
	unready    map[InstanceID]map[string]bool // readiness checks that fail
	retiring   map[InstanceID]bool            // on their way out: not counted, their end is no crash
	gone       map[InstanceID]bool            // ended, not yet forgotten by the runner: never routed again
	crashes    map[slot]crash                 // slots that keep ending
	ended      map[InstanceID]chan struct{}   // closed when an instance ends while somebody watches it
	repair     *time.Timer                    // the next repair

	shelf    shelf               // the instances of the release before, see kept.go
	dropped  map[InstanceID]bool // that were on the shelf, and end when their requests are answered
	shelving sync.Mutex          // held to set them aside or to call them back

	nap      nap           // how the app sleeps, see sleep.go
	woke     time.Time     // when it last did
	used     time.Time     // when it last woke, changed, or somebody was inside
	visitors int           // commands beside it
	helm     chan struct{} // held by who changes what runs
	keeping  sync.Mutex    // held to write down how it sleeps
}

// slot is a place in the formation: web.1.
type slot struct {
	Type   ProcessType
	Number int
}

// crash counts how often a slot's instance ended in a row.
type crash struct {
	count int
	retry time.Time
	exit  *Exit      // the last end; nil if it did not even start
	last  InstanceID // whose end that was: nobody's is counted twice

	resting bool // the policy leaves it at that
}

func (p *Platform) lane(name AppName) *lane {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.lanes[name]
	if l == nil {
		l = &lane{
			retiring: map[InstanceID]bool{}, gone: map[InstanceID]bool{}, crashes: map[slot]crash{},
			ended: map[InstanceID]chan struct{}{}, unready: map[InstanceID]map[string]bool{}, helm: make(chan struct{}, 1),
		}
		p.lanes[name] = l
	}
	return l
}

// enter takes the lane for a person's request, waiting for whoever holds it; told is called once if it
// must wait, with the holder. A repair that holds it is asked to leave.
func (l *lane) enter(ctx context.Context, what string, told func(holder string)) (leave func(), err error) {
	l.mu.Lock()
	for l.holder != "" {
		if l.yield != nil {
			l.yield()
		} else if told != nil {
			told(l.holder)
			told = nil
		}
		free := l.free
		l.waiting++
		l.mu.Unlock()
		select {
		case <-free:
		case <-ctx.Done():
			err = ctx.Err()
		}
		l.mu.Lock()
		l.waiting--
		if err != nil {
			l.mu.Unlock()
			return nil, err
		}
	}
	defer l.mu.Unlock()
	return l.take(what, nil), nil
}

// tryRepair takes the lane for a repair if nobody has it or waits for it.
func (l *lane) tryRepair(ctx context.Context) (_ context.Context, leave func(), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holder != "" || l.waiting > 0 {
		return nil, nil, false
	}
	ctx, cancel := context.WithCancel(ctx)
	done := l.take("repair", cancel)
	return ctx, func() { cancel(); done() }, true
}

func (l *lane) take(what string, yield context.CancelFunc) (leave func()) {
	l.holder, l.yield, l.free = what, yield, make(chan struct{})
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.holder, l.yield = "", nil
		close(l.free)
	}
}

// watchEnd returns a channel that is closed when the instance ends or has ended already (one that fails at
// once is faster than who watches it), and a function to stop watching.
func (l *lane) watchEnd(id InstanceID) (<-chan struct{}, func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := make(chan struct{})
	if l.gone[id] {
		close(c)
		return c, func() {}
	}
	l.ended[id] = c
	return c, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.ended, id)
	}
}
