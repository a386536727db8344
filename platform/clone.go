package platform

import (
	"context"
	"errors"
	"fmt"
	"maps"
)

// CloneInput is apps:clone.
type CloneInput struct {
	App            string `arg:"app"`
	To             string `arg:"new-name" app:"new"`
	SkipDeploy     bool   `flag:"skip-deploy" help:"do not start it: its first push, or ps:rebuild, does"`
	IgnoreExisting bool   `flag:"ignore-existing" help:"succeed when the new app is there already"`
}

// Clone makes an app with another one's code, config vars, formation, links, settings, rules of requests and drains. What
// is one app's alone stays with it, and is told: domains, ports, certificates, volumes, people, and its history.
func (p *Platform) Clone(ctx context.Context, call Call, in CloneInput) (AppView, error) {
	from, err := p.find(ctx, in.App)
	if err != nil {
		return AppView{}, err
	}
	if err := p.MayCreate(call.Actor); err != nil {
		return AppView{}, err
	}
	to, err := p.freeName(ctx, in.To)
	if there, missing := p.Store.App(ctx, AppName(in.To)); in.IgnoreExisting && missing == nil && p.Permit(ctx, call.Actor, in.To, ViewRole, "apps:clone") == nil {
		return p.view(ctx, there.Name)
	}
	if err != nil {
		return AppView{}, err
	}
	leave, err := p.enterBoth(ctx, from.Name, to, call)
	if err != nil {
		return AppView{}, err
	}
	defer leave()
	app, err := p.createFor(ctx, call.Actor, to)
	if err != nil {
		return AppView{}, err
	}
	if err := p.copyApp(ctx, call, from, app); err != nil {
		_ = p.forgetApp(context.WithoutCancel(ctx), app) // it had nothing that anybody misses
		return AppView{}, fmt.Errorf("clone %s: %w", from.Name, err)
	}
	p.tellLeftOut(ctx, call, from)
	p.say(Event{Kind: EventAppCloned, App: to, Actor: call.Actor.Name, Text: fmt.Sprintf("it was made like %s", from.Name)})
	if !in.SkipDeploy {
		if err := p.releaseClone(ctx, call, from.Name, to); err != nil {
			return AppView{}, err
		}
	}
	return p.view(ctx, to)
}

func (p *Platform) copyApp(ctx context.Context, call Call, from, to App) error {
	config, err := p.Store.Config(ctx, from.Name)
	if err != nil {
		return err
	}
	formation, err := p.Store.Formation(ctx, from.Name)
	if err != nil {
		return err
	}
	settings, err := p.Store.Settings(ctx, from.Name)
	if err != nil {
		return err
	}
	policy, err := p.Store.RestartPolicy(ctx, from.Name)
	if err != nil {
		return err
	}
	spec, err := p.Store.Spec(ctx, from.Name)
	if err != nil {
		return err
	}
	errs := []error{
		p.Store.SetDraft(ctx, to.Name, config, Spec{Links: ownedBy(spec.Links, to.Name)}), p.Store.SetFormation(ctx, to.Name, formation),
		p.Store.ChangeSettings(ctx, to.Name, call.Actor.Name, settings), p.Store.ChangeDeployBranch(ctx, to.Name, from.DeployBranch),
		p.readIdle(ctx, to.Name), p.Sources.Copy(ctx, from, to),
	}
	errs = append(errs, p.copyWalls(ctx, from.Name, to.Name), p.copyDrains(ctx, call, from.Name, to.Name))
	if policy != "" {
		errs = append(errs, p.Store.SetRestartPolicy(ctx, to.Name, policy))
	}
	return errors.Join(errs...)
}

// releaseClone puts the image that serves in the one app live in the other.
func (p *Platform) releaseClone(ctx context.Context, call Call, from, to AppName) error {
	w, released, err := p.wanted(ctx, from)
	if err != nil || !released {
		return err
	}
	drop, err := p.hold(w.release)
	if err != nil {
		return err
	}
	defer drop()
	_, err = p.release(ctx, Release{
		App: to, Image: w.release.Image, Spec: Spec{Links: ownedBy(w.release.Spec.Links, to)}, Config: maps.Clone(w.release.Config), Actor: call.Actor.Name, Commit: w.release.Commit,
		Description: fmt.Sprintf("Clone of %s v%d", from, w.release.Number),
	}, NewStory(call.Err, p.Now))
	return withHint(err, "%s is there and not deployed; try again: ssh paas ps:rebuild %s", to, to)
}
