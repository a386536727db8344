package platform

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Depth is how deep an app sleeps.
type Depth string

// The depths. A frozen app keeps its memory and its connections; of a stopped one nothing runs.
const (
	Awake   Depth = ""
	Frozen  Depth = "frozen"
	Stopped Depth = "stopped"
)

// Sleep is what is kept about a sleeping app, so that neither a new daemon nor a reboot wakes it.
type Sleep struct {
	App   AppName
	Depth Depth
	Since time.Time
	Given int64 // bytes of memory that the host got back by it
}

// Sleeps are the part of a Store that knows who sleeps. Who is not in it is awake.
type Sleeps interface {
	Sleeps(ctx context.Context) ([]Sleep, error)
	// SetSleep replaces what was known of the app; with Awake it is forgotten.
	SetSleep(ctx context.Context, s Sleep) error
}

// Doorbell is the part of Walls that hears connections between containers. Replies do not count, nor do
// packets that carry nothing: keep-alives of idle connections let an app sleep.
type Doorbell interface {
	// Doze tells that these process types of the app stand still, or with gone that none of them runs. From
	// then on whoever calls one of them rings. A question for the name of an app that is gone rings, too, and
	// waits for Rouse. It blocks for some milliseconds.
	Doze(app AppName, types []ProcessType, gone bool) error
	// Rouse undoes Doze.
	Rouse(app AppName) error
	// Heard is when a container last called one of the app's; zero if none is known to have.
	Heard(app AppName) (time.Time, error)
	// Rings delivers apps that dozed when somebody called, maybe more than once. It must be read.
	Rings() <-chan AppName
}

// nap is how an app sleeps, or that it does not. The lane's mu guards it.
type nap struct {
	Sleep
	types   []ProcessType      // that sleep
	frozen  []Instance         // those that were let stand still
	falling bool               // they are just being frozen
	slept   bool               // they were frozen, and people were told
	waking  *waking            // nil: nobody wakes it
	reclaim context.CancelFunc // ends taking memory back; nil: nobody does

	reclaimed bool      // it was begun
	failed    int       // wakes in a row that failed
	retry     time.Time // until then no other is begun
}

// waking is one wake. There is one at a time, whoever wants it and however many do.
type waking struct {
	begun time.Time
	over  chan struct{} // closed at the end
	err   error         // to be read after that
}

// Back-off of an app that cannot be woken: 1 s, doubling to a minute. Visitors are told that no instance is
// there meanwhile.
const (
	firstWakeRetry = time.Second
	lastWakeRetry  = time.Minute
)

// knock asks for the app to be awake. There is no waking if it is; mine tells the caller to carry it out.
func (l *lane) knock(now time.Time) (w *waking, mine bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.nap.Depth == Awake:
		return nil, false, nil
	case l.nap.waking != nil:
		return l.nap.waking, false, nil
	case now.Before(l.nap.retry):
		return nil, false, Errorf(Unhealthy, "%s could not be woken; the next attempt is in %s", l.nap.App, Seconds(l.nap.retry.Sub(now))).
			WithHint("see why: ssh paas logs %s", l.nap.App)
	}
	l.nap.waking = &waking{begun: now, over: make(chan struct{})}
	return l.nap.waking, !l.nap.falling, nil // whoever freezes it lets it go again
}

// asleep is what the router is told. While a wake is not to be tried, visitors are not to wait for one.
func (n nap) asleep(now time.Time) bool { return n.Depth != Awake && !now.Before(n.retry) }

// sleeps tells whether the instance stands still because its app sleeps.
func (n nap) sleeps(i Instance) bool {
	return n.Depth == Frozen && !n.falling && slices.ContainsFunc(n.frozen, func(f Instance) bool { return f.ID == i.ID })
}

func (l *lane) depth() Depth {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.nap.Depth
}

func (l *lane) napping() Sleep {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.nap.Sleep
}

// takeHelm waits until nobody else changes what runs of the app. A build, which has the lane for minutes,
// does not have it: an app may wake while its next version is built.
func (l *lane) takeHelm(ctx context.Context) (leave func(), err error) {
	select {
	case l.helm <- struct{}{}:
		return func() { <-l.helm }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (l *lane) tryHelm() (leave func(), ok bool) {
	select {
	case l.helm <- struct{}{}:
		return func() { <-l.helm }, true
	default:
		return nil, false
	}
}

// keepSleep writes down how the app sleeps now and tells the walls. It is never on the way of a request: after
// a crash in between the runner's word counts, see rememberSleep.
func (p *Platform) keepSleep(name AppName) error {
	l := p.lane(name)
	l.keeping.Lock() // what is written last is what was last
	defer l.keeping.Unlock()
	l.mu.Lock()
	s, types := l.nap.Sleep, l.nap.types
	l.mu.Unlock()
	s.App = name
	var err error
	if s.Depth == Awake {
		err = p.Walls.Rouse(name)
	} else {
		err = p.Walls.Doze(name, types, s.Depth == Stopped)
	}
	err = errors.Join(err, p.Store.SetSleep(context.WithoutCancel(p.life), s))
	if err != nil {
		return fmt.Errorf("note how %s sleeps: %w", name, err)
	}
	return nil
}

// noteSleep is keepSleep for who can do nothing about a failure.
func (p *Platform) noteSleep(name AppName) {
	if err := p.keepSleep(name); err != nil && KindOf(err) != NotFound && p.life.Err() == nil {
		p.Log.Error("sleep", "app", name, "err", err)
	}
}

// forgetSleep is for an app that is no more.
func (p *Platform) forgetSleep(name AppName) {
	l := p.lane(name)
	l.mu.Lock()
	l.nap.end(nil)
	l.nap = nap{}
	l.mu.Unlock()
	p.forgetIdle(name)
	if err := p.Walls.Rouse(name); err != nil {
		p.Log.Error("sleep", "app", name, "err", err)
	}
}

// end tells everybody who waits how the wake went.
func (n *nap) end(err error) {
	if n.reclaim != nil {
		n.reclaim()
		n.reclaim = nil
	}
	if n.waking != nil {
		n.waking.err = err
		close(n.waking.over)
		n.waking = nil
	}
}

func typesOf(list []Instance) (types []ProcessType) {
	seen := map[ProcessType]bool{}
	for _, i := range list {
		if !seen[i.Type] {
			seen[i.Type] = true
			types = append(types, i.Type)
		}
	}
	return types
}

type noBell struct{}

func (noBell) Doze(AppName, []ProcessType, bool) error { return nil }
func (noBell) Rouse(AppName) error                     { return nil }
func (noBell) Heard(AppName) (time.Time, error)        { return time.Time{}, nil }
func (noBell) Rings() <-chan AppName                   { return nil }
