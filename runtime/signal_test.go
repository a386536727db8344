package runtime

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"paas/platform"
	"paas/runtime/runtimetest/sandbox"
)

// signalled runs a command of either kind and sends signals after it said "ready".
func signalled(t *testing.T, run func(signals <-chan platform.Signal, out io.Writer) (platform.Exit, error), send ...platform.Signal) (platform.Exit, string) {
	t.Helper()
	signals := make(chan platform.Signal, 4)
	out := &sandbox.Buffer{}
	go func() {
		for i, await := range []string{"ready", "got usr1"}[:len(send)] {
			for !strings.Contains(out.String(), await) {
				time.Sleep(10 * time.Millisecond)
			}
			signals <- "NONSENSE"
			signals <- send[i]
		}
	}()
	exit, err := run(signals, out)
	check(t, err)
	return exit, out.String()
}

const untilSignalled = `trap 'echo got usr1' USR1; trap 'echo got int; exit 4' INT; echo ready; while :; do sleep 0.05; done`

func TestSignalsReachJobs(t *testing.T) {
	b := newBench(t)
	for _, term := range []*platform.Terminal{nil, {Term: "xterm", Cols: 80, Rows: 24}} {
		job := func(script string) func(signals <-chan platform.Signal, out io.Writer) (platform.Exit, error) {
			return func(signals <-chan platform.Signal, out io.Writer) (platform.Exit, error) {
				stdin, typing := io.Pipe()
				defer func() { _ = typing.Close() }()
				return b.Run(context.Background(), platform.JobSpec{InstanceSpec: spec(script), Terminal: term, Signals: signals}, stdin, out, io.Discard)
			}
		}
		exit, out := signalled(t, job(untilSignalled), "USR1", platform.Break)
		if exit.Code != 4 || !strings.Contains(out, "got usr1") || !strings.Contains(out, "got int") {
			t.Errorf("terminal %v: %+v %q", term != nil, exit, out)
		}
		exit, _ = signalled(t, job(`echo ready; exec sleep 1000`), "TERM")
		equal(t, "ended by", exit.Signal, "SIGTERM")
	}
	equal(t, "directories", b.directories(), 0)
}

func TestSignalsReachCommandsBeside(t *testing.T) {
	b := newBench(t)
	i := b.start("exec sleep 1000")
	for _, term := range []*platform.Terminal{nil, {Term: "xterm", Cols: 80, Rows: 24}} {
		exit, out := signalled(t, func(signals <-chan platform.Signal, out io.Writer) (platform.Exit, error) {
			stdin, typing := io.Pipe()
			defer func() { _ = typing.Close() }()
			cmd := platform.Command{Argv: []string{"/bin/sh", "-c", untilSignalled}, Terminal: term, Signals: signals}
			return b.Enter(context.Background(), i.ID, cmd, stdin, out, io.Discard)
		}, "USR1", "INT")
		if exit.Code != 4 || !strings.Contains(out, "got usr1") {
			t.Errorf("terminal %v: %+v %q", term != nil, exit, out)
		}
	}
}

// A caller who goes away hangs up: the foreground job of a shell hears it, and what ignores it is killed.
func TestHangUpReachesTheForeground(t *testing.T) {
	b := newBench(t)
	i := b.start("exec sleep 1000")
	for _, kind := range []string{"job", "beside"} {
		ctx, cancel := context.WithCancel(context.Background())
		out := &sandbox.Buffer{}
		stdin, keys := io.Pipe()
		term := &platform.Terminal{Term: "xterm", Cols: 80, Rows: 24}
		go func() {
			_, _ = io.WriteString(keys, "sh -c 'trap \"echo hu''ng; exit\" HUP; echo re''ady; while :; do sleep 0.05; done'\n")
			for !strings.Contains(out.String(), "ready") {
				time.Sleep(10 * time.Millisecond)
			}
			cancel()
		}()
		var err error
		if kind == "job" {
			s := spec("")
			s.Command = []string{"/bin/sh", "-i"}
			_, err = b.Run(ctx, platform.JobSpec{InstanceSpec: s, Terminal: term}, stdin, out, io.Discard)
		} else {
			_, err = b.Enter(ctx, i.ID, platform.Command{Argv: []string{"/bin/sh", "-i"}, Terminal: term}, stdin, out, io.Discard)
		}
		_ = keys.Close()
		equal(t, kind, errors.Is(err, context.Canceled), true)
		if !strings.Contains(out.String(), "hung") {
			t.Errorf("%s: %q", kind, out.String())
		}
	}
	var ps sandbox.Buffer
	_, err := b.Exec(context.Background(), i.ID, []string{"ps", "-o", "args"}, &ps)
	check(t, err)
	if strings.Contains(ps.String(), "trap") {
		t.Errorf("left beside the app:\n%s", ps.String())
	}
}

