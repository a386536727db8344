package platform

import (
	"cmp"
	"context"
)

// hiddenApp answers a git client that named an app which is not there, or which it may not know of.
func hiddenApp(name string) *Error {
	return Errorf(NotFound, "there is no app %q, or you may not see it", name)
}

// OpenPush finds the app for a push, which needs the role deploy. A push to a name that is free makes the app, for
// those who may make apps; for others an app that is not there looks like one they may not see.
func (p *Platform) OpenPush(ctx context.Context, actor Actor, name string) (app App, created bool, err error) {
	app, err = p.open(ctx, actor, name, DeployRole, "a push")
	if KindOf(err) != NotFound || !actor.Creates && !actor.Admin {
		return app, false, err
	}
	valid, err := ParseAppName(name)
	if err != nil {
		return App{}, false, err
	}
	if _, there := p.Store.App(ctx, valid); there == nil {
		return App{}, false, hiddenApp(name)
	}
	if _, err := p.RoomForPush(ctx, App{}); err != nil { // or the app would be all that is left of the push
		return App{}, false, err
	}
	app, err = p.createFor(ctx, actor, valid)
	if _, missing := p.Store.App(ctx, valid); err != nil && missing == nil { // somebody was faster
		app, err = p.open(ctx, actor, name, DeployRole, "a push")
		return app, false, err
	}
	if err == nil {
		p.say(Event{Kind: EventAppCreated, App: valid, Actor: actor.Name, Text: "the app was created by a push"})
	}
	return app, err == nil, err
}

// OpenFetch finds the app for a clone or a fetch, which needs the role view.
func (p *Platform) OpenFetch(ctx context.Context, actor Actor, name string) (App, error) {
	return p.open(ctx, actor, name, ViewRole, "a clone")
}

func (p *Platform) open(ctx context.Context, actor Actor, name string, need Role, what string) (app App, err error) {
	if err = p.Permit(ctx, actor, name, need, what); err == nil {
		app, err = p.Store.App(ctx, AppName(name))
	}
	if kind := KindOf(err); kind == NotFound || kind == Usage {
		err = cmp.Or(p.notRenamed(ctx, actor, AppName(name)), error(hiddenApp(name)))
	}
	return app, err
}

// DeployBranch is the branch whose pushes deploy; the first one that asks becomes it.
func (p *Platform) DeployBranch(ctx context.Context, app App, branch string) (string, error) {
	return p.Store.SetDeployBranch(ctx, app.Name, branch)
}
