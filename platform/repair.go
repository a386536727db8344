package platform

import (
	"context"
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
	if isWatched || leaving {
		return
	}
	p.Log.Warn("instance ended", "app", i.App, "instance", i.ID, "type", i.Type, "number", i.Number,
		"code", i.Exit.Code, "oom", i.Exit.OOM)
	p.unroute(ctx, i)
	p.countCrash(i)
	p.reconcileSoon(i.App)
}

// unroute takes one instance out of its app's route.
func (p *Platform) unroute(ctx context.Context, i Instance) {
	if i.Type != Web {
		return
	}
	app, err := p.Store.App(ctx, i.App)
	if err != nil {
		return // destroyed meanwhile
	}
	drained := p.publish(ctx, app, without(p.routed(i.App), []Instance{i}))
	p.spawn(func(ctx context.Context) {
		draining, cancel := context.WithTimeout(ctx, p.Settings.Drain)
		defer cancel()
		drained(draining)
	})
}

func (p *Platform) countCrash(i Instance) {
	l := p.lane(i.App)
	l.mu.Lock()
	defer l.mu.Unlock()
	s := slot{i.Type, i.Number}
	c := l.crashes[s]
	if i.Exit != nil && i.Exit.At.Sub(i.StartedAt) > steadyRun {
		c.count = 0
	}
	c.retry = p.Now().Add(min(firstRetry<<min(c.count, 10), lastRetry))
	c.count++
	c.exit = i.Exit
	l.crashes[s] = c
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
	have, err := p.instances(ctx, w.app.Name)
	if err != nil {
		return err
	}
	stay, excess, missing := w.divide(have)
	var started []Instance
	for _, s := range p.due(w.app.Name, missing) {
		i, err := p.startHealthy(ctx, w, s, nil)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			p.Log.Warn("restart failed", "app", w.app.Name, "type", s.Type, "number", s.Number, "err", err)
			p.countCrash(Instance{App: w.app.Name, Type: s.Type, Number: s.Number})
			continue
		}
		started = append(started, i)
	}
	if len(started) == 0 && len(missing) > 0 {
		excess = ended(excess) // keep what still serves, though out of date, until it can be replaced
		stay = without(have, excess)
	}
	web := webOf(append(stay, started...))
	p.retire(w.app.Name, p.publish(context.WithoutCancel(ctx), w.app, web), excess)
	return nil
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
		if !l.crashes[s].retry.After(p.Now()) {
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
