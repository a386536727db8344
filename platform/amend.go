package platform

import "context"

// Amended is what a change of a release came to.
type Amended struct {
	Release int  // the number of the one that is live with it; 0 if there is none: the first one will have it
	Changed bool // false: it was so already, and nothing was released
}

// amend changes a part of what an app's releases hold: config vars, mounts, links. change gets a copy of the current
// release, or of what the first one will hold, and edits it; its error ends it all. If that makes a difference a
// release that has it is made and put live, as by a push: it fails if that does not become healthy, and then nothing
// has changed. description is the release's ("Link to payments") unless change sets it.
// amend takes the app's lane: its caller must not have it. It says no event; its caller does.
func (p *Platform) amend(ctx context.Context, call Call, app AppName, description string, change func(*Release) error) (Amended, error) {
	leave, err := p.enter(ctx, app, call)
	if err != nil {
		return Amended{}, err
	}
	defer leave()
	return p.amendHeld(ctx, call, app, description, change)
}

// amendHeld is amend for a caller that has the app's lane.
func (p *Platform) amendHeld(ctx context.Context, call Call, app AppName, description string, change func(*Release) error) (Amended, error) {
	now, released, err := p.latest(ctx, app)
	if err != nil {
		return Amended{}, err
	}
	if now.Config, err = p.Store.Config(ctx, app); err != nil { // with what was set without a release
		return Amended{}, err
	}
	next := now.again()
	next.Description, next.Actor = description, call.Actor.Name
	if err := change(&next); err != nil || next.same(now) {
		return Amended{Release: now.Number}, err
	}
	if err := next.fits(); err != nil {
		return Amended{}, err
	}
	if !released {
		return Amended{Changed: true}, p.draft(ctx, next)
	}
	made, err := p.release(ctx, next, NewStory(call.Err, p.Now))
	return Amended{Release: made.Number, Changed: err == nil}, err
}

// latest is the current release, or what the first one will hold.
func (p *Platform) latest(ctx context.Context, name AppName) (r Release, released bool, err error) {
	app, err := p.Store.App(ctx, name)
	if err != nil {
		return r, false, err
	}
	if app.Release != 0 {
		r, err = p.Store.Release(ctx, name, app.Release)
		return r, true, err
	}
	r.App = name
	if r.Config, err = p.Store.Config(ctx, name); err != nil {
		return r, false, err
	}
	r.Spec, err = p.Store.Spec(ctx, name)
	return r, false, err
}

// draft keeps what the first release is to hold. Links hold at once: a person may try them with run.
func (p *Platform) draft(ctx context.Context, r Release) error {
	if err := p.Store.SetDraft(ctx, r.App, r.Config, r.Spec.Sorted()); err != nil {
		return err
	}
	return p.setWalls(context.WithoutCancel(ctx))
}

// The most of each that a release holds.
const (
	mostLinks  = 200
	mostMounts = 50
)

// fits refuses what would be too much.
func (r Release) fits() error {
	switch {
	case size(r.Config) > maxConfigTotal:
		return Errorf(Usage, "the config vars of %s would take more than %d KiB", r.App, maxConfigTotal>>10)
	case len(r.Spec.Links) > mostLinks:
		return Errorf(Usage, "%s would have more than %d links", r.App, mostLinks)
	case len(r.Spec.Mounts) > mostMounts:
		return Errorf(Usage, "%s would have more than %d mounts", r.App, mostMounts)
	}
	return nil
}
