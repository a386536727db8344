package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"paas/gitreceive"
	"paas/platform"
	"paas/router/certs"
	"paas/router/edge"
	"paas/router/handover"
	"paas/router/sockets"
	"paas/verbs"
)

// reign is the time in which this process decides: from taking the lock of the data directory to letting go of it.
type reign struct {
	*daemon
	rooms        *rooms
	platform     *platform.Platform
	certificates *certs.Manager
	tls          *tls.Config
	door         *gitreceive.Server
	verbs        *verbs.Table
	ssh          *sockets.Listener
	local        *sockets.Listener
	throne       *throne
	chores       sync.WaitGroup
	rest         context.CancelFunc // ends the chores
}

// reign decides until ctx ends, a door breaks, or a successor is ready to take over, which is returned then.
func (d *daemon) reign(ctx context.Context) (*successor, error) {
	unlock, err := d.settings.awaitLock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	r := &reign{daemon: d}
	if r.rooms, err = openRooms(ctx, d.settings, d.env, d.log); err != nil {
		return nil, err
	}
	defer r.rooms.close(d.log)
	r.rooms.runtime.KeepDaemon()
	if r.ssh, err = d.listen("ssh", d.settings.SSH); err != nil {
		return nil, err
	}
	if err := r.openCertificates(ctx); err != nil {
		return nil, err
	}
	defer r.certificates.Close()
	p := r.newPlatform()
	defer p.Close()
	d.logs.Store(r.rooms.runtime)
	d.ruling.Store(r)
	defer d.ruling.Store(nil)
	if err := r.open(ctx); err != nil {
		return nil, err
	}
	defer r.throne.close()
	ctx, r.rest = context.WithCancel(ctx)
	defer r.chores.Wait()
	defer r.rest()
	return r.serve(ctx)
}

func (r *reign) newPlatform() *platform.Platform {
	rooms := r.daemonRooms()
	r.platform = platform.New(rooms, platform.Settings{
		Domain: r.settings.Domain, HTTPPort: port(r.http.Addr()), HTTPSPort: r.httpsPort(), KeepReleases: r.settings.KeepReleases,
		HostStorage: r.settings.HostStorage,
	})
	return r.platform
}

func (r *reign) daemonRooms() platform.Rooms {
	return platform.Rooms{
		Store: r.rooms.store, Builder: r.rooms.builder, Runner: r.rooms.runtime, Router: r.traffic,
		Sources: sources{r.rooms.repos, r.rooms.builder, r.rooms.blobs, r.rooms.outputs}, Images: r.rooms.disk(r.settings), Walls: r.rooms.network,
		Certificates: r.certificates, Planner: r.rooms.builder, Repositories: r.rooms.repos, Fetcher: r.rooms.repos,
		Distribution: r.rooms.exchange, Bases: r.rooms.builder, Archives: r.rooms.repos,
		Host: r.host(), Ports: r.ports, Hasher: edge.Hasher{}, Log: r.log, Outputs: r.rooms.outputs, Gauge: r.rooms.runtime,
		Volumes: r.rooms.volumes, Logbook: r.rooms.logbook, Drainer: r.rooms.drains,
	}
}

func (r *reign) host() host {
	started := r.env.get("INVOCATION_ID") != "" // systemd.exec(5)
	h := host{settings: r.settings, httpAddr: r.http.Addr(), sshAddr: r.ssh.Addr(), systemd: started, names: r.certificates}
	if r.https != nil {
		h.httpsAddr = r.https.Addr()
	}
	return h
}

// open makes the doors, and has everything that runs already routed.
func (r *reign) open(ctx context.Context) (err error) {
	if r.door, err = gitreceive.Open(gitreceive.Options{
		Dir: r.settings.Data, Repos: r.rooms.repos, Platform: r.platform, Commands: r.table(), Log: r.log, Idle: r.settings.sshIdle(),
	}); err != nil {
		return err
	}
	if err := r.platform.Boot(ctx); err != nil {
		return err
	}
	if err := r.table().Resume(ctx); err != nil {
		return err
	}
	if r.local, err = r.listenLocal("local", socketName); err != nil {
		return err
	}
	if r.throne, err = r.openThrone(); err != nil {
		return err
	}
	r.registry.open(r.ownSite())
	for _, note := range r.rooms.disk(r.settings).Report() {
		r.log.Warn("images", "warning", note)
	}
	return nil
}

