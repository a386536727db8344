package platform

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// How an app wakes:
//
//	request ─► router: Wake, waits ─► knock ─► frozen: let the web processes go on ─► Swap ─► the others
//	                                        └► stopped: start all, Swap at the first that is healthy
//
// Between the request and Swap there is no database, no lane and no disk: what is known of the route is kept
// beside it, and that the app is awake is written down afterwards.

// WakeSoon wakes an app that sleeps. It returns at once; that it is awake the router sees by Swap.
func (p *Platform) WakeSoon(name AppName) {
	p.spawn(func(ctx context.Context) {
		if w, mine, err := p.lane(name).knock(p.Now()); err == nil && mine {
			p.wake(ctx, name, w)
		}
	})
}

// Wake wakes an app that sleeps, and waits until it serves or ctx ends. It does nothing for one that is awake.
func (p *Platform) Wake(ctx context.Context, name AppName) error {
	w, mine, err := p.lane(name).knock(p.Now())
	if w == nil {
		return err
	}
	if mine {
		p.spawn(func(ctx context.Context) { p.wake(ctx, name, w) })
	}
	select {
	case <-w.over:
		return w.err
	case <-ctx.Done():
		return ctx.Err()
	case <-p.life.Done():
		return Errorf(Interrupted, "the server ends")
	}
}

func (p *Platform) wake(ctx context.Context, name AppName, w *waking) {
	if p.lane(name).depth() == Frozen && p.thaw(name, w) {
		return
	}
	p.rise(ctx, name, w)
}

// afterwards is when it is written down that a frozen app is awake, so that the disk and the firewall are not
// busy with that while the first requests are answered.
const afterwards = 200 * time.Millisecond

// thaw lets a frozen app go on. It is false if nothing is left of it that could serve.
func (p *Platform) thaw(name AppName, w *waking) bool {
	l := p.lane(name)
	l.mu.Lock()
	frozen := l.nap.frozen
	l.mu.Unlock()
	web := webOf(frozen)
	rest := without(frozen, web)
	gone := p.resumeAll(web)
	if len(web) == 0 {
		gone, rest = p.resumeAll(rest), nil
	}
	if len(gone) == len(frozen)-len(rest) {
		return false
	}
	p.awaken(name, w, func(candidates []Instance) []Instance { return without(candidates, gone) })
	if len(p.resumeAll(rest)) > 0 || len(gone) > 0 {
		p.reconcileSoon(name)
	}
	if sleep(p.life, afterwards) == nil {
		p.noteSleep(name)
	}
	return true
}

// webOf are the web instances among them.
func webOf(list []Instance) []Instance {
	return slices.DeleteFunc(slices.Clone(list), func(i Instance) bool { return i.Type != Web })
}

// resumeAll returns those that could not be let go on: they have ended.
func (p *Platform) resumeAll(list []Instance) (gone []Instance) {
	for _, i := range list {
		if err := p.Runner.Resume(p.life, i.ID); err != nil {
			if KindOf(err) != NotFound {
				p.Log.Error("wake", "app", i.App, "instance", i.ID, "err", err)
			}
			gone = append(gone, i)
		}
	}
	return gone
}

// awaken ends the sleep, and with it the wait of those who knocked: from here on requests go to what the
// change leaves of the candidates.
func (p *Platform) awaken(name AppName, w *waking, change func([]Instance) []Instance) {
	l := p.lane(name)
	l.mu.Lock()
	before := l.nap
	l.nap.end(nil)
	l.nap = nap{}
	l.used = p.Now()
	l.woke = l.used
	drained := p.swap(l, change)
	l.mu.Unlock()
	p.drainLater(drained)
	p.sleepers.kick()
	if !before.slept {
		return
	}
	begun := p.Now()
	if w != nil {
		begun = w.begun
	}
	p.say(Event{Kind: EventWoke, App: name, Text: wokeText(before.Sleep, p.Now().Sub(begun), p.Now())})
}

func wokeText(s Sleep, took time.Duration, now time.Time) string {
	return fmt.Sprintf("it was %s for %s and woke in %.1f ms", s.Depth, roughly(now.Sub(s.Since)), float64(took.Microseconds())/1000)
}

// rise starts a stopped app: all places of its formation at once. The first web process that is healthy gets
// the requests that wait.
func (p *Platform) rise(ctx context.Context, name AppName, w *waking) {
	leave, err := p.lane(name).takeHelm(ctx)
	if err != nil {
		return // the server ends
	}
	defer leave()
	if p.lane(name).depth() == Awake {
		return // a deploy was faster, and told everybody
	}
	if err := p.startSleeper(ctx, name, w); err != nil {
		p.oversleep(name, err)
	}
	p.noteSleep(name)
	p.reconcileSoon(name)
}

