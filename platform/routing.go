package platform

import "context"

// candidates are the web instances that an app's requests may go to as far as releases are concerned.
// Those that stand still, fail a readiness check or have ended are left out of the route until that changes.

// publish routes the app's hosts to the instances.
func (p *Platform) publish(ctx context.Context, app App, web []Instance) (drained func(context.Context)) {
	return p.republish(ctx, app, func([]Instance) []Instance { return web })
}

// republish routes anew after a change of the candidates or of what keeps one of them out.
func (p *Platform) republish(ctx context.Context, app App, change func([]Instance) []Instance) (drained func(context.Context)) {
	hosts, err := p.hosts(ctx, app.Name)
	if err != nil {
		p.Log.Error("route without own domains", "app", app.Name, "err", err)
	}
	l := p.lane(app.Name)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.route = route(app, hosts)
	l.used = p.Now()
	return p.swap(l, change)
}

// reswap publishes the route again after a change of how the app sleeps.
func (p *Platform) reswap(l *lane) (drained func(context.Context)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return p.swap(l, func(candidates []Instance) []Instance { return candidates })
}

// swap publishes what follows from the candidates. The caller holds the lane's mu.
func (p *Platform) swap(l *lane, change func([]Instance) []Instance) (drained func(context.Context)) {
	if l.route.App == "" {
		return func(context.Context) {} // the app is no more
	}
	l.candidates = change(l.candidates)
	l.routed = nil
	l.paused = false
	for _, i := range l.candidates {
		l.paused = l.paused || i.Paused
		if !l.gone[i.ID] && !i.Paused && len(l.unready[i.ID]) == 0 {
			l.routed = append(l.routed, i)
		}
	}
	to := l.route
	to.Backends, to.Asleep = backends(l.routed), l.nap.asleep(p.Now())
	return p.Router.Swap(to)
}

// unpublish forgets the route of an app that is no more.
func (p *Platform) unpublish(name AppName) {
	l := p.lane(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.route, l.candidates, l.routed = Route{}, nil, nil
	p.Router.Remove(name)
}

// drainLater lets requests to instances that were taken out of the route finish, in the background.
func (p *Platform) drainLater(drained func(context.Context)) {
	p.spawn(func(ctx context.Context) {
		draining, cancel := context.WithTimeout(ctx, p.Settings.Drain)
		defer cancel()
		drained(draining)
	})
}

func (p *Platform) candidates(name AppName) []Instance {
	l := p.lane(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.candidates
}
