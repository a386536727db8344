package platform

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Back-off of a slot whose instance keeps ending: 1 s, doubling to 5 min, as Heroku's crash restarts
// grow. An instance that ran for a minute starts afresh.
const (
	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
	steadyRun  = time.Minute
)

// watch reads the runner's exits until the platform closes.
func (p *Platform) watch(ctx context.Context) {
	for {
		select {
		case i := <-p.Runner.Exits():
			p.ended(ctx, i)
		case <-ctx.Done():
			return
		}
	}
}

// ended handles an instance that ended by itself: no more requests go to it, and if it is still wanted
// a repair is due.
func (p *Platform) ended(ctx context.Context, i Instance) {
	l := p.lane(i.App)
	l.mu.Lock()
	watched, isWatched := l.ended[i.ID]
	if isWatched {
		close(watched)
		delete(l.ended, i.ID)
	}
	leaving := l.retiring[i.ID]
	l.gone[i.ID] = true
	l.mu.Unlock()
	if p.fellOff(i) || isWatched || leaving {
		return
	}
	p.unroute(ctx, i)
	c := p.countCrash(i)
	p.tellEnd(ctx, i, c)
	p.reconcileSoon(i.App)
}

// loopFrom is how many ends in a row make a crash loop.
const loopFrom = 3

// tellEnd says how an instance ended and what comes of it.
func (p *Platform) tellEnd(ctx context.Context, i Instance, c crash) {
	p.sayOf(EventExited, i, "", "%s %s", i.Name(), i.Exit)
	switch policy := p.policy(ctx, i.App); {
	case !policy.again(i.Exit, c.count):
		p.sayOf(EventGaveUp, i, "", "%s is not started again: the restart policy is %s", i.Name(), policy)
	case c.count >= loopFrom:
		p.sayOf(EventCrashed, i, "", "%s keeps ending: %s", i.Name(), c.status(p.Now()))
	}
}

// status is what ps says of a place whose instance ended: how, how often, and what is next.
func (c crash) status(now time.Time) string {
	text := "crashed"
	switch {
	case c.exit != nil && c.exit.Code == 0 && !c.exit.Lost:
		text = "exited with status 0"
	case c.exit != nil:
		text += ": " + c.exit.String()
	}
	if c.count > 1 {
		text += fmt.Sprintf(" (%d times)", c.count)
	}
	if c.resting {
		return text + ", not started again"
	}
	return text + fmt.Sprintf(", next start in %s", Seconds(max(c.retry.Sub(now), 0)))
}

// unroute takes one instance out of its app's route.
func (p *Platform) unroute(ctx context.Context, i Instance) {
	app, err := p.Store.App(ctx, i.App)
	if err != nil {
		return // destroyed meanwhile
	}
	p.drainLater(p.republish(ctx, app, func(candidates []Instance) []Instance {
		return without(candidates, []Instance{i})
	}))
}

func (p *Platform) countCrash(i Instance) crash {
	l := p.lane(i.App)
	l.mu.Lock()
	defer l.mu.Unlock()
	s := slot{i.Type, i.Number}
	c := l.crashes[s]
	if i.ID != "" && c.last == i.ID {
		return c
	}
	end := p.Now()
	if i.Exit != nil {
		end = i.Exit.At
	}
	if !i.StartedAt.IsZero() && end.Sub(i.StartedAt) > steadyRun {
		c.count = 0
	}
	c.retry = p.Now().Add(min(firstRetry<<min(c.count, 10), lastRetry))
	c.count++
	c.exit, c.last = i.Exit, i.ID
	l.crashes[s] = c
	return c
}

// calm forgets crashes: a person deployed, restarted or scaled.
func (p *Platform) calm(name AppName) {
	l := p.lane(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.crashes)
}

// reconcileSoon repairs the app in the background, as soon as a slot is due.
func (p *Platform) reconcileSoon(name AppName) { p.reconcileAfter(name, 0) }

