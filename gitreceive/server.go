// Package gitreceive is the SSH door: git-receive-pack and git-upload-pack on the apps' repositories, and
// every other command as a verb.
package gitreceive

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"paas/platform"
	"paas/verbs"
)

// Platform is what this door needs of the platform.
type Platform interface {
	// Actor tells who holds a proven key; NotFound for a key that nobody added.
	Actor(ctx context.Context, fingerprint string) (platform.Actor, error)
	// OpenPush finds the app for a push, making it for an admin.
	OpenPush(ctx context.Context, actor platform.Actor, app string) (a platform.App, created bool, err error)
	// OpenFetch finds the app for a clone or a fetch.
	OpenFetch(ctx context.Context, actor platform.Actor, app string) (platform.App, error)
	// Push builds and deploys. It blocks; the end of ctx cancels it until requests move over.
	Push(ctx context.Context, p platform.Push) (platform.Release, error)
	// DeployBranch sets the branch that deploys if none is set, and returns the one that is.
	DeployBranch(ctx context.Context, app platform.App, branch string) (string, error)
}

// Commands carries out verbs. It returns the exit status.
type Commands interface {
	Run(ctx context.Context, s verbs.Session, line string) int
}

// Options are what a Server needs.
type Options struct {
	Dir      string // holds the host key
	Repos    *Repos
	Platform Platform
	Commands Commands
	Log      *slog.Logger
}

// Limits of the door.
const (
	maxSessions = 8 // of one key at a time
	idleTimeout = time.Hour
	authTimeout = 30 * time.Second
)

// Server is the door. The same sessions are served over TCP, where keys prove who asks, and over a unix
// socket, where the kernel does.
type Server struct {
	Options
	remote, local *ssh.Server
	life          context.Context // ends with Shutdown
	end           context.CancelFunc

	mu       sync.Mutex
	sessions map[string]int // by key
}

// Open prepares the door; Serve and ServeLocal open it.
func Open(o Options) (*Server, error) {
	signer, err := hostKey(o.Dir)
	if err != nil {
		return nil, err
	}
	s := &Server{Options: o, sessions: map[string]int{}}
	s.life, s.end = context.WithCancel(context.Background())
	s.remote = &ssh.Server{
		Version: "paas", Handler: s.serveRemote, HostSigners: []ssh.Signer{signer}, IdleTimeout: idleTimeout,
		PublicKeyHandler: s.knows, ConnCallback: deadline,
		ServerConfigCallback: func(ssh.Context) *gossh.ServerConfig { return &gossh.ServerConfig{MaxAuthTries: 20} },
	}
	s.local = &ssh.Server{Version: "paas", Handler: s.serveLocal, HostSigners: []ssh.Signer{signer}, ConnCallback: onlyRoot}
	return s, nil
}

// Serve answers on l until Shutdown; then it returns nil. It blocks.
func (s *Server) Serve(l net.Listener) error { return ignoreClosed(s.remote.Serve(l)) }

// ServeLocal answers root's own processes on a unix socket until Shutdown. It blocks.
func (s *Server) ServeLocal(l net.Listener) error { return ignoreClosed(s.local.Serve(l)) }

func ignoreClosed(err error) error {
	if errors.Is(err, ssh.ErrServerClosed) {
		return nil
	}
	return err
}

// Shutdown cancels what sessions do and waits until they are closed, at most until ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	s.end()
	return errors.Join(s.remote.Shutdown(ctx), s.local.Shutdown(ctx))
}

// knows is asked for every key that a client offers, proven or not; sessions look again at the proven one.
func (s *Server) knows(ctx ssh.Context, key ssh.PublicKey) bool {
	_, err := s.Platform.Actor(ctx, gossh.FingerprintSHA256(key))
	if err != nil && platform.KindOf(err) != platform.NotFound {
		s.Log.Error("look up key", "err", err)
	}
	return err == nil
}

// deadline closes connections that do not authenticate in time.
func deadline(ctx ssh.Context, conn net.Conn) net.Conn {
	timer := time.AfterFunc(authTimeout, func() {
		if ctx.Value(ssh.ContextKeyConn) == nil {
			_ = conn.Close()
		}
	})
	context.AfterFunc(ctx, func() { timer.Stop() })
	return conn
}

// onlyRoot lets only root's processes in: the peer's user id comes from the kernel (unix(7), SO_PEERCRED).
func onlyRoot(_ ssh.Context, conn net.Conn) net.Conn {
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		return nil
	}
	raw, err := unixConn.SyscallConn()
	if err != nil {
		return nil
	}
	var peer *unix.Ucred
	controlErr := raw.Control(func(fd uintptr) {
		peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if controlErr != nil || err != nil || peer.Uid != 0 {
		return nil
	}
	return conn
}

func (s *Server) serveRemote(session ssh.Session) {
	key := session.PublicKey()
	if key == nil {
		_ = session.Exit(1)
		return
	}
	fingerprint := gossh.FingerprintSHA256(key)
	actor, err := s.Platform.Actor(session.Context(), fingerprint)
	if err != nil {
		refuse(session, "this key may not come in")
		return
	}
	if !s.enter(fingerprint) {
		refuse(session, fmt.Sprintf("this key has %d sessions open, which is the limit; close one", maxSessions))
		return
	}
	defer s.leave(fingerprint)
	s.serve(session, actor, "ssh paas")
}

func (s *Server) serveLocal(session ssh.Session) {
	s.serve(session, platform.Actor{Name: "root", Admin: true}, "paas")
}

func refuse(session ssh.Session, sentence string) {
	_, _ = fmt.Fprintf(session.Stderr(), " !     %s\n", sentence)
	_ = session.Exit(1)
}

func (s *Server) enter(fingerprint string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[fingerprint] >= maxSessions {
		return false
	}
	s.sessions[fingerprint]++
	return true
}

func (s *Server) leave(fingerprint string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[fingerprint]--; s.sessions[fingerprint] == 0 {
		delete(s.sessions, fingerprint)
	}
}
