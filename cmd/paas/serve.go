package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"paas/platform"
	"paas/router"
	"paas/router/handover"
	"paas/router/packets"
	"paas/router/ports"
	"paas/router/sockets"
	"paas/runtime"
)

// How long what is under way may take when the daemon ends.
const (
	shutdownWait = 20 * time.Second // requests and sessions
	leaveWait    = 2 * time.Second  // for clients to hear that their connection ends, so that they need not find out
)

// serve runs the daemon until ctx ends or a successor serves in its place. Instances run on.
func serve(ctx context.Context, args []string, env environ) error {
	s, err := readSettings("serve", args, env, nil)
	if err != nil {
		return err
	}
	if err := s.makeData(); err != nil {
		return err
	}
	d, err := newDaemon(s, args, env)
	if err != nil {
		return err
	}
	return d.run(ctx)
}

// daemon is what outlives a reign: listening sockets and clients' connections.
type daemon struct {
	settings settings
	args     []string // of serve, for a successor
	program  string   // its path when it started; the file may be another one by now
	log      *slog.Logger
	env      environ

	systemd  sockets.Systemd
	sockets  *sockets.Set
	http     *front
	https    *front          // nil: it is not served
	quic     *packets.Socket // of HTTP/3; nil: it is not served
	web      *router.Router
	ports    *ports.Ports
	traffic  *handover.Traffic
	registry *reserved
	ruling   atomic.Pointer[reign]           // nil while a successor decides
	logs     atomic.Pointer[runtime.Runtime] // takes the access log, also of what is left to finish
	broken   chan error                      // of what serves
	once     sync.Once                       // starts what serves over reigns

	hangup    chan os.Signal
	before    *handover.Link // of the predecessor, nil if there is none
	announced bool           // it knows that we serve
	orphaned  chan struct{}  // closed when the predecessor ended before systemd knew of us
}

func newDaemon(s settings, args []string, env environ) (*daemon, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	d := &daemon{
		settings: s, args: args, program: program, env: env, log: slog.New(slog.NewTextHandler(env.stderr, nil)),
		systemd: sockets.Systemd{Path: env.get("NOTIFY_SOCKET")}, registry: &reserved{}, broken: make(chan error, 4),
		orphaned: make(chan struct{}), hangup: make(chan os.Signal, 1),
	}
	// Caught from the start and never ignored: what is ignored, containers would ignore too.
	signal.Notify(d.hangup, syscall.SIGHUP)
	if err := d.inherit(); err != nil {
		return nil, err
	}
	socket, err := d.listen("http", s.HTTP)
	if err != nil {
		return nil, err
	}
	if d.http, err = newFront(socket, s.HTTPProxyProtocol); err != nil {
		return nil, err
	}
	if err := errors.Join(d.listenTLS(), d.listenQUIC()); err != nil {
		return nil, err
	}
	key, err := openRouterKey(s.Data)
	if err != nil {
		return nil, err
	}
	own := map[string]http.Handler{}
	for _, host := range ownHosts(s.Domain) {
		own[host] = d.registry
	}
	ssh, err := d.listen("ssh", s.SSH) // now, so that a successor that cannot have it fails before it counts
	if err != nil {
		return nil, err
	}
	_ = ssh.Close() // each reign listens anew
	d.ports = d.newPorts(ssh.Addr(), key)
	d.web = d.newRouter(key, own)
	d.traffic = handover.NewTraffic(d.web, d.ports)
	return d, nil
}

// newPorts makes what maps ports of the host.
func (d *daemon) newPorts(ssh net.Addr, key []byte) *ports.Ports {
	return ports.New(ports.Options{
		Sockets: d.sockets, Host: d.settings.PortsAddress, Log: d.log,
		Reserved: map[int]string{port(d.http.Addr()): "HTTP", d.httpsPort(): "HTTPS", port(ssh): "SSH"},
		Site:     func() ports.Site { return d.newRouter(key, nil) }, TLS: d.tlsConfig(), Wake: d.wake,
	})
}

