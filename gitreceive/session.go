package gitreceive

import (
	"context"
	"fmt"
	"strings"

	"github.com/gliderlabs/ssh"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"

	"paas/platform"
	"paas/verbs"
)

// serve carries out one session's command.
func (s *Server) serve(session ssh.Session, actor platform.Actor, prefix string) {
	ctx, cancel := context.WithCancel(session.Context())
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	stop := cancelOnSignal(session, cancel)
	defer stop()
	line := session.RawCommand()
	if strings.HasPrefix(line, "git-") || strings.HasPrefix(line, "git ") {
		_ = session.Exit(s.git(ctx, session, actor, line))
		return
	}
	v := verbs.Session{
		Actor: actor, Stdin: session, Stdout: session, Stderr: session.Stderr(), Prefix: prefix,
		Terminal: terminal(ctx, session),
	}
	if v.Terminal != nil {
		v.Stderr = session // a terminal has one screen
	}
	_ = session.Exit(s.Commands.Run(ctx, v, line))
}

// cancelOnSignal ends the command when the client sends a signal that would end a program.
func cancelOnSignal(session ssh.Session, cancel func()) (stop func()) {
	signals := make(chan ssh.Signal, 1)
	done := make(chan struct{})
	session.Signals(signals)
	go func() {
		for {
			select {
			case sig := <-signals:
				if sig == ssh.SIGINT || sig == ssh.SIGTERM || sig == ssh.SIGHUP || sig == ssh.SIGQUIT {
					cancel()
				}
			case <-done:
				return
			}
		}
	}()
	return func() {
		session.Signals(nil)
		close(done)
	}
}

// terminal turns the client's PTY into the platform's; nil without one.
func terminal(ctx context.Context, session ssh.Session) *platform.Terminal {
	pty, windows, ok := session.Pty()
	if !ok {
		return nil
	}
	sizes := make(chan platform.Size)
	go func() {
		defer close(sizes)
		for {
			select {
			case w, open := <-windows:
				if !open {
					return
				}
				select {
				case sizes <- platform.Size{Cols: w.Width, Rows: w.Height}:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return &platform.Terminal{Term: pty.Term, Cols: pty.Window.Width, Rows: pty.Window.Height, Resize: sizes}
}

// git serves the three commands that git clients send (git-receive-pack(1) and its sisters).
func (s *Server) git(ctx context.Context, session ssh.Session, actor platform.Actor, line string) (exit int) {
	words, err := verbs.Split(strings.Replace(line, "git ", "git-", 1))
	if err != nil || len(words) != 2 {
		return gitError(session, "git commands take the name of an app: use a remote like paas:myapp")
	}
	name := appName(words[1].Text)
	switch words[0].Text {
	case "git-receive-pack":
		err = s.receivePack(ctx, session, actor, name)
	case "git-upload-pack":
		err = s.uploadPack(ctx, session, actor, name)
	default:
		return gitError(session, "%s is not served here: push, fetch and clone are", words[0].Text)
	}
	if err == nil {
		return 0
	}
	return gitError(session, "%s", s.sentence(err))
}

// appName finds the app in what git sends for paas:myapp, ssh://paas/myapp and paas:myapp.git.
func appName(path string) string {
	return strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(path, "~"), "/"), ".git")
}

// gitError says it the way git shows best: "fatal: remote error: …" (gitprotocol-common, error packet).
func gitError(session ssh.Session, format string, args ...any) int {
	_ = pktline.NewEncoder(session).Encodef("ERR %s\n", fmt.Sprintf(format, args...))
	return 128
}

// sentence is what an outsider may read of an error.
func (s *Server) sentence(err error) string {
	var e *platform.Error
	if asError(err, &e) {
		return e.Message
	}
	s.Log.Error("git session", "err", err)
	return "something went wrong on the server"
}
