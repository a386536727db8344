package platform

import "context"

// candidates are the instances that an app's requests and mapped ports may lead to as far as releases are concerned.
// Those that stand still, fail a readiness check or have ended are left out of the route until that changes.

// publish routes the app's hosts to the instances.
func (p *Platform) publish(ctx context.Context, app App, all []Instance) (drained func(context.Context)) {
	return p.republish(ctx, app, func([]Instance) []Instance { return all })
}

// republish routes anew after a change of the candidates or of what keeps one of them out.
func (p *Platform) republish(ctx context.Context, app App, change func([]Instance) []Instance) (drained func(context.Context)) {
	hosts, err := p.hosts(ctx, app.Name)
	if err != nil {
		p.Log.Error("route without own domains", "app", app.Name, "err", err)
	}
	mappings, err := p.Store.Mappings(ctx, app.Name)
	if err != nil {
		p.Log.Error("route without port mappings", "app", app.Name, "err", err)
	}
	https := p.https(ctx, app.Name)
	l := p.lane(app.Name)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.candidates = change(l.candidates)
	l.routed = nil
	var ready []Instance
	l.asleep = false
	for _, i := range l.candidates {
		l.asleep = l.asleep || i.Paused && i.Type == Web
		if !l.gone[i.ID] && !i.Paused && len(l.unready[i.ID]) == 0 {
			ready = append(ready, i)
		}
	}
	l.routed = webOf(ready)
	to := route(app, hosts, l.routed)
	to.Ports = routePorts(mappings, ready)
	to.HTTPS = https
	return p.Router.Swap(to)
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
