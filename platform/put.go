package platform

import (
	"context"
	"maps"
)

// wish is a change of what shall run that makes no release: another scale, fresh instances, a stop.
type wish struct {
	verb  string // that asked for it
	what  string // as people say it: "Restart"
	edit  func(*want)
	store func(context.Context) error // records it
}

// put makes what runs as the wish has it, and records that at the moment when all of it is healthy: one that fails, or
// whose daemon is killed, leaves what was wanted and what runs as they were. `why` tells what was tried, until
// something else comes about. The caller has the app's lane. For an app without a release it is only recorded.
func (p *Platform) put(ctx context.Context, name AppName, call Call, asked wish) error {
	w, released, err := p.wanted(ctx, name)
	if err != nil {
		return err
	}
	if !released {
		return asked.store(ctx)
	}
	asked.edit(&w)
	w.note = asked.store
	err = p.converge(ctx, w, NewStory(call.Err, p.Now))
	if err != nil {
		p.noteWish(ctx, name, call, asked, err)
	}
	return err
}

// raised is the app after a restart of a type's instances, "" for all.
func (a App) raised(t ProcessType) App {
	if t == "" {
		a.Epoch++
		return a
	}
	a.TypeEpochs = maps.Clone(a.TypeEpochs)
	if a.TypeEpochs == nil {
		a.TypeEpochs = map[ProcessType]int{}
	}
	a.TypeEpochs[t]++
	return a
}

// noteWish remembers why it did not come about. One that a person called off is no trouble.
func (p *Platform) noteWish(ctx context.Context, name AppName, call Call, asked wish, err error) {
	if ctx.Err() != nil || KindOf(err) == Interrupted {
		return
	}
	t := p.troubleOf(err)
	t.Release, t.Actor, t.Change, t.Command = 0, call.Actor.Name, asked.what, asked.verb // it was to be no release
	p.noteTrouble(name, LastCommand, t)
}