// serve runs the doors. At its end they are closed in order: no new pushes, then no new requests.
func (r *reign) serve(ctx context.Context) (*successor, error) {
	r.chores.Go(func() { r.keepWalls(ctx) })
	r.chores.Go(func() { r.collectGarbage(ctx, r.platform) })
	r.chores.Go(func() { r.keepReserve(ctx, r.platform) })
	doors := make(chan error, 2)
	go func() { doors <- r.door.Serve(r.ssh) }()
	go func() { doors <- r.door.ServeLocal(r.local) }()
	r.once.Do(r.serveWeb)
	r.sockets.CloseSpare()
	r.log.Info("serving", "version", version, "http", r.http.Addr(), "ssh", r.ssh.Addr(), "data", r.settings.Data)
	r.announce()
	for {
		select {
		case <-ctx.Done():
			return nil, r.end(nil)
		case err := <-doors:
			return nil, r.end(err)
		case err := <-r.broken:
			return nil, r.end(err)
		case <-r.orphaned:
			return nil, r.end(errors.New("the process that handed over ended before systemd knew of this one"))
		case claim := <-r.throne.claims:
			after, err := r.callSuccessor(ctx)
			if err != nil {
				r.log.Error("the program was not replaced; this process goes on", "err", err)
				claim.answer(0, err)
				continue
			}
			after.claim = claim
			if r.abdicate(ctx); ctx.Err() != nil { // the service ends: nobody shall take over
				after.kill()
				return nil, r.end(nil)
			}
			return after, nil
		}
	}
}

// serveWeb lets clients in, over all reigns.
func (d *daemon) serveWeb() {
	go func() { d.broken <- d.web.Serve(d.http) }()
	if d.https != nil {
		go func() { d.broken <- d.web.Serve(d.overTLS()) }()
	}
	if d.quic != nil {
		go func() { d.broken <- d.web.ServeHTTP3(d.quic, d.tlsConfig()) }()
	}
}

// announce tells whoever waits that we serve: the predecessor, which tells systemd, or systemd itself.
func (r *reign) announce() {
	if r.before != nil && !r.announced {
		r.announced = true
		if err := r.before.Send(handover.Message{Say: handover.Serving}); err == nil {
			return
		}
	}
	if err := r.systemd.Say("READY=1"); err != nil {
		r.log.Warn("tell systemd", "err", err)
	}
}

// end closes the doors because the service ends.
func (r *reign) end(err error) error {
	_ = r.systemd.Say("STOPPING=1")
	r.log.Info("ends", "at most", shutdownWait)
	r.traffic.End()
	stopping, cancel := context.WithTimeout(context.Background(), shutdownWait)
	defer cancel()
	r.registry.close()
	err = errors.Join(err, ignoreDeadline(r.door.Shutdown(stopping)))
	return errors.Join(err, r.closeTraffic(stopping, leaveWait))
}

// closeTraffic lets clients of apps go: they are told for so long, and have until ctx ends to finish.
func (d *daemon) closeTraffic(ctx context.Context, leave time.Duration) error {
	var both sync.WaitGroup
	both.Go(func() { d.http.stop(ctx) })
	if d.https != nil {
		both.Go(func() { d.https.stop(ctx) })
	}
	both.Wait()
	d.ports.Pause()
	leaving, cancel := context.WithTimeout(ctx, leave)
	defer cancel()
	both.Go(func() { d.ports.Leave(leaving) })
	d.web.Leave(leaving)
	both.Wait()
	return ignoreDeadline(d.web.Shutdown(ctx))
}

// reserved is the platform's own handler at the router. Between two reigns its requests wait.
type reserved struct {
	mu      sync.Mutex
	handler http.Handler
	opened  chan struct{} // closed by open; nil while it is open
	busy    int
}

// reservedWait is how long a request waits for the next reign.
const reservedWait = 30 * time.Second

func (r *reserved) open(h http.Handler) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.handler = h
	if r.opened != nil {
		close(r.opened)
		r.opened = nil
	}
}

func (r *reserved) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.handler != nil || r.opened == nil {
		r.handler, r.opened = nil, make(chan struct{})
	}
}

// Busy counts requests that are being answered.
func (r *reserved) Busy() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.busy
}

// ServeHTTP implements http.Handler.
func (r *reserved) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	h := r.enter(req.Context())
	if h == nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "The server is being replaced.", http.StatusServiceUnavailable)
		return
	}
	defer r.leave()
	h.ServeHTTP(w, req)
}

func (r *reserved) enter(ctx context.Context) http.Handler {
	late := time.After(reservedWait)
	for {
		r.mu.Lock()
		h, opened := r.handler, r.opened
		if h != nil {
			r.busy++
		}
		r.mu.Unlock()
		if h != nil {
			return h
		}
		select {
		case <-opened:
		case <-ctx.Done():
			return nil
		case <-late:
			return nil
		}
	}
}

func (r *reserved) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy--
}

// lockPatience is for a predecessor that was killed: the kernel lets go of the lock a moment later.
const (
	lockPatience = 3 * time.Second
	lockStep     = 50 * time.Millisecond
)

// awaitLock is lock for one who follows another process.
func (s settings) awaitLock(ctx context.Context) (unlock func(), err error) {
	for deadline := time.Now().Add(lockPatience); ; {
		unlock, err = s.lock()
		if platform.KindOf(err) != platform.Conflict || time.Now().After(deadline) {
			return unlock, err
		}
		select {
		case <-time.After(lockStep):
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the data directory: %w", ctx.Err())
		}
	}
}
