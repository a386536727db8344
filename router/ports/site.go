package ports

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"paas/platform"
	"paas/router/sockets"
)

// site is an HTTP or HTTPS port: a router that knows one app, whose instances it finds at the mapping's port.
type site struct {
	listener *sockets.Listener
	site     Site
	app      atomic.Pointer[platform.AppName]
	log      *slog.Logger
	over     chan struct{} // closed when it serves no longer
}

// siteEnd is how long requests may take when a mapping is removed at once.
const siteEnd = time.Second

func (p *Ports) newSite(socket *sockets.Listener, l net.Listener) *site {
	what, log := p.options.Site(), p.options.Log
	what.Configure(p.intake)
	s := &site{listener: socket, site: what, log: log, over: make(chan struct{})}
	socket.Pause() // until the first swap says where to
	go func() {
		defer close(s.over)
		if err := what.Serve(l); err != nil {
			log.Error("serve a mapped port", "addr", socket.Addr(), "err", err)
		}
	}()
	return s
}

func (s *site) swap(route platform.Route, to platform.PortRoute) []farewell {
	first := s.app.Swap(&route.App) == nil
	route.Ports, route.Backends = nil, to.Backends
	route.Hosts = append(slices.Clone(route.Hosts), "*") // who types the port means the app
	drained := s.site.Swap(route)
	if first {
		if err := s.listener.Resume(); err != nil {
			s.log.Error("open a mapped port", "mapping", to.Mapping, "err", err)
		}
	}
	return []farewell{drained}
}

func (s *site) usage() (u platform.PortUsage) {
	if app := s.app.Load(); app != nil {
		_, u.Connections = s.site.Idle(*app)
	}
	return u
}

func (s *site) pause() { s.listener.Pause() }

// close lets requests finish until the drain is over.
func (s *site) close() []farewell {
	s.listener.Pause()
	return []farewell{s.leave}
}

func (s *site) leave(ctx context.Context) {
	s.site.Leave(ctx)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), siteEnd)
	defer cancel()
	if err := s.site.Shutdown(last); err != nil && last.Err() == nil {
		s.log.Error("close a mapped port", "err", err)
	}
	_ = s.listener.Close()
	<-s.over
}
