package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"paas/controlpanel/registry"
	"paas/gitreceive"
	"paas/platform"
	"paas/router"
	"paas/verbs"
)

// shutdownWait is how long requests and sessions in flight may take when the daemon ends.
const shutdownWait = 20 * time.Second

// serve runs the daemon until ctx ends. Instances run on.
func serve(ctx context.Context, args []string, env environ) error {
	s, err := readSettings("serve", args, env, nil)
	if err != nil {
		return err
	}
	if err := s.makeData(); err != nil {
		return err
	}
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	log := slog.New(slog.NewTextHandler(env.stderr, nil))
	r, err := openRooms(ctx, s, env, log)
	if err != nil {
		return err
	}
	defer r.close(log)
	r.runtime.KeepDaemon()
	d := daemon{settings: s, rooms: r, log: log, env: env}
	return d.run(ctx)
}

// daemon is the doors over the rooms.
type daemon struct {
	settings settings
	rooms    *rooms
	log      *slog.Logger
	env      environ
}

func (d *daemon) run(ctx context.Context) error {
	httpListener, err := listen("tcp", d.settings.HTTP, "http")
	if err != nil {
		return err
	}
	sshListener, err := listen("tcp", d.settings.SSH, "ssh")
	if err != nil {
		return errors.Join(err, httpListener.Close())
	}
	key, err := openRouterKey(d.settings.Data)
	if err != nil {
		return errors.Join(err, httpListener.Close(), sshListener.Close())
	}
	own := map[string]http.Handler{} // filled below, before anybody serves
	var p *platform.Platform
	web := router.New(router.Options{
		Log: d.log, Access: d.access, Secret: key, Reserved: own, Wake: func(app platform.AppName) { p.WakeSoon(app) },
	})
	p = platform.New(platform.Rooms{
		Store: d.rooms.store, Builder: d.rooms.builder, Runner: d.rooms.runtime, Router: web,
		Sources: sources{d.rooms.repos, d.rooms.builder, d.rooms.blobs, d.rooms.outputs}, Images: d.rooms.disk(d.settings), Walls: d.rooms.network,
		Planner: d.rooms.builder, Repositories: d.rooms.repos,
		Distribution: d.rooms.exchange, Bases: d.rooms.builder, Archives: d.rooms.repos,
		Host: d.host(httpListener, sshListener), Log: d.log, Outputs: d.rooms.outputs, Gauge: d.rooms.runtime,
	}, platform.Settings{
		Domain: d.settings.Domain, HTTPPort: port(httpListener.Addr()), KeepReleases: d.settings.KeepReleases,
	})
	defer p.Close()
	images := registry.New(registry.Options{Platform: p, Store: d.rooms.shelves(), Log: d.log})
	for _, host := range []string{p.RegistryHost(), "localhost", "127.0.0.1", "::1"} { // clients speak plain HTTP to these
		own[host] = images
	}
	door, err := gitreceive.Open(gitreceive.Options{
		Dir: d.settings.Data, Repos: d.rooms.repos, Platform: p, Commands: verbs.New(p, version), Log: d.log,
	})
	if err != nil {
		return err
	}
	if err := p.Boot(ctx); err != nil {
		return err
	}
	local, err := listenLocal(filepath.Join(d.settings.Data, socketName))
	if err != nil {
		return err
	}
	for _, note := range d.rooms.disk(d.settings).Report() {
		d.log.Warn("images", "warning", note)
	}
	return d.serveAll(ctx, web, door, p, listeners{httpListener, sshListener, local})
}

func (d *daemon) host(web, ssh net.Listener) host {
	started := d.env.get("INVOCATION_ID") != "" // systemd.exec(5)
	return host{settings: d.settings, httpAddr: web.Addr(), sshAddr: ssh.Addr(), systemd: started}
}

// access puts the router's lines into the apps' logs.
func (d *daemon) access(app platform.AppName, lines []platform.AccessLine) {
	if err := d.rooms.runtime.Access(app, lines); err != nil {
		d.log.Error("access log", "app", app, "err", err)
	}
}

type listeners struct{ http, ssh, local net.Listener }

// serveAll runs the doors until ctx ends or one of them breaks, then closes them in order: no new
// pushes, then no new requests.
func (d *daemon) serveAll(ctx context.Context, web *router.Router, door *gitreceive.Server, p *platform.Platform, l listeners) error {
	broken := make(chan error, 3)
	ctx, cancelChores := context.WithCancel(ctx)
	var chores sync.WaitGroup
	chores.Go(func() { d.keepWalls(ctx) })
	chores.Go(func() { d.collectGarbage(ctx, p) })
	chores.Go(func() { d.keepReserve(ctx, p) })
	defer chores.Wait()
	defer cancelChores()
	go func() { broken <- web.Serve(l.http) }()
	go func() { broken <- door.Serve(l.ssh) }()
	go func() { broken <- door.ServeLocal(l.local) }()
	d.log.Info("serving", "version", version, "http", l.http.Addr(), "ssh", l.ssh.Addr(), "data", d.settings.Data)
	if err := notify(d.env, "READY=1"); err != nil {
		d.log.Warn("tell systemd", "err", err)
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-broken:
	}
	_ = notify(d.env, "STOPPING=1")
	stopping, cancel := context.WithTimeout(context.Background(), shutdownWait)
	defer cancel()
	return errors.Join(err, ignoreDeadline(door.Shutdown(stopping)), ignoreDeadline(web.Shutdown(stopping)))
}

// repairEvery is how often the firewall table is looked after: a reload of the host's own firewall flushes
// ours with it, and without it apps have neither walls nor a way out. The network sees to that by itself;
// this is for what it missed, and for nameservers of the host that changed.
const repairEvery = time.Minute

// keepWalls repairs the firewall until ctx ends, and says once what of the host stands against it.
func (d *daemon) keepWalls(ctx context.Context) {
	warnings, err := d.rooms.network.Warnings()
	for _, w := range warnings {
		d.log.Warn("network", "warning", w)
	}
	for tick := time.NewTicker(repairEvery); err == nil; err = d.rooms.network.Repair() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return
		}
	}
	d.log.Error("repair the firewall", "err", err)
}

// ignoreDeadline: what is still open when the wait is over is cut, as announced.
func ignoreDeadline(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

func listen(network, addr, what string) (net.Listener, error) {
	l, err := net.Listen(network, addr)
	if err != nil {
		return nil, platform.Errorf(platform.Failed, "cannot listen on %s for %s: %v", addr, what, err).
			WithHint("free that port, or choose another with --%s", what)
	}
	return l, nil
}

// listenLocal opens the socket of the local command line, root's alone. The lock is ours, so a socket
// that is there is a dead predecessor's.
func listenLocal(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove old socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return l, os.Chmod(path, 0o600)
}

// lock makes sure that one process at a time works in the data directory. The kernel lets go of it when
// the process ends, however it does. The file holds the process id, for people.
func (s settings) lock() (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(s.Data, "paas.pid"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", s.Data, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(f.Close(), platform.Errorf(platform.Conflict, "another paas works in %s", s.Data).
			WithHint("stop it first, or name another --data DIR"))
	}
	if err := f.Truncate(0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return func() { _ = f.Close() }, err
}
