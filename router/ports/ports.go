// Package ports leads ports of the host to instances of apps: TCP and UDP as they are, HTTP and HTTPS through a
// router of their own. The daemon listens itself, so the host's own firewall decides who may come, and no rule of
// ours goes around it.
//
//	client ─► host port ─► door ─┬─ stream (tcp) ────► instance:port   bytes, spliced where there are many
//	                             ├─ datagrams (udp) ─► instance:port   a session for each client's address
//	                             └─ site (http, https) ─► Site ─► instance:port
//
// A connection stays with its instance. When a swap takes the instance away, it may go on until it ends or the
// drain is over; new ones go to the new instances from that moment on.
package ports

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"

	"paas/platform"
	"paas/router/sockets"
)

// Options are what Ports need.
type Options struct {
	Sockets *sockets.Set
	Host    string // address of the host that is listened on; "" for all
	// Reserved are TCP ports that are the platform's own, with what they are for ("SSH").
	Reserved map[int]string
	// Site makes what answers HTTP on one mapped port; nil: http and https cannot be mapped.
	Site func() Site
	// TLS is for https; nil: https cannot be mapped.
	TLS *tls.Config
	// Wake asks for an app's instances to run, when somebody comes to one that has none. It returns at once; the
	// answer is a Swap. It may be called again and again. nil: nobody can.
	Wake func(platform.AppName)
	Log  *slog.Logger
}

// Site is an HTTP server for one port, with a route for one app. Any Host leads to it if the route says "*".
type Site interface {
	platform.Router
	Serve(l net.Listener) error
	Leave(ctx context.Context)
	Shutdown(ctx context.Context) error
}

// Ports implements platform.Ports, and platform.Router for the mapped ports of routes.
type Ports struct {
	options Options

	mu     sync.Mutex
	apps   map[platform.AppName]map[key]*mapped
	routes map[platform.AppName]platform.Route
	closed map[platform.AppName]platform.RequestCounts // of ports that were
	busy   map[platform.AppName]time.Time              // when somebody was last seen to use an app's ports
	intake platform.Intake
	retry  *time.Timer // of ports that could not be had
	left   bool        // a successor takes what comes
}

// key is a port of the host.
type key struct {
	transport string
	port      int
}

// mapped is one port that an app has.
type mapped struct {
	scheme  platform.Scheme
	door    door // nil while the port cannot be had
	problem string
}

// door is an open port. Its methods are safe for concurrent use.
type door interface {
	// swap leads newcomers to other instances, and returns what those that are gone still have.
	swap(route platform.Route, to platform.PortRoute) []farewell
	usage() platform.PortUsage
	// pause takes nobody new; what is open goes on.
	pause()
	// close takes nobody new for good, and returns what is still open.
	close() []farewell
	// leave waits until nothing is open or ctx ends, and then cuts it.
	leave(ctx context.Context)
}

// farewell blocks until nothing of a removed instance is left, and closes what is when ctx ends.
type farewell func(ctx context.Context)

// New makes Ports that listen nowhere yet.
func New(o Options) *Ports {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Ports{options: o, apps: map[platform.AppName]map[key]*mapped{}, routes: map[platform.AppName]platform.Route{}, busy: map[platform.AppName]time.Time{},
		closed: map[platform.AppName]platform.RequestCounts{}}
}

func keyOf(m platform.Mapping) key { return key{m.Transport(), m.HostPort} }

// Claim implements platform.Ports.
func (p *Ports) Claim(app platform.AppName, m platform.Mapping) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.allowed(m); err != nil {
		return err
	}
	k := keyOf(m)
	for other, list := range p.apps {
		if list[k] != nil && other != app {
			return platform.Errorf(platform.Conflict, "%s port %d of this host is taken", k.transport, k.port)
		}
	}
	if have := p.apps[app][k]; have != nil && have.door != nil && have.scheme == m.Scheme {
		return nil
	}
	return p.open(app, m).err
}

// allowed tells whether a mapping can be had at all.
func (p *Ports) allowed(m platform.Mapping) error {
	if what := p.options.Reserved[m.HostPort]; what != "" && m.Transport() == "tcp" {
		return platform.Errorf(platform.Conflict, "port %d of this host is the platform's own, for %s", m.HostPort, what).
			WithHint("choose another port; what speaks HTTP is served on the platform's own port already, by its hostname")
	}
	web := m.Scheme == platform.HTTPScheme || m.Scheme == platform.HTTPSScheme
	if web && p.options.Site == nil || m.Scheme == platform.HTTPSScheme && p.options.TLS == nil {
		return platform.Errorf(platform.Failed, "this platform serves no %s, so no port of it can be mapped", m.Scheme)
	}
	return nil
}

type opened struct {
	*mapped
	err error
}

// open listens for a mapping, and notes why it cannot. p.mu is held.
func (p *Ports) open(app platform.AppName, m platform.Mapping) opened {
	d, err := p.newDoor(app, m)
	if err != nil {
		err = cannotListen(m, err)
	}
	at := &mapped{scheme: m.Scheme, door: d}
	if err != nil {
		at.door, at.problem = nil, err.Error()
	}
	if p.apps[app] == nil {
		p.apps[app] = map[key]*mapped{}
	}
	p.apps[app][keyOf(m)] = at
	return opened{at, err}
}

func cannotListen(m platform.Mapping, err error) error {
	var e *platform.Error
	switch {
	case errors.As(err, &e):
		return err
	case errors.Is(err, syscall.EADDRINUSE):
		return platform.Errorf(platform.Conflict, "another program of this host listens on %s port %d", m.Transport(), m.HostPort).
			WithHint("see which: ss -lnp 'sport = :%d'", m.HostPort)
	}
	return platform.Errorf(platform.Failed, "%s port %d of this host cannot be opened: %v", m.Transport(), m.HostPort, err)
}

