package platform

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// How an app falls asleep:
//
//	note it ─► the walls listen ─► the router holds requests ─► nobody there? ─► freeze ─► asleep
//
// A request that comes at any moment of it knocks, and whoever is freezing lets go again. So nothing is lost:
// what the router let pass before it held requests is in its count, and the freeze does not come about.

// quiet is how long no other container may have called: when the last one did is known to some milliseconds.
const quiet = 200 * time.Millisecond

// errBusy is what keeps an app awake.
var errBusy = errors.New("it is in use")

// fall freezes the app's processes, but for those that shall stay awake. idle is how long nobody may have
// had to do with it; 0 for a person who wants it to sleep at once. It fails if the app is in use or being
// worked on.
func (p *Platform) fall(ctx context.Context, name AppName, idle time.Duration) error {
	l := p.lane(name)
	ctx, leave, ok := l.tryRepair(ctx)
	if !ok {
		return errBusy
	}
	defer leave()
	leaveHelm, ok := l.tryHelm()
	if !ok {
		return errBusy
	}
	defer leaveHelm()
	who, err := p.whoSleeps(ctx, name)
	if err != nil {
		return err
	}
	since := p.lastTouch(name)
	if now := p.Now(); now.Sub(since) < idle || now.Sub(p.heard(name)) < quiet {
		return errBusy
	}
	if err := p.freezeApp(ctx, name, who, since); err != nil {
		return err
	}
	p.say(Event{Kind: EventSlept, App: name, Text: fmt.Sprintf("%s stand still: nobody used it for %s", names(who), roughly(p.Now().Sub(since)))})
	p.sleepers.kick()
	return nil
}

// whoSleeps are the instances that are to be frozen. All that the formation wants must be there and nothing
// else, so that an app in trouble is not put to sleep.
func (p *Platform) whoSleeps(ctx context.Context, name AppName) ([]Instance, error) {
	w, ok, err := p.wanted(ctx, name)
	if err != nil || !ok || w.app.Stopped {
		return nil, errors.Join(err, errBusy)
	}
	have, err := p.instances(ctx, name)
	if err != nil {
		return nil, err
	}
	stay, excess, missing := w.divide(have)
	paused := slices.ContainsFunc(stay, func(i Instance) bool { return i.Paused })
	rules := p.idleRules(name)
	who := slices.DeleteFunc(slices.Clone(stay), func(i Instance) bool { return rules.keeps(i.Type) })
	if len(excess)+len(missing) > 0 || paused || len(who) == 0 {
		return nil, errBusy
	}
	return who, nil
}

// freezeApp does it, or leaves the app awake.
func (p *Platform) freezeApp(ctx context.Context, name AppName, who []Instance, since time.Time) error {
	l := p.lane(name)
	if !l.beginFall(name, who, p.Now()) {
		return errBusy
	}
	err := p.keepSleep(name)
	if err == nil {
		p.drainLater(p.reswap(l))
		err = p.freezeAll(ctx, name, who, since)
	}
	if w := l.endFall(err); w != nil {
		p.spawn(func(ctx context.Context) { p.wake(ctx, name, w) })
		return errors.Join(err, errBusy)
	}
	return err
}

// beginFall is false if the app sleeps or somebody is inside it.
func (l *lane) beginFall(name AppName, who []Instance, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.nap.Depth != Awake || l.visitors > 0 {
		return false
	}
	l.nap = nap{Sleep: Sleep{App: name, Depth: Frozen, Since: now}, types: typesOf(who), frozen: who, falling: true}
	return true
}

// endFall returns who wants it to wake, if anybody does or it failed.
func (l *lane) endFall(failed error) *waking {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nap.falling, l.nap.slept = false, failed == nil && l.nap.waking == nil
	if failed != nil && l.nap.waking == nil && l.nap.Depth != Awake {
		l.nap.waking = &waking{begun: l.nap.Since, over: make(chan struct{})}
	}
	return l.nap.waking
}

// freezeAll looks once more whether anybody came before the router and the walls held them up.
func (p *Platform) freezeAll(ctx context.Context, name AppName, who []Instance, since time.Time) error {
	if _, inflight := p.Router.Idle(name); inflight > 0 || p.lastTouch(name).After(since) {
		return errBusy
	}
	for _, i := range who {
		if p.lane(name).knocked() {
			return errBusy
		}
		if err := p.Runner.Pause(ctx, i.ID); err != nil {
			return fmt.Errorf("freeze %s of %s: %w", i.Name(), name, err)
		}
	}
	return nil
}

// knocked tells whether somebody wants it to be awake.
func (l *lane) knocked() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.nap.waking != nil || l.nap.Depth == Awake
}

// sink stops a frozen app, which stays what it is: asleep. It is false if it could not be done now.
func (p *Platform) sink(ctx context.Context, name AppName, why string) bool {
	l := p.lane(name)
	_, leave, ok := l.tryRepair(ctx)
	if !ok {
		return false
	}
	defer leave()
	leaveHelm, ok := l.tryHelm()
	if !ok {
		return false
	}
	defer leaveHelm()
	frozen, drained := p.beginSink(ctx, l)
	if len(frozen) == 0 {
		return false
	}
	p.noteSleep(name)
	p.retire(name, drained, frozen)
	p.say(Event{Kind: EventSlept, App: name, Text: fmt.Sprintf("%s were stopped: %s", names(frozen), why)})
	return true
}

// beginSink takes the frozen instances out of the route and out of the count.
func (p *Platform) beginSink(ctx context.Context, l *lane) (frozen []Instance, drained func(context.Context)) {
	held := p.heldBy(ctx, l)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.nap.Depth != Frozen || l.nap.falling || l.nap.waking != nil {
		return nil, nil
	}
	if l.nap.reclaim != nil {
		l.nap.reclaim()
		l.nap.reclaim = nil
	}
	frozen, l.nap.frozen = l.nap.frozen, nil
	l.nap.Depth = Stopped
	l.nap.Given += held
	for _, i := range frozen {
		l.retiring[i.ID] = true
	}
	return frozen, p.swap(l, func(candidates []Instance) []Instance { return without(candidates, frozen) })
}