func (d *daemon) newRouter(key []byte, own map[string]http.Handler) *router.Router {
	return router.New(router.Options{
		Log: d.log, Access: d.access, Secret: key, Reserved: own,
		AltSvc: d.altSvc(), Challenge: d.challenge, Secured: d.secured, Covers: d.covers, Wake: d.wake,
	})
}

// wake has an app woken that sleeps. Between two reigns nobody sleeps or wakes.
func (d *daemon) wake(app platform.AppName) {
	if r := d.ruling.Load(); r != nil {
		r.platform.WakeSoon(app)
	}
}

// access puts the router's lines into the apps' logs.
func (d *daemon) access(app platform.AppName, lines []platform.AccessLine) {
	if logs := d.logs.Load(); logs != nil {
		if err := logs.Access(app, lines); err != nil {
			d.log.Error("access log", "app", app, "err", err)
		}
	}
}

// inherit takes what a predecessor or systemd has kept for us.
func (d *daemon) inherit() error {
	files, err := sockets.Inherit(d.env.get)
	if err != nil {
		return err
	}
	for _, name := range sockets.Variables() { // what we start inherits nothing of it
		_ = os.Unsetenv(name)
	}
	var rest []*os.File
	for _, f := range files {
		if f.Name() != handover.FileName {
			rest = append(rest, f)
		} else if d.before, err = handover.Open(f); err != nil {
			return err
		}
	}
	var keeper sockets.Keeper
	if d.systemd.Path != "" && d.before == nil {
		keeper = d.systemd
	}
	d.sockets = sockets.NewSet(rest, keeper)
	return nil
}

// run decides until ctx ends, and again after a successor that was given the power could not use it.
func (d *daemon) run(ctx context.Context) error {
	if err := d.succeed(); err != nil {
		return err
	}
	defer d.endQUIC()
	for {
		after, err := d.reign(ctx)
		if after == nil {
			return err
		}
		if err := d.giveWay(after); err == nil {
			d.drain(ctx, after)
			return nil
		}
		d.log.Error("the successor did not come up; this process goes on", "err", err)
		d.traffic.Unsettle()
	}
}

// repairEvery is how often the firewall table is looked after: a reload of the host's own firewall flushes
// ours with it, and without it apps have neither walls nor a way out. The network sees to that by itself;
// this is for what it missed, and for nameservers of the host that changed.
const repairEvery = time.Minute

// keepWalls repairs the firewall until ctx ends, and says once what of the host stands against it.
func (r *reign) keepWalls(ctx context.Context) {
	warnings, err := r.rooms.network.Warnings()
	for _, w := range warnings {
		r.log.Warn("network", "warning", w.Text, "fix", w.Fix)
	}
	for tick := time.NewTicker(repairEvery); err == nil; err = r.rooms.network.Repair() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return
		}
	}
	r.log.Error("repair the firewall", "err", err)
}

// ignoreDeadline: what is still open when the wait is over is cut, as announced.
func ignoreDeadline(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// listen opens a TCP socket, or takes the one that was handed to us.
func (d *daemon) listen(what, addr string) (*sockets.Listener, error) {
	l, err := d.sockets.Listen(what, "tcp", addr)
	if err != nil {
		return nil, platform.Errorf(platform.Failed, "cannot listen on %s for %s: %v", addr, what, err).
			WithHint("free that port, or choose another with --%s", what)
	}
	return l, nil
}

// listenLocal opens a socket for root alone. What is there and was not handed to us is a dead predecessor's.
func (d *daemon) listenLocal(name, file string) (*sockets.Listener, error) {
	path := filepath.Join(d.settings.Data, file)
	l, err := d.sockets.Listen(name, "unix", path)
	if errors.Is(err, syscall.EADDRINUSE) {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("remove old socket: %w", err)
		}
		l, err = d.sockets.Listen(name, "unix", path)
	}
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
