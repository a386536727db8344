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
	https := p.https(ctx, app.Name)
	l := p.lane(app.Name)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.candidates = change(l.candidates)
	l.routed = nil
	l.asleep = false
	for _, i := range l.candidates {
		l.asleep = l.asleep || i.Paused
		if !l.gone[i.ID] && !i.Paused && len(l.unready[i.ID]) == 0 {
			l.routed = append(l.routed, i)
		}
	}
	r := route(app, hosts, l.routed)
	r.HTTPS = https
	return p.Router.Swap(r)
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