func (p *Platform) startSleeper(ctx context.Context, name AppName, w *waking) error {
	want, ok, err := p.wanted(ctx, name)
	if err == nil && !ok {
		err = Errorf(NotFound, "%s has no release", name)
	}
	if err != nil {
		return err
	}
	have, err := p.instances(ctx, name)
	if err != nil {
		return err
	}
	stay, _, missing := want.divide(have)
	if gone := p.resumeAll(stay); len(gone) > 0 {
		return Errorf(Failed, "%s of %s could not be let go on", names(gone), name)
	}
	r := &rising{platform: p, name: name, waking: w, web: slices.ContainsFunc(missing, func(s slot) bool { return s.Type == Web })}
	var group sync.WaitGroup
	for _, s := range missing {
		group.Go(func() { r.start(ctx, want, s) })
	}
	group.Wait()
	return r.finish()
}

// rising is an app that is being started because somebody wants it.
type rising struct {
	platform *Platform
	name     AppName
	waking   *waking
	web      bool // there are web processes to wait for

	mu     sync.Mutex
	served bool
	err    error // the first
}

func (r *rising) start(ctx context.Context, w want, s slot) {
	i, err := r.platform.startHealthy(ctx, w, s, nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err != nil && r.err == nil:
		r.err = err
	case err == nil && i.Type == Web:
		r.platform.awaken(r.name, r.waking, func(candidates []Instance) []Instance { return append(slices.Clone(candidates), i) })
		r.served = true
	case err == nil:
		r.platform.join(r.name, i)
	}
	if err != nil {
		r.platform.countCrash(Instance{App: r.name, Type: s.Type, Number: s.Number})
	}
}

// join adds an instance to the candidates.
func (p *Platform) join(name AppName, i Instance) {
	l := p.lane(name)
	l.mu.Lock()
	drained := p.swap(l, func(candidates []Instance) []Instance { return append(slices.Clone(candidates), i) })
	l.mu.Unlock()
	p.drainLater(drained)
}

// finish is called when all have started or failed. An app without web processes is awake when all run.
func (r *rising) finish() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.served && (r.web || r.err != nil) {
		return r.err
	}
	if !r.served {
		r.platform.awaken(r.name, r.waking, func(candidates []Instance) []Instance { return candidates })
	}
	return nil
}

// oversleep is a wake that failed: who waits is told, and for a while nobody tries again.
func (p *Platform) oversleep(name AppName, err error) {
	again, drained := p.backOff(p.lane(name), err)
	if again == 0 {
		return
	}
	p.drainLater(drained)
	time.AfterFunc(again, func() { p.spawn(func(context.Context) { p.mayKnock(name) }) })
	p.say(Event{Kind: EventOverslept, App: name, Text: fmt.Sprintf("it could not be woken; the next attempt is in %s: %s", Seconds(again), sentence(err))})
}

// backOff is how long nobody tries again; 0 if it is awake.
func (p *Platform) backOff(l *lane, err error) (again time.Duration, drained func(context.Context)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.nap.Depth == Awake {
		return 0, nil
	}
	again = min(firstWakeRetry<<min(l.nap.failed, 10), lastWakeRetry)
	l.nap.failed++
	l.nap.retry = p.Now().Add(again)
	l.nap.end(err)
	return again, p.swap(l, func(candidates []Instance) []Instance { return candidates })
}

// mayKnock lets visitors wake it again.
func (p *Platform) mayKnock(name AppName) {
	l := p.lane(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.nap.Depth != Awake && l.nap.waking == nil {
		p.drainLater(p.swap(l, func(candidates []Instance) []Instance { return candidates }))
	}
}

// visit wakes the app for a command beside it and keeps it awake until leave is called.
func (p *Platform) visit(ctx context.Context, name AppName) (leave func(), err error) {
	l := p.lane(name)
	l.addVisitor(1, p.Now())
	leave = func() { l.addVisitor(-1, p.Now()) }
	if err := p.Wake(ctx, name); err != nil {
		leave()
		return nil, err
	}
	return leave, nil
}

func (l *lane) addVisitor(n int, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.visitors += n
	l.used = now
}

// answerDoor wakes whom other containers call.
func (p *Platform) answerDoor(ctx context.Context) {
	for {
		select {
		case name := <-p.Walls.Rings():
			p.WakeSoon(name)
		case <-ctx.Done():
			return
		}
	}
}

// roughly is a duration as people say it: 3h, 12m, 40s.
func roughly(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%dd", int(d.Hours())/24)
	case d >= time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	case d >= time.Minute:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	}
	return fmt.Sprintf("%ds", int(d.Seconds()))
}
