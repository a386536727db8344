package platform

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// The way back to the release before:
//
//	deploy ─► Swap ─► the last requests to the old instances end ─► Keep: they stand still, for a while
//	rollback ─► Recall: they go on ─► healthy? ─► Swap ─► what was current is kept
//
// What is kept has no place in the formation: no request, name or repair leads to it, and nobody counts it. The
// runner remembers that it is kept, so neither a handover nor a crash loses it or leaves it behind.

// Keeping is the part of a Runner that sets instances aside for the case that they are wanted again. Instance.Kept
// tells since when one is. An instance that is unknown or has ended is an *Error of kind NotFound.
type Keeping interface {
	// Keep pauses an instance as Pause does, and takes it out of sight: no name leads to it, nobody can connect to
	// it, and the connections that other containers had to it end. Those that it has itself stay. The state
	// survives the Runner. Stop works on one that is kept.
	Keep(ctx context.Context, id InstanceID) error
	// Recall undoes Keep, and makes it an instance of another release of the app, which it does not notice. On one
	// that is not kept it does the latter alone.
	Recall(ctx context.Context, id InstanceID, release int) error
}

// shelf holds an app's instances of the release that was current before. The lane's mu guards it.
type shelf struct {
	release int
	list    []Instance // one whose Kept is zero still answers the requests that it has
	keep    time.Duration
}

// retireRelease is retire after a release took its place: what of the one before is worth it is kept, and what was
// kept before that ends. So does what is kept and has no place any more, when only the formation has changed.
func (p *Platform) retireRelease(ctx context.Context, w want, drained func(context.Context), excess []Instance) {
	keep, excess := p.worthKeeping(ctx, w, excess)
	l := p.lane(w.app.Name)
	rules := p.releaseRules(ctx, w.app.Name)
	excess = append(excess, l.reshelve(w, keep, rules.Keep)...)
	p.markRetiring(w.app.Name, slices.Concat(keep, excess))
	p.spawn(func(ctx context.Context) {
		draining, cancel := context.WithTimeout(ctx, p.drain(w.app.Name))
		drained(draining)
		cancel()
		if ctx.Err() != nil {
			return
		}
		p.setAside(ctx, l, keep)
		p.stopAll(ctx, excess)
	})
}

// worthKeeping are those instances that served for the release before. Others end as always: a worker that stood
// still would hold on to its job, and nobody else would do it.
func (p *Platform) worthKeeping(ctx context.Context, w want, excess []Instance) (keep, rest []Instance) {
	rules := p.releaseRules(ctx, w.app.Name)
	if rules.Keep == 0 || rules.Retention < 2 || w.app.Release == w.release.Number || w.app.Stopped || p.tight() {
		return nil, excess
	}
	handled := p.handled(ctx, w.app.Name)
	l := p.lane(w.app.Name)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, i := range excess {
		whole := i.Exit == nil && !i.Paused && len(l.unready[i.ID]) == 0 && !handled[i.ID]
		if whole && i.Release == w.app.Release && w.hasRoom(i) && (rules.keeps(i.Type) || rules.Types == nil && w.serves(i.Type)) {
			keep = append(keep, i)
		} else {
			rest = append(rest, i)
		}
	}
	return keep, rest
}

// handledEvents is how far back it is looked who was in an app's instances.
const handledEvents = 1000

// handled are the instances in which people ran commands or put files: a rollback to their release is to what its image
// holds, not to what became of it.
func (p *Platform) handled(ctx context.Context, name AppName) map[InstanceID]bool {
	p.carry(ctx)
	list, err := p.Store.Events(ctx, EventQuery{App: name, Last: handledEvents})
	if err != nil {
		p.Log.Error("read who was in the instances", "app", name, "err", err)
	}
	found := map[InstanceID]bool{}
	for _, e := range list {
		if e.Kind == EventEntered || e.Kind == EventCopiedIn || e.Kind == EventCommitted {
			found[e.Instance] = true
		}
	}
	return found
}

// serves tells whether requests lead to a process type.
func (w want) serves(t ProcessType) bool { return t == Web || w.routed[t] }

// hasRoom tells whether the instance would have a place in the formation, and is not older than the last restart.
func (w want) hasRoom(i Instance) bool {
	return !w.app.Stopped && i.Number <= w.formation[i.Type] && i.Epoch == w.app.epoch(i.Type)
}

