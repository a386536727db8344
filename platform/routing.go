package platform

import (
	"context"
	"slices"
	"strings"
)

// candidates are the instances that an app's requests and mapped ports may lead to as far as releases are
// concerned. Those that stand still, fail a readiness check or have ended are left out of the route until that
// changes; requests never go to process types that no path leads to.

// publish routes the app's hosts to the instances.
func (p *Platform) publish(ctx context.Context, app App, list []Instance) (drained func(context.Context)) {
	return p.republish(ctx, app, func([]Instance) []Instance { return list })
}

// republish routes anew after a change of the candidates, of what keeps one of them out, or of the rules.
func (p *Platform) republish(ctx context.Context, app App, change func([]Instance) []Instance) (drained func(context.Context)) {
	l := p.lane(app.Name)
	l.routing.Lock()
	defer l.routing.Unlock()
	hosts, err := p.hosts(ctx, app.Name)
	if err != nil {
		p.Log.Error("route without own domains", "app", app.Name, "err", err)
	}
	mappings, err := p.Store.Mappings(ctx, app.Name)
	if err != nil {
		p.Log.Error("route without port mappings", "app", app.Name, "err", err)
	}
	settings, edge, edgeErr := p.edge(ctx, app.Name)
	https := p.https(ctx, app.Name)
	l.mu.Lock()
	defer l.mu.Unlock()
	if edgeErr != nil {
		p.Log.Error("rules of requests stay as they were", "app", app.Name, "err", edgeErr)
		settings, edge = l.lastRules()
	}
	if edge.Canary.Release == app.Release {
		edge.Canary = CanaryShare{} // it was promoted
	}
	l.settings, l.edge, l.mappings = &settings, edge, mappings
	l.route = Route{App: app.Name, Hosts: hosts, Stopped: app.Stopped, Traffic: settings.Traffic, Edge: edge, HTTPS: https}
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
	var ready []Instance
	pools := poolsOf(l.edge)
	to := l.route
	for _, i := range l.candidates {
		pool, routed := pools.of(i)
		l.paused = l.paused || i.Paused && i.Type == Web
		if l.gone[i.ID] || i.Paused || len(l.unready[i.ID]) > 0 {
			continue
		}
		if pool != CanaryPool {
			ready = append(ready, i)
		}
		if !routed {
			continue
		}
		to.Backends = append(to.Backends, Backend{ID: i.ID, Name: i.Name(), Addr: i.Addr, Pool: pool})
		if i.Type == Web {
			l.routed = append(l.routed, i)
		}
	}
	if to.Asleep = l.nap.asleep(p.Now()); to.Asleep { // the kernel of a frozen one would take connections that nobody answers
		rules := p.idleRules(to.App)
		ready = slices.DeleteFunc(ready, func(i Instance) bool { return !rules.keeps(i.Type) })
	}
	to.Ports = routePorts(l.mappings, ready)
	return p.Router.Swap(to)
}

// unpublish forgets the route of an app that is no more.
func (p *Platform) unpublish(name AppName) {
	l := p.lane(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.route, l.candidates, l.routed = Route{}, nil, nil
	p.Router.Remove(name)
	p.checked.forget(name)
}

// lastRules are what held before. An app whose rules were never read is kept closed: they may be what guards it.
func (l *lane) lastRules() (edgeSettings, Edge) {
	if l.settings == nil {
		return edgeSettings{}, Edge{Maintenance: true}
	}
	return *l.settings, l.edge
}

// routedTypes are the process types that paths lead to. Like web, they have to listen before they count as healthy.
func routedTypes(rules []EdgeRule) map[ProcessType]bool {
	types := map[ProcessType]bool{}
	for _, r := range rules {
		if rule, err := parsePath(r.Key, strings.Fields(r.Value)); r.Kind == PathKind && err == nil && rule.App == "" {
			types[rule.Process] = true
		}
	}
	return types
}

// pools tell which of an app's instances get which requests.
type pools struct {
	canary    int // its release; 0: none
	processes map[ProcessType]bool
}

func poolsOf(e Edge) pools {
	p := pools{canary: e.Canary.Release, processes: map[ProcessType]bool{}}
	for _, rule := range e.Paths {
		if rule.App == "" {
			p.processes[rule.Process] = true
		}
	}
	return p
}

func (p pools) of(i Instance) (pool Pool, routed bool) {
	switch {
	case i.Type == Web && p.canary != 0 && i.Release == p.canary:
		return CanaryPool, true
	case i.Type == Web:
		return MainPool, true
	}
	return Pool(i.Type), p.processes[i.Type]
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
