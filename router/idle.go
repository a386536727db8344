package router

import "time"

// An instance that closed an idle connection is believed for a while, and then tried again: it may have been busy, or
// out of something, just then. An instance that does so again is believed for twice as long.
const (
	believeFirst = time.Minute
	believeMost  = time.Hour
)

// patience is how long connections to an instance may be idle: less than the instance keeps them, as far as that is
// known. Every instance has its own, so a new release begins anew. The zero value is idleUpstream.
type patience struct {
	below   time.Duration // idleUpstream; 0: none
	since   time.Time     // of below
	believe time.Duration // below
}

// now is the limit. It rises by half each time that what was learned is old.
func (p *patience) now(now time.Time) time.Duration {
	if p.below == 0 {
		return idleUpstream
	}
	if now.Sub(p.since) < p.believe {
		return p.below
	}
	p.since = now
	if p.below = p.below * 3 / 2; p.below >= idleUpstream {
		p.below = 0
		return idleUpstream
	}
	return p.below
}

// learn notes that the instance closed a connection that had rested so long: the next ones go earlier.
func (p *patience) learn(rested time.Duration, now time.Time) {
	if rested >= p.now(now) || rested <= idleLeast {
		return
	}
	p.below, p.since = max(rested*3/4, idleLeast), now
	p.believe = min(max(2*p.believe, believeFirst), believeMost)
}
