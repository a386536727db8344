package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"paas/platform"
	"paas/router/sockets"
)

// throneName is the socket over which `paas handover` asks for a successor and hears when it serves.
const throneName = "paas.handover"

// claim is one wish for a successor.
type claim struct{ answer func(pid int, err error) }

// throne takes claims, from the socket and as SIGHUP.
type throne struct {
	claims chan claim
	socket *sockets.Listener
	hangup chan os.Signal
	over   chan struct{}
	work   sync.WaitGroup
}

// claimed is the answer to a claim.
type claimed struct {
	Process int    `json:"process,omitempty"`
	Error   string `json:"error,omitempty"`
	Hint    string `json:"hint,omitempty"`
}

func (d *daemon) openThrone() (*throne, error) {
	l, err := d.listenLocal("handover-socket", throneName)
	if err != nil {
		return nil, err
	}
	t := &throne{claims: make(chan claim), socket: l, hangup: d.hangup, over: make(chan struct{})}
	t.work.Go(t.takeSignals)
	t.work.Go(t.takeCalls)
	return t, nil
}

func (t *throne) takeSignals() {
	for {
		select {
		case <-t.hangup:
			t.claim(claim{func(int, error) {}})
		case <-t.over:
			return
		}
	}
}

func (t *throne) takeCalls() {
	for {
		conn, err := t.socket.Accept()
		if err != nil {
			return
		}
		if !t.claim(claim{func(pid int, err error) { answerClaim(conn, pid, err) }}) {
			answerClaim(conn, 0, platform.Errorf(platform.Conflict, "paas ends, or is being replaced already").WithHint("say it again in a moment"))
		}
	}
}

// answerClaim writes one line and hangs up. A caller that has gone hears nothing.
func answerClaim(conn net.Conn, pid int, err error) {
	defer func() { _ = conn.Close() }()
	out := claimed{Process: pid}
	var e *platform.Error
	switch {
	case errors.As(err, &e):
		out.Error, out.Hint = e.Message, e.Hint
	case err != nil:
		out.Error = err.Error()
	}
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	_ = json.NewEncoder(conn).Encode(out)
}

func (t *throne) claim(c claim) bool {
	select {
	case t.claims <- c:
		return true
	case <-t.over:
		return false
	}
}

func (t *throne) close() {
	close(t.over)
	_ = t.socket.Close()
	t.work.Wait()
}

// handOver asks the daemon to start the program that is installed now in its place, and waits until that serves.
func handOver(ctx context.Context, args []string, env environ) error {
	var wait time.Duration
	s, err := readSettings("handover", args, env, func(set *flag.FlagSet) {
		set.DurationVar(&wait, "wait", 150*time.Second, "how long to wait for it; it happens afterwards too")
	})
	if err != nil {
		return err
	}
	conn, err := net.Dial("unix", filepath.Join(s.Data, throneName))
	if err != nil {
		return platform.Errorf(platform.Failed, "no paas serves in %s", s.Data).WithHint("start it: paas serve, or systemctl start paas")
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	_ = conn.SetReadDeadline(time.Now().Add(wait))
	line, err := bufio.NewReader(conn).ReadBytes('\n')
	if errors.Is(err, os.ErrDeadlineExceeded) {
		_, _ = fmt.Fprintln(env.stdout, "A push or another session still runs: paas is replaced as soon as it has ended.")
		return nil
	}
	if err != nil {
		return platform.Errorf(platform.Failed, "paas ended while it was asked").Because(err).WithHint("see why: journalctl -u paas -n 50")
	}
	return tellClaimed(line, env)
}

func tellClaimed(line []byte, env environ) error {
	var answer claimed
	if err := json.Unmarshal(line, &answer); err != nil {
		return fmt.Errorf("read the answer of paas: %w", err)
	}
	if answer.Error != "" {
		return platform.Errorf(platform.Failed, "%s", answer.Error).WithHint("%s", answer.Hint)
	}
	_, _ = fmt.Fprintf(env.stdout, "Process %d serves now; the one before it finishes what is open.\n", answer.Process)
	return nil
}
