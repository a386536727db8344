package platform

import (
	"context"
	"fmt"
	"maps"
	"strings"
)

// Globals is the part of a Store that keeps the config vars of every app.
type Globals interface {
	GlobalConfig(ctx context.Context) (Config, error)
	SetGlobalConfig(ctx context.Context, c Config) error
}

// whole is a config with the global one below it.
func (p *Platform) whole(ctx context.Context, own Config) (Config, error) {
	all, err := p.Store.GlobalConfig(ctx)
	return layered(all, own), err
}

// changeGlobals changes the vars of every app, and releases those apps anew that see a difference.
func (p *Platform) changeGlobals(ctx context.Context, call Call, e edit) (ConfigChange, error) {
	p.globalsMu.Lock()
	before, err := p.Store.GlobalConfig(ctx)
	after := maps.Clone(before)
	if err == nil {
		e.change(after)
		err = fits(GlobalScope, after)
	}
	changed := changedKeys(before, after)
	if err == nil && len(changed) > 0 {
		err = p.Store.SetGlobalConfig(ctx, after)
	}
	p.globalsMu.Unlock()
	done := diff(GlobalScope, before, after)
	if err != nil {
		return done, err
	}
	if len(changed) == 0 { // but an app may lag behind: a crash, or --no-restart
		return done, p.spread(ctx, call, &done, after, e)
	}
	what := fmt.Sprintf("%s %s for all apps", e.verb, strings.Join(changed, ", "))
	p.say(Event{Kind: EventConfigured, Actor: call.Actor.Name, Text: what})
	return done, p.spread(ctx, call, &done, after, e)
}

// spread brings a change of the global config to the apps that have a release and no var of their own over it.
// What fails for one app leaves it as it was; the others are not kept from theirs.
func (p *Platform) spread(ctx context.Context, call Call, done *ConfigChange, global Config, e edit) error {
	apps, err := p.Store.Apps(ctx)
	if err != nil {
		return err
	}
	var failed []string
	for _, app := range apps {
		if app.Release == 0 {
			continue
		}
		r, err := p.Store.Release(ctx, app.Name, app.Release)
		if err != nil {
			return err
		}
		if maps.Equal(layered(r.Globals, r.Config), layered(global, r.Config)) {
			continue
		}
		if e.noRestart {
			done.Pending = append(done.Pending, app.Name)
			continue
		}
		if err := p.renew(ctx, call, app.Name, e.verb+" global config vars"); err != nil {
			_, _ = fmt.Fprintf(call.Err, " !     %s stays as it is: %s\n", app.Name, sentence(err))
			failed = append(failed, string(app.Name))
			continue
		}
		done.Apps = append(done.Apps, app.Name)
	}
	if len(failed) > 0 {
		return Errorf(Unhealthy, "the global vars are set, but %s could not be released with them", strings.Join(failed, ", ")).
			WithHint("mend it and release it again: ssh paas ps:rebuild %s", failed[0])
	}
	return nil
}

// renew releases an app as it is once more: the release gets the global config of now.
func (p *Platform) renew(ctx context.Context, call Call, name AppName, description string) error {
	leave, err := p.enter(ctx, name, call)
	if err != nil {
		return err
	}
	defer leave()
	w, released, err := p.wanted(ctx, name)
	if err != nil || !released {
		return err
	}
	_, _ = fmt.Fprintf(call.Err, "Releasing %s with them\n", name)
	r := w.release
	r.Globals, r.Description, r.Actor = nil, description, call.Actor.Name
	r, err = p.release(ctx, r, NewStory(call.Err, p.Now))
	if err == nil {
		p.say(Event{Kind: EventConfigured, App: name, Release: r.Number, Actor: call.Actor.Name, Text: description})
	}
	return err
}
