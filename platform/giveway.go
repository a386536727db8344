package platform

import (
	"context"
	"fmt"
	"slices"
)

// giveWay ends the instances that are to be replaced and may not run beside their successors: those of process types
// whose checks are disabled. It returns the others. A deploy that then fails has them started again by a repair.
func (p *Platform) giveWay(ctx context.Context, w want, excess []Instance, missing []slot, story *Story) ([]Instance, error) {
	var early []Instance
	for _, i := range excess {
		rules, err := p.rules(ctx, w, i.Type)
		if err != nil {
			return excess, err
		}
		replaced := slices.ContainsFunc(missing, func(s slot) bool { return s.Type == i.Type })
		if rules.Mode == checksDisabled && replaced && i.Exit == nil {
			early = append(early, i)
		}
	}
	if len(early) == 0 {
		return excess, nil
	}
	if story != nil {
		story.Line("Stopping %s first: checks are disabled", names(early))
	}
	p.endNow(ctx, w.app, early)
	if err := ctx.Err(); err != nil {
		p.reconcileSoon(w.app.Name)
		return excess, fmt.Errorf("replace %s of %s: %w", names(early), w.app.Name, context.Cause(ctx))
	}
	return without(excess, early), nil
}

// endNow takes instances out of the route, lets their requests finish, and stops them.
func (p *Platform) endNow(ctx context.Context, app App, list []Instance) {
	p.markRetiring(app.Name, list)
	drained := p.republish(ctx, app, func(candidates []Instance) []Instance { return without(candidates, list) })
	draining, cancel := context.WithTimeout(ctx, p.drain(app.Name))
	drained(draining)
	cancel()
	p.stopAll(p.life, list)
}

// gate lets so many starts of a process type through at once; a nil one lets all.
type gate chan struct{}

// gates are those that app.json's max_parallel asks for.
func (w want) gates() map[ProcessType]gate {
	list := map[ProcessType]gate{}
	for typ, n := range w.release.Image.Parallel {
		if n > 0 {
			list[typ] = make(gate, n)
		}
	}
	return list
}

// pass waits for a place and returns how to leave it.
func (g gate) pass() (leave func()) {
	if g == nil {
		return func() {}
	}
	g <- struct{}{}
	return func() { <-g }
}
