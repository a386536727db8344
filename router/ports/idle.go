package ports

import (
	"time"

	"paas/platform"
)

// Configure implements platform.Router: it holds for the mapped HTTP ports too.
func (p *Ports) Configure(in platform.Intake) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.intake = in
	for _, list := range p.apps {
		for _, m := range list {
			if s, ok := m.door.(*site); ok {
				s.site.Configure(in)
			}
		}
	}
}

// Stats implements platform.Router: what mapped HTTP ports have counted, those that were closed meanwhile too.
func (p *Ports) Stats(app platform.AppName) platform.RequestStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	sum := platform.RequestStats{RequestCounts: p.closed[app]}
	for _, m := range p.apps[app] {
		if s, ok := m.door.(*site); ok {
			sum = sum.Plus(s.site.Stats(app))
		}
	}
	return sum
}

// keepCounts is for a port that is about to be closed: counters never fall. p.mu is held.
func (p *Ports) keepCounts(app platform.AppName, d door) {
	if s, ok := d.(*site); ok {
		counts := s.site.Stats(app).RequestCounts
		counts.InFlight = 0
		p.closed[app] = p.closed[app].Plus(counts)
	}
}

// Idle implements platform.Router: a connection, or a session of datagrams, is in flight as long as it is open.
// When the last one ended is known as well as somebody asks.
func (p *Ports) Idle(app platform.AppName) (since time.Time, inflight int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.apps[app] {
		if m.door != nil {
			inflight += m.door.usage().Connections
		}
	}
	if inflight > 0 {
		p.busy[app] = time.Now()
	}
	return p.busy[app], inflight
}