func (p *Platform) reconcileAfter(name AppName, d time.Duration) {
	l := p.lane(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.repair != nil {
		l.repair.Stop()
	}
	l.repair = time.AfterFunc(d, func() {
		p.spawn(func(ctx context.Context) { p.reconcile(ctx, name) })
	})
}

// busyRetry is how long a repair waits for a person's work on the app; that work converges anyway.
const busyRetry = 2 * time.Second

// reconcile starts what lacks and stops what is too much, slot by slot: unlike a deploy, one slot that
// fails does not keep the others down.
func (p *Platform) reconcile(ctx context.Context, name AppName) {
	ctx, leave, ok := p.lane(name).tryRepair(ctx)
	if !ok {
		p.reconcileAfter(name, busyRetry)
		return
	}
	defer leave()
	leaveHelm, err := p.lane(name).takeHelm(ctx)
	if err != nil {
		return
	}
	defer leaveHelm()
	w, ok, err := p.wanted(ctx, name)
	if err != nil || !ok {
		return // no such app any more, or nothing released yet
	}
	if err := p.repair(ctx, w); err != nil && ctx.Err() == nil {
		p.Log.Error("repair", "app", name, "err", err)
	}
	if next, due := p.nextRetry(name); due {
		p.reconcileAfter(name, next)
	}
}

func (p *Platform) repair(ctx context.Context, w want) error {
	depth := p.lane(w.app.Name).depth()
	w.asleep, w.keep = depth != Awake, p.idleRules(w.app.Name).Keep
	have, err := p.instances(ctx, w.app.Name)
	if err != nil {
		return err
	}
	if depth == Frozen {
		have = w.kept(have)
	}
	stay, excess, missing := w.divide(have)
	rest := p.resting(ctx, w, have)
	have, excess, missing = without(have, rest), without(excess, rest), notFilledBy(missing, rest)
	var started []Instance
	for _, s := range p.due(w.app.Name, missing) {
		i, err := p.startHealthy(ctx, w.at(s), s, nil)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			p.say(Event{
				Kind: EventCrashed, App: w.app.Name, Process: fmt.Sprintf("%s.%d", s.Type, s.Number), Release: w.at(s).release.Number,
				Text: "it could not be started again: " + sentence(err),
			})
			p.countCrash(Instance{App: w.app.Name, Type: s.Type, Number: s.Number})
			continue
		}
		started = append(started, i)
	}
	if len(started) == 0 && len(missing) > 0 {
		excess = ended(excess) // keep what still serves, though out of date, until it can be replaced
		stay = without(have, excess)
	}
	if w.asleep {
		joined := func(candidates []Instance) []Instance { return append(slices.Clone(candidates), started...) }
		p.retire(w.app.Name, p.republish(context.WithoutCancel(ctx), w.app, joined), excess)
		return nil
	}
	running := append(stay, started...)
	p.retire(w.app.Name, p.publish(context.WithoutCancel(ctx), w.app, running), excess)
	return nil
}

// notFilledBy takes away the slots that belong to instances of the list.
func notFilledBy(slots []slot, list []Instance) []slot {
	return slices.DeleteFunc(slots, func(s slot) bool {
		return slices.ContainsFunc(list, func(i Instance) bool { return s == slot{i.Type, i.Number} })
	})
}

func ended(list []Instance) (out []Instance) {
	for _, i := range list {
		if i.Exit != nil {
			out = append(out, i)
		}
	}
	return out
}

// due chooses the slots whose back-off is over.
func (p *Platform) due(name AppName, missing []slot) (due []slot) {
	l := p.lane(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range missing {
		if c := l.crashes[s]; !c.resting && !c.retry.After(p.Now()) {
			due = append(due, s)
		}
	}
	return due
}

// nextRetry is when the next slot is due, if one is waiting.
func (p *Platform) nextRetry(name AppName) (d time.Duration, waiting bool) {
	l := p.lane(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.crashes {
		left := c.retry.Sub(p.Now())
		if left > 0 && (!waiting || left < d) {
			d, waiting = left, true
		}
	}
	return d, waiting
}
