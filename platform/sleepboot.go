package platform

import (
	"context"
	"slices"
)

// rememberSleep takes over how an app slept when the predecessor ended. What the processes do counts more than
// what is written: one that runs was being woken, or was not frozen yet, and so all are let go on. Of an app
// of which nothing is left after a reboot, nothing is started.
func (p *Platform) rememberSleep(app App, sleeps []Sleep, have []Instance) {
	at := slices.IndexFunc(sleeps, func(s Sleep) bool { return s.App == app.Name })
	if at < 0 {
		return
	}
	s, own := sleeps[at], p.sleepersOf(app, have)
	awake := slices.ContainsFunc(own, func(i Instance) bool { return !i.Paused })
	n := nap{Sleep: s, slept: true, types: p.sleepingTypes(app)}
	switch {
	case app.Stopped, s.Depth == Frozen && awake:
		p.resumeAll(own)
		n = nap{}
	case s.Depth == Frozen && len(own) == 0:
		n.Depth = Stopped
	case s.Depth == Frozen:
		n.frozen = own
	}
	l := p.lane(app.Name)
	l.mu.Lock()
	l.nap = n
	l.mu.Unlock()
	p.noteSleep(app.Name)
	if n.Depth == Frozen && p.heard(app.Name).After(s.Since) {
		p.WakeSoon(app.Name) // somebody called while no daemon was there
	}
}

// sleepingTypes are the process types that sleep with the app.
func (p *Platform) sleepingTypes(app App) (types []ProcessType) {
	release, err := p.Store.Release(p.life, app.Name, app.Release)
	if err != nil {
		p.Log.Error("sleep", "app", app.Name, "err", err)
	}
	rules := p.idleRules(app.Name)
	for t := range release.Image.Processes {
		if t != ReleasePhase && !rules.keeps(t) {
			types = append(types, t)
		}
	}
	return types
}

// sleepersOf are the app's instances that would sleep with it.
func (p *Platform) sleepersOf(app App, have []Instance) (own []Instance) {
	rules := p.idleRules(app.Name)
	for _, i := range have {
		if i.App == app.Name && i.Release == app.Release && i.Exit == nil && !rules.keeps(i.Type) {
			own = append(own, i)
		}
	}
	return own
}

// unfreezing are the instances that a predecessor left, as candidates: those that stand still because the app sleeps
// are not paused by anybody, and of a stopped sleeper all but those that stay awake are on their way out.
func (p *Platform) unfreezing(name AppName, list []Instance) []Instance {
	switch p.lane(name).depth() {
	case Stopped:
		rules := p.idleRules(name)
		return slices.DeleteFunc(slices.Clone(list), func(i Instance) bool { return !rules.keeps(i.Type) })
	case Frozen:
		return running(list)
	}
	return list
}

// running are the instances as they are when nobody has paused them.
func running(list []Instance) []Instance {
	list = slices.Clone(list)
	for n := range list {
		list[n].Paused = false
	}
	return list
}

// stir wakes what of a frozen app goes on in what is to be, and returns it as it then is.
func (p *Platform) stir(name AppName, stay []Instance) []Instance {
	if p.lane(name).depth() != Frozen {
		return stay
	}
	if w, mine, _ := p.lane(name).knock(p.Now()); mine && !p.thaw(name, w) {
		p.spawn(func(ctx context.Context) { p.rise(ctx, name, w) })
	}
	p.resumeAll(stay) // whoever else wakes it may not have come so far
	return running(stay)
}

// endSleep is for an app that gets new instances: what slept goes, and the next Swap lets requests in.
func (p *Platform) endSleep(name AppName) {
	l := p.lane(name)
	l.mu.Lock()
	before := l.nap
	l.nap.end(nil)
	l.nap = nap{}
	l.woke = p.Now()
	l.mu.Unlock()
	if before.Depth == Awake {
		return
	}
	p.resumeAll(before.frozen)
	if before.slept {
		p.say(Event{Kind: EventWoke, App: name, Text: "it slept for " + roughly(p.Now().Sub(before.Since)) + " and was changed"})
	}
	p.spawn(func(context.Context) { p.noteSleep(name) })
	p.sleepers.kick()
}

// kept are the instances that stay awake while the app sleeps.
func (w want) kept(have []Instance) (list []Instance) {
	for _, i := range have {
		if slices.Contains(w.keep, i.Type) {
			list = append(list, i)
		}
	}
	return list
}
