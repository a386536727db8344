package platform

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// shelfLook is how often the host's memory is looked at while anything is kept.
const shelfLook = 5 * time.Second

// tight is when the host's memory has better uses: it is short, or a build would have to wait for it.
func (p *Platform) tight() bool {
	if p.Gauge == nil {
		return false
	}
	load := p.Gauge.Load()
	return load.short() || load.Memory > 0 && load.MemoryFree < leastFree
}

// shelves make somebody look at what is kept.
type shelves struct{ look chan struct{} }

func newShelves() shelves { return shelves{make(chan struct{}, 1)} }

func (s *shelves) kick() {
	select {
	case s.look <- struct{}{}:
	default: // it has not looked since the last time
	}
}

// tendShelves ends what is kept when its time is over or memory is short, until the platform closes.
func (p *Platform) tendShelves(ctx context.Context) {
	for {
		next := time.NewTimer(p.clearShelves())
		select {
		case <-next.C:
		case <-p.shelves.look:
		case <-ctx.Done():
			next.Stop()
			return
		}
		next.Stop()
	}
}

// clearShelves does what is due, and tells when to look again. When memory is short one app's go at a time, those
// that have been kept longest.
func (p *Platform) clearShelves() (next time.Duration) {
	next = longestLook
	var oldest AppName
	var since time.Time
	for name, s := range p.allShelves() {
		at := s.since()
		if left := at.Add(s.keep).Sub(p.Now()); left <= 0 {
			p.emptyShelf(name, "its time is over")
		} else {
			next = min(next, left, shelfLook)
			if oldest == "" || at.Before(since) {
				oldest, since = name, at
			}
		}
	}
	if oldest != "" && p.tight() {
		p.emptyShelf(oldest, "memory is short")
	}
	return next
}

// since is when the first instance was set aside.
func (s shelf) since() (at time.Time) {
	for _, i := range s.list {
		if !i.Kept.IsZero() && (at.IsZero() || i.Kept.Before(at)) {
			at = i.Kept
		}
	}
	return at
}

// allShelves are those on which anything stands still.
func (p *Platform) allShelves() map[AppName]shelf {
	p.mu.Lock()
	lanes := make(map[AppName]*lane, len(p.lanes))
	for name, l := range p.lanes {
		lanes[name] = l
	}
	p.mu.Unlock()
	all := map[AppName]shelf{}
	for name, l := range lanes {
		l.mu.Lock()
		if !l.shelf.since().IsZero() {
			all[name] = l.shelf
		}
		l.mu.Unlock()
	}
	return all
}

// emptyShelf ends what is kept of an app, in the background.
func (p *Platform) emptyShelf(name AppName, why string) {
	l := p.lane(name)
	l.mu.Lock()
	s := l.shelf
	l.shelf = shelf{}
	still := l.drop(s.list)
	l.mu.Unlock()
	if len(s.list) == 0 {
		return
	}
	p.say(Event{Kind: EventKept, App: name, Release: s.release, Text: fmt.Sprintf("%s of v%d are not kept any more: %s", names(s.list), s.release, why)})
	p.spawn(func(ctx context.Context) { p.stopAll(ctx, still) })
}

// clearShelf is for who ends what is kept himself.
func (p *Platform) clearShelf(name AppName) {
	l := p.lane(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shelf = shelf{}
}

// fellOff is for an instance that ended while it was kept: it is forgotten, and that is all.
func (p *Platform) fellOff(i Instance) bool {
	if !p.lane(i.App).unshelve(i.ID) {
		return false
	}
	p.spawn(func(ctx context.Context) { p.stop(ctx, i) })
	return true
}

// findShelves takes over what a predecessor kept, and returns the other instances. What was being called back when it
// ended, and what nobody would call back, is ended.
func (p *Platform) findShelves(ctx context.Context, apps []App, have []Instance) (rest []Instance) {
	for _, i := range have {
		if i.Kept.IsZero() {
			rest = append(rest, i)
			continue
		}
		n := slices.IndexFunc(apps, func(a App) bool { return a.Name == i.App })
		if n < 0 {
			continue // see stopStrangers
		}
		p.markRetiring(i.App, []Instance{i})
		if i.Exit != nil || !p.reclaim(ctx, apps[n], i) {
			p.spawn(func(ctx context.Context) { p.stop(ctx, i) })
		}
	}
	return rest
}

// reclaim puts a kept instance on its app's shelf; false if it has no business there.
func (p *Platform) reclaim(ctx context.Context, app App, i Instance) bool {
	r, err := p.Store.Release(ctx, app.Name, i.Release)
	if err != nil || r.Status != Live || r.Number == app.Release || app.Stopped || i.Epoch != app.epoch(i.Type) {
		return false
	}
	rules := p.releaseRules(ctx, app.Name)
	l := p.lane(app.Name)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shelf.release != 0 && l.shelf.release != i.Release || rules.Keep == 0 {
		return false
	}
	l.shelf.release, l.shelf.keep = i.Release, rules.Keep
	l.shelf.list = append(l.shelf.list, i)
	return true
}

// keptViews shows what stands still for a rollback.
func (p *Platform) keptViews(name AppName, now time.Time) (list []ProcessView) {
	l := p.lane(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, i := range l.shelf.list {
		if i.Kept.IsZero() {
			continue
		}
		until := i.Kept.Add(l.shelf.keep)
		list = append(list, ProcessView{
			Name: i.Name(), Type: i.Type, Number: i.Number, Release: i.Release, StartedAt: &i.StartedAt, Address: i.Addr.String(),
			Status: "kept for a rollback, " + roughly(max(until.Sub(now), 0)) + " left", KeptUntil: &until,
		})
	}
	return list
}
