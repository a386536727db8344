package platform

import (
	"context"
	"maps"
	"slices"
	"time"
)

// Looks at who may sleep are as rare as they can be: the next is when the first app may be due.
const (
	longestLook  = time.Hour
	pressureLook = 5 * time.Second // while there is something that could be stopped
	busyLook     = 5 * time.Second // an app was due, but somebody worked on it
	shortestLook = 50 * time.Millisecond
)

// Memory is short when less than a tenth of it is left, or when everything waited for it for a tenth of the
// last ten seconds (Linux's pressure stall information).
const (
	leastFreePart = 10
	mostStalled   = 10.0 // percent
)

// doze lets apps sleep until the platform closes.
func (p *Platform) doze(ctx context.Context) {
	for {
		next := time.NewTimer(max(p.lookForSleepers(ctx), shortestLook))
		select {
		case <-next.C:
		case <-p.sleepers.look:
		case <-ctx.Done():
			next.Stop()
			return
		}
		next.Stop()
	}
}

// lookForSleepers does what is due, and tells when to look again.
func (p *Platform) lookForSleepers(ctx context.Context) (next time.Duration) {
	next = longestLook
	var frozen []Sleep
	for name, r := range p.sleepers.all() {
		s := p.lane(name).napping()
		if s.Depth == Frozen {
			frozen = append(frozen, s)
		}
		due, ever := p.bedtime(name, r, s)
		if !ever {
			continue
		}
		left := due.Sub(p.Now())
		if left <= 0 && p.deeper(ctx, name, r, s) {
			next = 0 // it may be due for more
		} else if left <= 0 {
			left = busyLook
		}
		next = min(next, left)
	}
	if len(frozen) > 0 && p.Gauge != nil {
		next = min(next, pressureLook)
		p.relieveMemory(ctx, frozen)
	}
	return next
}

func (s *sleepers) all() map[AppName]idleRules {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.rules)
}

// bedtime is when an app shall sleep, or sleep deeper.
func (p *Platform) bedtime(name AppName, r idleRules, s Sleep) (at time.Time, ever bool) {
	switch {
	case s.Depth == Awake && r.After > 0:
		return p.lastUse(name, r.After).Add(r.After), true
	case s.Depth == Frozen && r.Reclaim > 0 && !p.lane(name).reclaimed() && (r.Stop == 0 || r.Reclaim < r.Stop):
		return s.Since.Add(r.Reclaim), true
	case s.Depth == Frozen && r.Stop > 0:
		return s.Since.Add(r.Stop), true
	}
	return at, false
}

// deeper is false if it could not be done now.
func (p *Platform) deeper(ctx context.Context, name AppName, r idleRules, s Sleep) bool {
	switch {
	case s.Depth == Awake:
		return p.fall(ctx, name, r.After) == nil
	case r.Stop > 0 && p.Now().Sub(s.Since) >= r.Stop:
		return p.sink(ctx, name, "it slept for long")
	}
	return p.takeBack(name)
}

func (l *lane) reclaimed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.nap.reclaimed
}

// lastUse is when somebody had to do with the app: now, if anybody has. The end of a request counts, a call by
// another container, a command beside it, and every change of what runs. The walls, which cost most, are asked only
// if the others did not come within that time.
func (p *Platform) lastUse(name AppName, within time.Duration) time.Time {
	since, inflight := p.Router.Idle(name)
	l := p.lane(name)
	l.mu.Lock()
	busy, last := l.visitors > 0 || l.holder != "", latest(since, l.used)
	l.mu.Unlock()
	switch now := p.Now(); {
	case inflight > 0 || busy:
		return now
	case now.Sub(last) < within:
		return last
	}
	return p.lastTouch(name)
}

// lastTouch does not ask who is there now.
func (p *Platform) lastTouch(name AppName) time.Time {
	since, _ := p.Router.Idle(name)
	l := p.lane(name)
	l.mu.Lock()
	used := l.used
	l.mu.Unlock()
	return latest(since, used, p.heard(name))
}

func (p *Platform) heard(name AppName) time.Time {
	at, err := p.Walls.Heard(name)
	if err != nil {
		p.Log.Error("sleep", "app", name, "err", err)
		return p.Now() // so it stays awake
	}
	return at
}

func latest(list ...time.Time) (last time.Time) {
	for _, t := range list {
		if t.After(last) {
			last = t
		}
	}
	return last
}

// relieveMemory takes memory from the app that sleeps longest if it is short, or stops one when all of them have
// given what they could; the next one, if that does not do, at the next look.
func (p *Platform) relieveMemory(ctx context.Context, frozen []Sleep) {
	if p.Now().Sub(p.sleepers.relieved) < pressureLook {
		return // the last one may not have given everything back yet
	}
	if !p.Gauge.Load().short() {
		return
	}
	slices.SortFunc(frozen, func(a, b Sleep) int { return a.Since.Compare(b.Since) })
	for _, s := range frozen {
		if p.takeBack(s.App) {
			p.sleepers.relieved = p.Now()
			return
		}
	}
	for _, s := range frozen {
		if p.sink(ctx, s.App, "memory is short") {
			p.sleepers.relieved = p.Now()
			return
		}
	}
}

// short tells whether memory is, see leastFreePart.
func (l Load) short() bool {
	return l.Memory > 0 && l.MemoryFree < l.Memory/leastFreePart || l.MemoryPressure >= mostStalled
}
