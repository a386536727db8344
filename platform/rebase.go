package platform

import (
	"context"
	"fmt"
	"maps"
)

// Rebased is what a new version of a stack meant to one app.
type Rebased struct {
	App     AppName `json:"app"`
	Release int     `json:"release"` // the new one; 0 if there is none
	Outcome string  `json:"outcome"`
	Reason  string  `json:"reason,omitempty"`
}

// The outcomes.
const (
	rebaseDone   = "rebased" // without a build
	rebaseNeeded = "push"    // its layers do not allow it: the next push builds on the new version
	rebaseLocked = "locked"  // somebody locked it (apps:lock): it keeps its release
	rebaseFailed = "failed"  // the old release runs on
)

// rebaseAll puts every app that runs on the stack on its version, one after another. An app that does not become
// healthy keeps its release and stops none of the others.
func (p *Platform) rebaseAll(ctx context.Context, call Call, onto Stack) ([]Rebased, error) {
	list := []Rebased{}
	apps, err := p.Store.Apps(ctx)
	if err != nil {
		return list, fmt.Errorf("list apps: %w", err)
	}
	for _, app := range apps {
		if err := ctx.Err(); err != nil {
			return list, err
		}
		r, concerned := p.rebase(ctx, call, app, onto)
		if concerned {
			list = append(list, r)
		}
	}
	return list, nil
}

// rebase is one app's turn. An app that is on another stack, or on that version already, is not concerned.
func (p *Platform) rebase(ctx context.Context, call Call, app App, onto Stack) (r Rebased, concerned bool) {
	r = Rebased{App: app.Name}
	leave, err := p.enter(ctx, app.Name, call)
	if err != nil {
		return r.failed(p.Human(err)), true
	}
	defer leave()
	w, released, err := p.wanted(ctx, app.Name)
	if err != nil {
		return r.failed(p.Human(err)), KindOf(err) != NotFound
	}
	on := w.release.Image.Stack
	if !released || on == nil || on.Stack != onto.Name || on.Layer == onto.Layer {
		return r, false
	}
	if err := p.unlocked(ctx, app.Name); err != nil {
		r.Outcome, r.Reason = rebaseLocked, sentence(err)
		return r, true
	}
	story := NewStory(call.Err, p.Now)
	story.Phase("Rebasing %s onto %s v%d", app.Name, onto.Name, onto.Number)
	made, err := p.rebaseRelease(ctx, call.Actor, w.release, onto, story)
	story.End()
	if KindOf(err) == Conflict && made.Number == 0 { // no release was tried
		r.Outcome, r.Reason = rebaseNeeded, sentence(err)
		return r, true
	}
	if err != nil {
		return r.failed(p.Human(err)), true
	}
	r.Outcome, r.Release = rebaseDone, made.Number
	return r, true
}

func (r Rebased) failed(e *Error) Rebased {
	r.Outcome, r.Reason = rebaseFailed, e.Message
	return r
}

// rebaseRelease makes a release that differs from the current one in the lowest layers only. The caller holds the
// app's lane.
func (p *Platform) rebaseRelease(ctx context.Context, actor Actor, now Release, onto Stack, story *Story) (Release, error) {
	drop, err := p.hold(now)
	if err != nil {
		return Release{}, err
	}
	defer drop()
	image, err := p.Bases.Rebase(ctx, now.Image, onto, story)
	if err != nil {
		return Release{}, err
	}
	keep, err := p.Images.Hold(image.Layers)
	if err != nil {
		return Release{}, err
	}
	defer keep()
	made, err := p.release(ctx, Release{
		App: now.App, Image: image, Config: maps.Clone(now.Config), Spec: now.Spec, Actor: actor.Name, Commit: now.Commit,
		Description: fmt.Sprintf("Rebase onto %s v%d", onto.Name, onto.Number),
	}, story)
	if err == nil {
		p.say(Event{
			Kind: EventRebased, App: now.App, Release: made.Number, Actor: actor.Name,
			Text: fmt.Sprintf("v%d is live on %s v%d", made.Number, onto.Name, onto.Number),
		})
	}
	return made, err
}
