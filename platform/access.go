package platform

import "context"

// Actor is who holds the key, as the door has proven it.
func (p *Platform) Actor(ctx context.Context, fingerprint string) (Actor, error) {
	k, err := p.Store.KeyByFingerprint(ctx, fingerprint)
	if err != nil {
		return Actor{}, err
	}
	return Actor{Name: k.Name, Fingerprint: k.Fingerprint, Admin: k.Admin}, nil
}

// OpenPush finds the app for a push. An admin's push to a name that is free makes the app; for others
// an app that is not there looks like one they may not see.
func (p *Platform) OpenPush(ctx context.Context, actor Actor, name string) (app App, created bool, err error) {
	app, err = p.OpenFetch(ctx, actor, name)
	if KindOf(err) != NotFound || !actor.Admin {
		return app, false, err
	}
	valid, err := ParseAppName(name)
	if err != nil {
		return App{}, false, err
	}
	if _, err := p.RoomForPush(ctx, App{}); err != nil { // or the app would be all that is left of the push
		return App{}, false, err
	}
	app, err = p.create(ctx, valid)
	if there, missing := p.Store.App(ctx, valid); err != nil && missing == nil {
		return there, false, nil // somebody was faster
	}
	if err == nil {
		p.say(Event{Kind: EventAppCreated, App: valid, Actor: actor.Name, Text: "the app was created by a push"})
	}
	return app, err == nil, err
}

// OpenFetch finds the app for a clone or a fetch.
func (p *Platform) OpenFetch(ctx context.Context, actor Actor, name string) (App, error) {
	app, err := p.Store.App(ctx, AppName(name))
	if KindOf(err) == NotFound {
		if err := p.notRenamed(ctx, actor, AppName(name)); err != nil {
			return App{}, err
		}
		return App{}, Errorf(NotFound, "there is no app %q, or you may not see it", name)
	}
	return app, err
}

// DeployBranch is the branch whose pushes deploy; the first one that asks becomes it.
func (p *Platform) DeployBranch(ctx context.Context, app App, branch string) (string, error) {
	return p.Store.SetDeployBranch(ctx, app.Name, branch)
}
