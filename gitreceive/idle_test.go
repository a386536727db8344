package gitreceive

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

const patience = 20 * time.Second

// A session that waits for its client longer than the limit is told so and ended; whoever waits for it gets a status.
func TestSessionThatWaitsForItsClientIsCut(t *testing.T) {
	t.Parallel()
	d := newDoor(t, func(o *Options) { o.Idle = 300 * time.Millisecond })
	s, err := d.dialSession()
	must(t, err)
	in, err := s.StdinPipe()
	must(t, err)
	var told bytes.Buffer
	s.Stderr = &told
	must(t, s.Start("take"))
	_, err = in.Write([]byte("half"))
	must(t, err)
	over := make(chan error, 1)
	go func() { over <- s.Wait() }()
	select {
	case err = <-over:
	case <-time.After(patience):
		t.Fatal("it stays")
	}
	var exit *gossh.ExitError
	if !errors.As(err, &exit) || exit.ExitStatus() != timedOut || !strings.Contains(told.String(), "Nothing came or went for 300ms") {
		t.Errorf("it ended with %v and %q", err, told.String())
	}
	within(t, patience, "it took nothing", func() bool { return strings.HasPrefix(strings.Join(d.commands.takings(), ""), lost) })
}

// lost is how a command learns of it; behind it stands how the connection knew.
const lost = "half the connection was lost before all of the input was here: "

// Half an input must not be taken for a whole one because its client went away.
func TestHalfAnInputIsNone(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	ended := []struct {
		how string
		end func(*gossh.Client, *gossh.Session)
	}{
		{"its channel is closed", func(_ *gossh.Client, s *gossh.Session) { _ = s.Close() }},
		{"its connection is", func(c *gossh.Client, _ *gossh.Session) { _ = c.Close() }},
	}
	for _, e := range ended {
		c := d.dial(d.key)
		s, err := c.NewSession()
		must(t, err)
		in, err := s.StdinPipe()
		must(t, err)
		must(t, s.Start("take"))
		_, err = in.Write([]byte("half"))
		must(t, err)
		before := len(d.commands.takings())
		e.end(c, s)
		within(t, patience, e.how, func() bool { return len(d.commands.takings()) > before })
		if got := d.commands.takings()[before]; !strings.HasPrefix(got, lost) {
			t.Errorf("when %s, the command took %q", e.how, got)
		}
	}
	cmd := d.ssh(d.key, "take")
	cmd.Stdin = strings.NewReader("whole")
	must(t, cmd.Run())
	if got := d.commands.takings(); got[len(got)-1] != "whole <nil>" {
		t.Errorf("a whole input is %q", got)
	}
}
