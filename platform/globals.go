package platform

import (
	"context"
	"fmt"
	"io"
	"maps"
	"strings"
)

// Globals is the part of a Store that keeps the config vars of every app.
type Globals interface {
	GlobalConfig(ctx context.Context) (Config, error)
	// SetGlobalConfig replaces them as a whole, and notes in the same transaction that the apps are to follow, unless
	// then is zero.
	SetGlobalConfig(ctx context.Context, c Config, then Spread) (Spread, error)
	// Spreads lists what EndSpread was not said of, oldest first.
	Spreads(ctx context.Context) ([]Spread, error)
	EndSpread(ctx context.Context, t Spread) error
}

// Spread is a change of the global config that goes on to the apps.
type Spread struct {
	ID          int64
	Actor       string // who made it
	Description string // of the releases
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
	var then Spread
	if err == nil && !e.noRestart {
		then = Spread{Actor: call.Actor.Name, Description: e.verb + " global config vars"}
	}
	if err == nil && (len(changed) > 0 || !e.noRestart) { // without a change, too, an app may lag behind: --no-restart
		then, err = p.Store.SetGlobalConfig(ctx, after, then)
	}
	p.globalsMu.Unlock()
	done := diff(GlobalScope, before, after)
	if err != nil {
		return done, err
	}
	if len(changed) > 0 {
		what := fmt.Sprintf("%s %s for all apps", e.verb, strings.Join(changed, ", "))
		p.say(Event{Kind: EventConfigured, Actor: call.Actor.Name, Text: what})
	}
	if e.noRestart {
		return done, p.leaveBehind(ctx, &done, after)
	}
	err = p.spread(ctx, call, &done, then)
	if ctx.Err() != nil { // nobody waits any more, but it is begun
		p.spawn(p.finishSpreads)
	}
	return done, err
}

// behind are the apps that have a release, and would have another environment with the global config of now.
func (p *Platform) behind(ctx context.Context, global Config) (names []AppName, err error) {
	apps, err := p.Store.Apps(ctx)
	if err != nil {
		return nil, err
	}
	for _, app := range apps {
		if app.Release == 0 {
			continue
		}
		r, err := p.Store.Release(ctx, app.Name, app.Release)
		if KindOf(err) == NotFound && err != nil { // destroyed meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		if !maps.Equal(layered(r.Globals, r.Config), layered(global, r.Config)) {
			names = append(names, app.Name)
		}
	}
	return names, nil
}

func (p *Platform) leaveBehind(ctx context.Context, done *ConfigChange, global Config) (err error) {
	done.Pending, err = p.behind(ctx, global)
	return err
}

// spread brings a change of the global config to the apps that see a difference. What fails for one app leaves it as
// it was; the others are not kept from theirs. When all had their turn the change is forgotten; until then the next
// daemon goes on with it.
func (p *Platform) spread(ctx context.Context, call Call, done *ConfigChange, t Spread) error {
	global, err := p.Store.GlobalConfig(ctx)
	if err != nil {
		return err
	}
	names, err := p.behind(ctx, global)
	if err != nil {
		return err
	}
	var failed []string
	for _, name := range names {
		err := p.renew(ctx, call, name, t.Description)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			_, _ = fmt.Fprintf(call.Err, " !     %s stays as it is: %s\n", name, sentence(err))
			failed = append(failed, string(name))
			continue
		}
		done.Apps = append(done.Apps, name)
	}
	if err := p.Store.EndSpread(ctx, t); err != nil {
		return err
	}
	if len(failed) > 0 {
		return Errorf(Unhealthy, "the global vars are set, but %s could not be released with them", strings.Join(failed, ", ")).
			WithHint("mend it and release it again: ssh paas ps:rebuild %s", failed[0])
	}
	return nil
}

// finishSpreads goes on with the changes of the global config that did not reach every app: the daemon ended, or who
// made them went away.
func (p *Platform) finishSpreads(ctx context.Context) {
	list, err := p.Store.Spreads(ctx)
	for _, t := range list {
		var done ConfigChange
		call := Call{Actor: Actor{Name: t.Actor}, Err: io.Discard}
		if failed := p.spread(ctx, call, &done, t); failed != nil && ctx.Err() == nil {
			p.say(Event{Kind: EventConfigured, Actor: t.Actor, Text: sentence(failed)})
		}
	}
	if err != nil && ctx.Err() == nil {
		p.Log.Error("go on with global config vars", "err", err)
	}
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
	global, err := p.Store.GlobalConfig(ctx)
	if err != nil || maps.Equal(layered(w.release.Globals, w.release.Config), layered(global, w.release.Config)) { // somebody was faster
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
