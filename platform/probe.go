package platform

import (
	"context"
	"fmt"
	"time"
)

// shortestWait is the least time between two attempts of a check that goes on for ever.
const shortestWait = time.Second

// tend runs the instance's liveness and readiness checks until it ends: one that is not live is replaced,
// one that is not ready gets no requests until it is again.
func (p *Platform) tend(w want, i Instance) {
	rules, err := p.rules(p.life, w, i.Type)
	if err != nil {
		p.Log.Error("instances are not looked at any more", "app", i.App, "process", i.Name(), "err", err)
		return
	}
	if rules.Mode == checksDisabled {
		return
	}
	for _, c := range w.lastingChecks(i.Type, rules) {
		p.spawn(func(ctx context.Context) { p.probe(ctx, w, i, c) })
	}
}

// probe attempts one check again and again. Attempts in a row have to fail before that means something.
func (p *Platform) probe(ctx context.Context, w want, i Instance, c Check) {
	failures := 0
	t := p.trial(w, i, c, nil)
	for pause := c.InitialDelay; sleep(ctx, pause) == nil; pause = max(c.Wait, shortestWait) {
		now, there := p.still(ctx, i)
		if !there {
			return
		}
		if now.Paused {
			continue
		}
		begun := p.Now()
		err := t.once(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil && p.stoodStill(ctx, i, begun) {
			continue // it did not answer because it could not
		}
		if failures++; err == nil {
			failures = 0
		}
		p.keepProbe(ctx, t, failures)
		switch {
		case c.Warn:
		case err == nil && c.Type == Readiness:
			p.setReady(ctx, i, c, nil)
		case err == nil || failures < c.Attempts:
		case c.Type == Readiness:
			p.setReady(ctx, i, c, err)
		default:
			p.noteProbe(ctx, w, i, fmt.Errorf("liveness check %s: %w", c.Name, err))
			p.replaceUnhealthy(ctx, i, c, err)
			return
		}
	}
}

// stoodStill tells whether the instance is paused or asleep, or was at some time since then.
func (p *Platform) stoodStill(ctx context.Context, i Instance, since time.Time) bool {
	now, there := p.still(ctx, i)
	l := p.lane(i.App)
	l.mu.Lock()
	defer l.mu.Unlock()
	return there && (now.Paused || l.nap.Depth != Awake || l.woke.After(since))
}

// still tells whether an instance runs and is not on its way out.
func (p *Platform) still(ctx context.Context, i Instance) (Instance, bool) {
	have, err := p.instances(ctx, i.App)
	if err != nil {
		return i, false
	}
	for _, now := range have {
		if now.ID == i.ID {
			return now, now.Exit == nil
		}
	}
	return i, false
}

// keepProbe keeps the transcript of a check that goes on for ever whenever its verdict changes or it fails once more,
// and tells of one that only warns when it begins to fail.
func (p *Platform) keepProbe(ctx context.Context, t *trial, failures int) {
	failed, before := failures >= t.check.Attempts, t.result.Passed
	t.result.Passed = !failed
	if failures == t.check.Attempts {
		t.afterFailure(ctx)
		if t.check.Warn {
			p.sayOf(EventUnhealthy, t.instance, "", "%s fails its %s check %s, which only warns: %s",
				t.instance.Name(), t.result.Type, t.check.Name, t.result.Attempts[len(t.result.Attempts)-1].Error)
		}
	}
	if failures == 0 {
		t.result.Output = nil
	}
	if failures > 0 || !before {
		p.checked.keep(t.result)
	}
}

// setReady takes an instance out of the route because of a failed check, or in again.
func (p *Platform) setReady(ctx context.Context, i Instance, c Check, failure error) {
	if !p.noteReady(i, c, failure != nil) {
		return
	}
	if failure == nil {
		p.sayOf(EventReady, i, "", "%s passes its readiness check %s again", i.Name(), c.Name)
	} else {
		p.sayOf(EventUnhealthy, i, "", "%s fails its readiness check %s and gets no requests: %v", i.Name(), c.Name, failure)
	}
	app, err := p.Store.App(ctx, i.App)
	if err != nil {
		return // destroyed meanwhile
	}
	p.drainLater(p.republish(ctx, app, func(candidates []Instance) []Instance { return candidates }))
}

// noteReady tells whether anything changed.
func (p *Platform) noteReady(i Instance, c Check, fails bool) bool {
	l := p.lane(i.App)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unready[i.ID][c.Name] == fails {
		return false
	}
	if l.unready[i.ID] == nil {
		l.unready[i.ID] = map[string]bool{}
	}
	if fails {
		l.unready[i.ID][c.Name] = true
	} else {
		delete(l.unready[i.ID], c.Name)
	}
	return true
}

// replaceUnhealthy ends an instance that fails a liveness check. Its successor does not wait for its end.
func (p *Platform) replaceUnhealthy(ctx context.Context, i Instance, c Check, failure error) {
	p.sayOf(EventUnhealthy, i, "", "%s fails its liveness check %s and is replaced: %v", i.Name(), c.Name, failure)
	p.markRetiring(i.App, []Instance{i})
	p.unroute(ctx, i)
	p.countCrash(i)
	p.reconcileSoon(i.App)
	p.stop(ctx, i)
}
