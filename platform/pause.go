package platform

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
)

// PauseInput is ps:pause and ps:resume.
type PauseInput struct {
	App     string `arg:"app"`
	Process string `arg:"process" optional:"true" help:"a process or type, like web.1 or web; without it all"`
	Reclaim bool   `flag:"reclaim" help:"give its memory back to the host, too, as far as there is swap"`
}

// ResumeInput is ps:resume.
type ResumeInput struct {
	App     string `arg:"app"`
	Process string `arg:"process" optional:"true" help:"a process or type, like web.1 or web; without it all"`
}

// Pause stops instances where they are, with memory and connections kept, and sends them no more requests.
// A deploy, a restart or a scaling puts fresh ones in their places.
func (p *Platform) Pause(ctx context.Context, call Call, in PauseInput) (Done, error) {
	app, list, leave, err := p.enterFor(ctx, call, in.App, in.Process)
	if err != nil {
		return Done{}, err
	}
	defer leave()
	p.mark(ctx, app, list, true)
	for _, i := range list {
		if err := p.pauseOne(ctx, i, in.Reclaim); err != nil {
			p.mark(ctx, app, []Instance{i}, false)
			return Done{}, fmt.Errorf("pause %s of %s: %w", i.Name(), app.Name, err)
		}
		call.Audit.Changed(i.Name(), "running", "paused")
		p.sayOf(EventPaused, i, call.Actor.Name, "%s was paused", i.Name())
	}
	return donef("Paused %s of %s.", names(list), app.Name), nil
}

func (p *Platform) pauseOne(ctx context.Context, i Instance, reclaim bool) error {
	if !reclaim {
		return p.Runner.Pause(ctx, i.ID)
	}
	_, err := p.Runner.Checkpoint(ctx, i.ID)
	return err
}

// Resume undoes Pause.
func (p *Platform) Resume(ctx context.Context, call Call, in ResumeInput) (Done, error) {
	app, list, leave, err := p.enterFor(ctx, call, in.App, in.Process)
	if err != nil {
		return Done{}, err
	}
	defer leave()
	list = slices.DeleteFunc(list, func(i Instance) bool { return !i.Paused })
	if len(list) == 0 {
		return donef("Nothing of %s is paused.", app.Name), nil
	}
	for _, i := range list {
		if err := p.Runner.Resume(ctx, i.ID); err != nil {
			return Done{}, fmt.Errorf("resume %s of %s: %w", i.Name(), app.Name, err)
		}
		p.mark(ctx, app, []Instance{i}, false)
		call.Audit.Changed(i.Name(), "paused", "running")
		p.sayOf(EventResumed, i, call.Actor.Name, "%s goes on", i.Name())
	}
	return donef("Resumed %s of %s.", names(list), app.Name), nil
}

// mark takes instances out of the route, or in again.
func (p *Platform) mark(ctx context.Context, app App, list []Instance, paused bool) {
	drained := p.republish(ctx, app, func(candidates []Instance) []Instance {
		candidates = slices.Clone(candidates)
		for n := range candidates {
			if slices.ContainsFunc(list, func(i Instance) bool { return i.ID == candidates[n].ID }) {
				candidates[n].Paused = paused
			}
		}
		return candidates
	})
	p.drainLater(drained)
}

// enterFor takes the app's lane, wakes it if it sleeps, and finds the instances that a person named.
func (p *Platform) enterFor(ctx context.Context, call Call, name, process string) (app App, list []Instance, leave func(), err error) {
	if app, err = p.find(ctx, name); err != nil {
		return app, nil, nil, err
	}
	if leave, err = p.enter(ctx, app.Name, call); err != nil {
		return app, nil, nil, err
	}
	if err = p.Wake(ctx, app.Name); err == nil {
		list, err = p.chosen(ctx, app.Name, process)
	}
	if err != nil {
		leave()
		return app, nil, nil, err
	}
	return app, list, leave, nil
}

// chosen finds running instances by "web.1", "web" or "", which means all, in order of name.
func (p *Platform) chosen(ctx context.Context, name AppName, process string) ([]Instance, error) {
	have, err := p.instances(ctx, name)
	if err != nil {
		return nil, err
	}
	list := slices.DeleteFunc(have, func(i Instance) bool {
		return i.Exit != nil || process != "" && process != string(i.Type) && process != i.Name()
	})
	if len(list) == 0 && p.lane(name).depth() == Stopped {
		return nil, Errorf(NotFound, "%s sleeps, and nothing of it is running", name).WithHint("a request wakes it, or: ssh paas ps:wake %s", name)
	}
	if len(list) == 0 && process == "" {
		return nil, Errorf(NotFound, "nothing of %s is running", name).WithHint("see what there is: ssh paas ps %s", name)
	}
	if len(list) == 0 {
		return nil, Errorf(NotFound, "no %s of %s is running", process, name).WithHint("see what there is: ssh paas ps %s", name)
	}
	slices.SortStableFunc(list, func(a, b Instance) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Number, b.Number))
	})
	return list, nil
}

// one finds a single running instance: the first of those that fit, the web ones first of all.
func (p *Platform) one(ctx context.Context, name AppName, process string) (Instance, error) {
	list, err := p.chosen(ctx, name, process)
	if err != nil {
		return Instance{}, err
	}
	if n := slices.IndexFunc(list, func(i Instance) bool { return i.Type == Web }); n > 0 {
		return list[n], nil
	}
	return list[0], nil
}

func names(list []Instance) string {
	var all []string
	for _, i := range list {
		all = append(all, i.Name())
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}
