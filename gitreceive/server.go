// Package gitreceive is the SSH door: it receives git pushes and hands them to the platform, serves clones,
// and runs verbs. Who comes in is who holds a key, proven by a signature.
//
//	ssh client ── key ──► Platform.Actor
//	  exec git-receive-pack 'hello'  ──► a push     (receive.go)
//	  exec git-upload-pack 'hello'   ──► a clone    (upload.go)
//	  exec apps:scale web=3          ──► a verb     (verb.go)
//
// A push or a clone takes the memory that package pack states, plus 36 bytes for each object the
// repository has and about 200 bytes for each file of the commit, however big the files are.
package gitreceive

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/gliderlabs/ssh"

	"paas/gitreceive/pack"
	"paas/platform"
	"paas/verbs"
)

// Platform is what the door asks for. All methods are safe for concurrent use; a refusal that the user
// shall read is a *platform.Error.
type Platform interface {
	// Actor is who holds the key that was proven; NotFound for a key nobody added.
	Actor(ctx context.Context, fingerprint string) (platform.Actor, error)
	// Visiting has v.End called when its actor may not come in any more, until leave is called.
	Visiting(v platform.Visit) (leave func())
	// Begin notes that an actor changes something; End of what it returns must be called.
	Begin(ctx context.Context, actor platform.Actor, app platform.AppName, text string) (*platform.Entry, error)
	// OpenPush finds an app for a push, and makes it if the actor may make apps.
	OpenPush(ctx context.Context, actor platform.Actor, app string) (a platform.App, created bool, err error)
	// RoomForPush makes room for a push to the app and tells how many bytes may come in. It fails when the
	// push cannot fit, with what takes the disk. It may block on the disk.
	RoomForPush(ctx context.Context, app platform.App) (room int64, err error)
	// ExplainRoom adds to a refusal for want of room what takes the disk.
	ExplainRoom(ctx context.Context, err error) error
	// OpenFetch finds an app for a clone.
	OpenFetch(ctx context.Context, actor platform.Actor, app string) (platform.App, error)
	// Push builds and deploys; it blocks until the release serves or has failed. ctx ends when the
	// pusher goes away. It does not use the Source after it returned.
	Push(ctx context.Context, p platform.Push) (platform.Release, error)
	// DeployBranch makes the branch the one that deploys if none is, and returns the one that is.
	DeployBranch(ctx context.Context, app platform.App, branch string) (string, error)
}

// Commands runs verbs.
type Commands interface {
	// Run carries out one command line and returns its exit status. It blocks until the command is over,
	// which the end of ctx makes soon.
	Run(ctx context.Context, s verbs.Session, line string) (exit int)
	// Watches tells whether a command line only shows what happens, for as long as its user likes.
	Watches(line string) bool
	// May tells whether the actor may use a verb for an app, without saying so to anybody. It may read the store.
	May(ctx context.Context, actor platform.Actor, verb, app string) bool
	// Endures tells whether a command line may be silent for as long as it likes: it watches, or has a terminal.
	Endures(line string) bool
}

// Options says what a Server works with. Zero limits mean the defaults.
type Options struct {
	Dir      string // the data directory: the host key lies in it
	Repos    *Repos
	Platform Platform
	Commands Commands
	Log      *slog.Logger
	Limits   pack.Limits   // of one push; 4 GiB, 5 million objects, objects of 2 GiB
	Sessions int           // at a time for one key; 8
	Idle     time.Duration // a connection with no session, or a session that is silent and does not watch; 60 min
	Login    time.Duration // from connecting to the proven key; 30 s
	Alive    time.Duration // between keepalives, three of which may go unanswered; 30 s
}

