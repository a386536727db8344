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

// Stats implements platform.Router. Nothing is counted here: mapped HTTP ports have routers of their own.
func (p *Ports) Stats(platform.AppName) platform.RequestStats { return platform.RequestStats{} }

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
