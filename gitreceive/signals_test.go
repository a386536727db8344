package gitreceive

import (
	"bufio"
	"errors"
	"testing"

	gossh "golang.org/x/crypto/ssh"
)

// A command that takes the signals gets them, a break among them, and they do not end its session.
func TestSignalsReachTheVerb(t *testing.T) {
	t.Parallel()
	s, err := newDoor(t).dialSession()
	must(t, err)
	must(t, s.Setenv("LANG", "de_DE.UTF-8"))
	if s.Setenv("PATH", "/evil") == nil {
		t.Error("PATH was taken")
	}
	out, err := s.StdoutPipe()
	must(t, err)
	must(t, s.Start("signals"))
	r := bufio.NewReader(out)
	next := func(want string) {
		t.Helper()
		line, err := r.ReadString('\n')
		if must(t, err); line != want+"\n" {
			t.Errorf("%q, not %q", line, want)
		}
	}
	next("ready de_DE.UTF-8 ")
	must(t, s.Signal(gossh.SIGUSR1))
	next("USR1")
	must(t, s.Signal(gossh.SIGINT))
	next("INT")
	heard, err := s.SendRequest("break", true, gossh.Marshal(struct{ Length uint32 }{500}))
	if must(t, err); !heard {
		t.Error("nobody heard the break")
	}
	next("BREAK")
	must(t, s.Signal(gossh.SIGTERM))
	next("TERM")
	var exit *gossh.ExitError
	if err := s.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != 143 {
		t.Errorf("it ended with %v", err)
	}
}