func TestDetached(t *testing.T) {
	b := newBench(t)
	s := spec(`echo begun; trap 'exit 3' TERM; while [ ! -e /tmp/go ]; do sleep 0.05; done`)
	s.Type, s.Number = "run", 12
	i, err := b.Detach(context.Background(), s)
	check(t, err)
	instances, err := b.Instances(context.Background())
	check(t, err)
	equal(t, "instances", len(instances), 0)

	b.reopen() // it outlives the daemon
	list, err := b.Detached(context.Background())
	check(t, err)
	equal(t, "detached", len(list), 1)
	equal(t, "name", list[0].Name(), "run.12")
	eventually(t, "its output", func() bool { return strings.Join(b.lines(), "") == "begun" })

	check(t, b.Terminate(context.Background(), i.ID, time.Minute))
	select {
	case ended := <-b.DetachedExits():
		equal(t, "code", ended.Exit.Code, 3)
	case <-time.After(20 * time.Second):
		t.Fatal("its end was not told")
	}
	check(t, b.Terminate(context.Background(), i.ID, 0))
	list, err = b.Detached(context.Background())
	check(t, err)
	equal(t, "still known", len(list), 1)
	check(t, b.Stop(context.Background(), i.ID, 0))
	list, err = b.Detached(context.Background())
	check(t, err)
	equal(t, "forgotten", len(list), 0)
	equal(t, "directories", b.directories(), 0)
}

// What does not heed the hangup is killed, however it was started.
func TestHangUpIsFollowedByAKill(t *testing.T) {
	b := newBench(t)
	i := b.start("exec sleep 1000")
	term := &platform.Terminal{Term: "xterm", Cols: 80, Rows: 24}
	const deaf = `trap "" HUP; echo ready; sleep 998; sleep 999`
	var runs sync.WaitGroup
	for name, run := range map[string]func(ctx context.Context, in io.Reader, out io.Writer) error{
		"job": func(ctx context.Context, in io.Reader, out io.Writer) error {
			_, err := b.Run(ctx, platform.JobSpec{InstanceSpec: spec(deaf)}, in, out, io.Discard)
			return err
		},
		"job on a terminal": func(ctx context.Context, in io.Reader, out io.Writer) error {
			_, err := b.Run(ctx, platform.JobSpec{InstanceSpec: spec(deaf), Terminal: term}, in, out, io.Discard)
			return err
		},
		"beside": func(ctx context.Context, in io.Reader, out io.Writer) error {
			_, err := b.Enter(ctx, i.ID, platform.Command{Argv: []string{"/bin/sh", "-c", deaf}}, in, out, io.Discard)
			return err
		},
		"beside on a terminal": func(ctx context.Context, in io.Reader, out io.Writer) error {
			_, err := b.Enter(ctx, i.ID, platform.Command{Argv: []string{"/bin/sh", "-c", deaf}, Terminal: term}, in, out, io.Discard)
			return err
		},
	} {
		runs.Go(func() {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			stdin, keys := io.Pipe()
			defer func() { _ = keys.Close() }()
			out := &sandbox.Buffer{}
			go func() {
				for !strings.Contains(out.String(), "ready") {
					time.Sleep(10 * time.Millisecond)
				}
				cancel()
			}()
			if err := run(ctx, stdin, out); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	runs.Wait()
	var ps sandbox.Buffer
	_, err := b.Exec(context.Background(), i.ID, []string{"ps", "-o", "args"}, &ps)
	check(t, err)
	if strings.Contains(ps.String(), "sleep 99") {
		t.Errorf("left beside the app:\n%s", ps.String())
	}
}
