package platform

import (
	"context"
	"sync"
)

// Requirement is a role that something under way needs on an app.
type Requirement struct {
	App  AppName
	Role Role
	What string // "logs": what it is for
}

// Visit is something that an actor has under way: a connection, a command.
type Visit struct {
	Actor Actor
	Needs []Requirement
	Admin bool            // it needs an admin
	End   func(why error) // ends it; it must not block
}

// visits are what is under way, so that who loses a right loses it at once.
type visits struct {
	mu   sync.Mutex
	open map[*Visit]bool
}

// Visiting has v.End called when its actor may not come in any more or has lost a role that it needs, until leave is
// called. Whoever proves an actor registers it first and looks up the actor then, so that nobody slips through between.
func (p *Platform) Visiting(v Visit) (leave func()) {
	p.visits.mu.Lock()
	defer p.visits.mu.Unlock()
	if p.visits.open == nil {
		p.visits.open = map[*Visit]bool{}
	}
	p.visits.open[&v] = true
	return func() {
		p.visits.mu.Lock()
		defer p.visits.mu.Unlock()
		delete(p.visits.open, &v)
	}
}

// recheck ends what is under way of those who may not any more. The caller's own request is not cut off: it ends.
func (p *Platform) recheck(ctx context.Context, caller Actor) {
	ctx = context.WithoutCancel(ctx)
	p.visits.mu.Lock()
	var open []*Visit
	for v := range p.visits.open {
		if v.Actor.Request == "" || v.Actor.Request != caller.Request {
			open = append(open, v)
		}
	}
	p.visits.mu.Unlock()
	for _, v := range open {
		if err := p.mayGoOn(ctx, v); err != nil {
			v.End(err)
		}
	}
}

// mayGoOn is nil when the visit may go on.
func (p *Platform) mayGoOn(ctx context.Context, v *Visit) error {
	actor, err := p.again(ctx, v.Actor)
	if err != nil {
		return err
	}
	if v.Admin && !actor.Admin {
		return Errorf(Denied, "you are no admin any more")
	}
	for _, n := range v.Needs {
		if err := p.Permit(ctx, actor, string(n.App), n.Role, n.What); err != nil {
			return err
		}
	}
	return nil
}

// again is the actor as it would be if it came in now.
func (p *Platform) again(ctx context.Context, a Actor) (Actor, error) {
	gone := Errorf(Denied, "you may not come in any more")
	switch {
	case a.Token != nil:
		t, err := p.Store.TokenByHash(ctx, a.Token.Hash)
		if KindOf(err) == NotFound {
			return a, gone
		}
		return p.actorOf(t), err
	case a.Fingerprint != "":
		now, err := p.Actor(ctx, a.Fingerprint)
		if KindOf(err) == NotFound {
			return a, gone
		}
		return now, err
	default:
		return a, nil
	}
}