// reshelve puts what is to be kept on the shelf and returns what has to go.
func (l *lane) reshelve(w want, keep []Instance, d time.Duration) (gone []Instance) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.app.Release != w.release.Number {
		gone = l.shelf.list
		l.shelf = shelf{release: w.app.Release, list: slices.Clone(keep), keep: d}
		return l.drop(gone)
	}
	l.shelf.list = slices.DeleteFunc(slices.Clone(l.shelf.list), func(i Instance) bool {
		if !w.hasRoom(i) {
			gone = append(gone, i)
		}
		return !w.hasRoom(i)
	})
	return l.drop(gone)
}

// drop returns those instances, of some that were on the shelf, that stand still. The others still have requests to
// answer and end after that, see setAside. l.mu is held.
func (l *lane) drop(list []Instance) (still []Instance) {
	for _, i := range list {
		if !i.Kept.IsZero() {
			still = append(still, i)
			continue
		}
		if l.dropped == nil {
			l.dropped = map[InstanceID]bool{}
		}
		l.dropped[i.ID] = true
	}
	return still
}

// setAside lets instances stand still whose last requests were answered, unless they were called back meanwhile. Those
// that nobody wants to keep any more it ends.
func (p *Platform) setAside(ctx context.Context, l *lane, list []Instance) {
	var kept []Instance
	for _, i := range list {
		ok, err := p.setOneAside(ctx, l, i)
		if err != nil && ctx.Err() == nil {
			p.Log.Warn("an instance is not kept", "instance", i.ID, "app", i.App, "err", err)
			l.unshelve(i.ID)
			p.stop(ctx, i)
		}
		if ok {
			kept = append(kept, i)
		}
	}
	if len(kept) > 0 {
		p.say(Event{Kind: EventKept, App: kept[0].App, Release: kept[0].Release, Text: fmt.Sprintf("%s of v%d stand still, for a rollback", names(kept), kept[0].Release)})
		p.shelves.kick()
	}
}

var errTight = errors.New("memory is short")

func (p *Platform) setOneAside(ctx context.Context, l *lane, i Instance) (kept bool, err error) {
	l.shelving.Lock()
	defer l.shelving.Unlock()
	if !l.onShelf(i.ID) {
		if l.wasDropped(i.ID) {
			p.stop(ctx, i)
		}
		return false, nil
	}
	if p.tight() {
		return false, errTight
	}
	if err := p.Runner.Keep(ctx, i.ID); err != nil {
		return false, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shelf.list = slices.Clone(l.shelf.list) // who looks at the shelves reads the old list without the lock
	for n := range l.shelf.list {
		if l.shelf.list[n].ID == i.ID {
			l.shelf.list[n].Kept, kept = p.Now(), true
		}
	}
	return kept, nil
}

// wasDropped is true once.
func (l *lane) wasDropped(id InstanceID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer delete(l.dropped, id)
	return l.dropped[id]
}

func (l *lane) onShelf(id InstanceID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.shelf.list, func(i Instance) bool { return i.ID == id })
}

// unshelve is false if it was not there.
func (l *lane) unshelve(id InstanceID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := len(l.shelf.list)
	l.shelf.list = slices.DeleteFunc(slices.Clone(l.shelf.list), func(i Instance) bool { return i.ID == id })
	return len(l.shelf.list) < before
}

// keptTypes are the process types of which instances of the release are kept; none if it is not the one before.
func (l *lane) keptTypes(release int) []ProcessType {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shelf.release != release {
		return nil
	}
	return typesOf(l.shelf.list)
}

// takeKept takes the instance off the shelf that fits a place. It waits for one that is just being paused.
func (l *lane) takeKept(w want, s slot) (Instance, bool) {
	l.shelving.Lock()
	defer l.shelving.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	n := slices.IndexFunc(l.shelf.list, func(i Instance) bool {
		return slot{i.Type, i.Number} == s && i.Epoch == w.app.epoch(i.Type) && !l.gone[i.ID]
	})
	if n < 0 || w.recall == nil || l.shelf.release != w.recall.release {
		return Instance{}, false
	}
	i := l.shelf.list[n]
	l.shelf.list = slices.Delete(slices.Clone(l.shelf.list), n, n+1)
	return i, true
}