func socketName(k key) string { return "port-" + k.transport + "-" + strconv.Itoa(k.port) }

func (p *Ports) newDoor(app platform.AppName, m platform.Mapping) (door, error) {
	if err := p.allowed(m); err != nil {
		return nil, err
	}
	name, addr := socketName(keyOf(m)), net.JoinHostPort(p.options.Host, strconv.Itoa(m.HostPort))
	if m.Scheme == platform.UDPScheme {
		conn, err := p.options.Sockets.ListenPacket(name, addr)
		if err != nil {
			return nil, err
		}
		return newDatagrams(conn, p.wake(app), p.options.Log)
	}
	l, err := p.options.Sockets.Listen(name, "tcp", addr)
	if err != nil {
		return nil, err
	}
	switch m.Scheme {
	case platform.HTTPScheme:
		return p.newSite(l, l), nil
	case platform.HTTPSScheme:
		return p.newSite(l, tls.NewListener(l, p.options.TLS)), nil
	}
	return newStream(l, p.wake(app), p.options.Log), nil
}

func (p *Ports) wake(app platform.AppName) func() {
	if p.options.Wake == nil {
		return func() {}
	}
	return func() { p.options.Wake(app) }
}

// retryEvery is how often a port is tried again that another program had when it was needed.
const retryEvery = 10 * time.Second

// Swap implements platform.Router: it opens and closes what the route's ports say. A port that cannot be had
// shows in Usage and is tried again.
func (p *Ports) Swap(to platform.Route) (drained func(context.Context)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	gone := p.swap(to)
	return func(ctx context.Context) { drainAll(ctx, gone) }
}

func (p *Ports) swap(to platform.Route) (gone []farewell) {
	if len(to.Ports) == 0 && len(p.apps[to.App]) == 0 {
		return nil
	}
	p.routes[to.App] = to
	wanted := map[key]bool{}
	for _, r := range to.Ports {
		wanted[keyOf(r.Mapping)] = true
		gone = append(gone, p.lead(to, r)...)
	}
	for k := range p.apps[to.App] {
		if !wanted[k] {
			gone = append(gone, p.shut(to.App, k)...)
		}
	}
	return gone
}

// lead opens a mapping if it is not open, and points it to its instances.
func (p *Ports) lead(to platform.Route, r platform.PortRoute) (gone []farewell) {
	k := keyOf(r.Mapping)
	at := p.apps[to.App][k]
	if at != nil && at.scheme != r.Scheme {
		gone = p.shut(to.App, k)
		at = nil
	}
	if at == nil || at.door == nil {
		at = p.open(to.App, r.Mapping).mapped
	}
	if at.door == nil {
		p.options.Log.Warn("a mapped port is not open", "app", to.App, "mapping", r.Mapping, "problem", at.problem)
		p.again()
		return gone
	}
	return append(gone, at.door.swap(to, r)...)
}

func (p *Ports) shut(app platform.AppName, k key) (gone []farewell) {
	at := p.apps[app][k]
	delete(p.apps[app], k)
	if at.door != nil {
		p.keepCounts(app, at.door)
		gone = at.door.close()
		p.options.Sockets.Close(socketName(k))
	}
	return gone
}

// again tries later what could not be opened. p.mu is held.
func (p *Ports) again() {
	if p.retry != nil || p.left {
		return
	}
	p.retry = time.AfterFunc(retryEvery, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.retry = nil
		for app, list := range p.apps {
			for _, at := range list {
				if at.door == nil && !p.left {
					_ = p.swap(p.routes[app]) // nobody is gone by it
					break
				}
			}
		}
	})
}

// Remove implements platform.Router. What is open is cut.
func (p *Ports) Remove(app platform.AppName) {
	p.mu.Lock()
	gone := p.swap(platform.Route{App: app})
	delete(p.apps, app)
	delete(p.routes, app)
	delete(p.closed, app)
	p.mu.Unlock()
	cut, cancel := context.WithCancel(context.Background())
	cancel()
	drainAll(cut, gone)
}

// Usage implements platform.Ports.
func (p *Ports) Usage(app platform.AppName, m platform.Mapping) platform.PortUsage {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.apps[app][keyOf(m)]
	switch {
	case at == nil:
		return platform.PortUsage{Problem: "not open"}
	case at.door == nil:
		return platform.PortUsage{Problem: at.problem}
	}
	return at.door.usage()
}

// Pause takes nobody new on any port: a successor does.
func (p *Ports) Pause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = true
	for _, at := range p.doors() {
		at.pause()
	}
}

// Leave waits until nothing is open on any port or ctx ends, and cuts what is left then. Pause comes first.
func (p *Ports) Leave(ctx context.Context) {
	p.mu.Lock()
	list := p.doors()
	p.mu.Unlock()
	var wg sync.WaitGroup
	for _, d := range list {
		wg.Go(func() { d.leave(ctx) })
	}
	wg.Wait()
}

func (p *Ports) doors() (list []door) {
	for _, ports := range p.apps {
		for _, at := range ports {
			if at.door != nil {
				list = append(list, at.door)
			}
		}
	}
	return list
}

func drainAll(ctx context.Context, list []farewell) {
	var wg sync.WaitGroup
	for _, f := range list {
		wg.Go(func() { f(ctx) })
	}
	wg.Wait()
}

// describe is how a log line names an instance.
func describe(b *backend) string { return fmt.Sprintf("%s at %s", b.ID, b.Addr) }
