package platform

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// RunListInput is run:list.
type RunListInput struct {
	App string `arg:"app"`
	All bool   `flag:"all" help:"those that have ended, too"`
}

// ListRuns lists an app's one-off commands that run, those of cron among them, newest first.
func (p *Platform) ListRuns(ctx context.Context, _ Call, in RunListInput) (OneOffList, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return nil, err
	}
	list, err := p.Store.OneOffs(ctx, OneOffQuery{App: app.Name, Open: !in.All})
	return viewsOf(list), err
}

func viewsOf(list []OneOff) OneOffList {
	views := OneOffList{}
	for _, o := range list {
		views = append(views, o.view())
	}
	return views
}

// oneOffOf finds what a word like run.12, 12 or blog.run.12 names.
func (p *Platform) oneOffOf(ctx context.Context, app App, word string) (OneOff, error) {
	digits := strings.TrimPrefix(word, string(app.Name)+".")
	digits = strings.TrimPrefix(strings.TrimPrefix(digits, string(runType)+"."), string(cronType)+".")
	id, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return OneOff{}, Errorf(Usage, "%q is not the id of a one-off command: they look like run.12", word)
	}
	list, err := p.Store.OneOffs(ctx, OneOffQuery{App: app.Name})
	if err != nil {
		return OneOff{}, err
	}
	i := slices.IndexFunc(list, func(o OneOff) bool { return o.ID == id })
	if i < 0 {
		return OneOff{}, Errorf(NotFound, "%s has no one-off command %s", app.Name, word).WithHint("see them: ssh paas run:list %s --all", app.Name)
	}
	return list[i], nil
}

// RunStopInput is run:stop.
type RunStopInput struct {
	App       string `arg:"app"`
	ID        string `arg:"id" optional:"true" help:"like run.12"`
	Container string `flag:"container" value:"ID" help:"the same as the id"`
	All       bool   `flag:"all" help:"all of the app's, but those of cron"`
}

// StopRun ends one-off commands: SIGTERM, and SIGKILL after 10 s. It returns when they have ended.
func (p *Platform) StopRun(ctx context.Context, call Call, in RunStopInput) (OneOffList, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return nil, err
	}
	list, err := p.toStop(ctx, app, in)
	if err != nil {
		return nil, err
	}
	var all sync.WaitGroup
	for _, o := range list {
		p.say(Event{Kind: EventRunStopped, App: app.Name, Process: o.Name(), Release: o.Release, Actor: call.Actor.Name, Text: o.Name() + " was told to end"})
		call.Audit.Changed(o.Name(), string(o.Status), string(OneOffStopped))
		all.Go(func() { p.endOneOff(ctx, o, OneOffStopped) })
	}
	all.Wait()
	var after []OneOff
	for _, o := range list {
		o, err := p.oneOffOf(ctx, app, o.Name())
		if err != nil {
			return nil, err
		}
		after = append(after, o)
	}
	return viewsOf(after), nil
}

func (p *Platform) toStop(ctx context.Context, app App, in RunStopInput) ([]OneOff, error) {
	word := in.ID + in.Container
	if in.All == (word != "") {
		return nil, Errorf(Usage, "say which one, or --all").WithHint("see them: ssh paas run:list %s", app.Name)
	}
	if in.All {
		return p.Store.OneOffs(ctx, OneOffQuery{App: app.Name, Kind: runType, Open: true})
	}
	o, err := p.oneOffOf(ctx, app, word)
	if err == nil && !o.Status.open() {
		return nil, Errorf(Conflict, "%s has ended already: it %s", o.Name(), o.howItEnded())
	}
	return []OneOff{o}, err
}

// RetireRuns forgets an app's one-off commands that have ended, with how they did. What they wrote stays in the log.
func (p *Platform) RetireRuns(ctx context.Context, call Call, in AppInput) (Done, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return Done{}, err
	}
	n, err := p.Store.PruneOneOffs(ctx, app.Name, runType, p.Now().Add(time.Second), 0)
	if err != nil {
		return Done{}, err
	}
	if n > 0 {
		p.say(Event{Kind: EventRunRetired, App: app.Name, Actor: call.Actor.Name, Text: fmt.Sprintf("%d one-off commands that had ended were forgotten", n)})
	}
	return donef("Forgot %d commands of %s that had ended.", n, app.Name), nil
}