func (o Options) withDefaults() Options {
	o.Limits.Bytes = or(o.Limits.Bytes, 4<<30)
	o.Limits.Objects = or(o.Limits.Objects, 5_000_000)
	o.Limits.Object = or(o.Limits.Object, 2<<30)
	o.Sessions = or(o.Sessions, 8)
	o.Idle = or(o.Idle, time.Hour)
	o.Login = or(o.Login, 30*time.Second)
	o.Alive = or(o.Alive, 30*time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// Server is the door. Its methods are safe for concurrent use.
type Server struct {
	options Options
	remote  *ssh.Server // for those who prove a key
	local   *ssh.Server // for root on this machine
	ctx     context.Context
	stop    context.CancelFunc // ends every session

	mu       sync.Mutex
	conns    map[*connection]bool
	perKey   map[string]int // open sessions by fingerprint
	sessions sync.WaitGroup
	working  int // sessions that somebody waits for the end of, see Busy
	closing  bool
}

// Open makes a server; it listens nowhere yet. The host key is made if there is none.
func Open(o Options) (*Server, error) {
	signer, err := hostSigner(o.Dir)
	if err != nil {
		return nil, err
	}
	d := &Server{options: o.withDefaults(), conns: map[*connection]bool{}, perKey: map[string]int{}}
	d.ctx, d.stop = context.WithCancel(context.Background())
	d.remote = d.newSSH(signer)
	d.remote.PublicKeyHandler = d.offered
	d.remote.ServerConfigCallback = d.remoteConfig
	d.local = d.newSSH(signer)
	d.local.ServerConfigCallback = d.localConfig
	return d, nil
}

// newSSH is a server that knows sessions and nothing else: no forwarding, no agent, no subsystems.
func (d *Server) newSSH(signer ssh.Signer) *ssh.Server {
	return &ssh.Server{
		Version:         "paas",
		HostSigners:     []ssh.Signer{signer},
		Handler:         d.handle,
		ConnCallback:    d.accept,
		ChannelHandlers: map[string]ssh.ChannelHandler{"session": d.channel},
		RequestHandlers: map[string]ssh.RequestHandler{},
	}
}

// Serve takes connections from l until Shutdown, then returns nil. It closes l.
func (d *Server) Serve(l net.Listener) error { return d.serveOn(d.remote, l) }

// ServeLocal takes connections from a unix socket until Shutdown, then returns nil. Who connects as root
// (by SO_PEERCRED, unix(7)) is the actor "root", an admin, without a key; others are refused. It closes l.
func (d *Server) ServeLocal(l net.Listener) error { return d.serveOn(d.local, l) }

func (d *Server) serveOn(srv *ssh.Server, l net.Listener) error {
	if d.isClosing() {
		return ignoreGone(l.Close())
	}
	if err := srv.Serve(l); !errors.Is(err, ssh.ErrServerClosed) {
		return err
	}
	return nil
}

func (d *Server) isClosing() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closing
}

// Shutdown takes no more connections or sessions, and waits for the sessions that are open. When ctx ends
// first it cancels them, waits until each has undone what it must, and returns ctx's error.
func (d *Server) Shutdown(ctx context.Context) error {
	d.refuseNew()
	over := make(chan struct{})
	go func() {
		defer close(over)
		d.sessions.Wait()
	}()
	var cut error
	select {
	case <-over:
	case <-ctx.Done():
		cut = ctx.Err()
		d.stop()
		<-over
	}
	d.stop()
	d.hangUp()
	return errors.Join(cut, ignoreGone(d.remote.Close()), ignoreGone(d.local.Close()))
}

// hangUp closes every connection, those that are not logged in too.
func (d *Server) hangUp() {
	d.mu.Lock()
	open := slices.Collect(maps.Keys(d.conns))
	d.mu.Unlock()
	for _, c := range open {
		_ = c.Close() // it may be closed already
	}
}

func (d *Server) refuseNew() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closing = true
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_ = d.remote.Shutdown(ended) // closes the listeners; ended keeps it from waiting
	_ = d.local.Shutdown(ended)
}

func ignoreGone(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
