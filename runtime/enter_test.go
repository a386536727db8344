package runtime

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"paas/platform"
	"paas/runtime/runtimetest/sandbox"
)

func (b *bench) enter(id platform.InstanceID, in io.Reader, script string) (string, string, platform.Exit) {
	b.t.Helper()
	var out, errs sandbox.Buffer
	exit, err := b.Enter(context.Background(), id, platform.Command{Argv: []string{"/bin/sh", "-c", script}}, in, &out, &errs)
	check(b.t, err)
	return out.String(), errs.String(), exit
}

func TestEnterStreams(t *testing.T) {
	b := newBench(t)
	i := b.start("exec sleep 1000")
	out, errs, exit := b.enter(i.ID, strings.NewReader("input"), `cat; echo trouble >&2; test ! -t 0; echo $GREETING $EXTRA; exit 7`)
	equal(t, "out", out, "inputhi\n")
	equal(t, "err", errs, "trouble\n")
	equal(t, "code", exit.Code, 7)
	out, _, _ = b.enter(i.ID, nil, "cat; id -u; echo /dev/stdout works > /dev/stdout")
	equal(t, "no input", out, "1000\n/dev/stdout works\n")
	_, _, exit = b.enter(i.ID, nil, "kill -9 $$")
	equal(t, "signal", exit.Signal, "SIGKILL")
}

// slow takes little at a time, as a client behind a thin line does.
type slow struct{ bytes.Buffer }

func (s *slow) Write(p []byte) (int, error) {
	time.Sleep(30 * time.Millisecond)
	return s.Buffer.Write(p)
}

func TestEnterIsBinaryCleanAndWhole(t *testing.T) {
	b := newBench(t)
	i := b.start("exec sleep 1000")
	data := make([]byte, 3<<20)
	for n := range data {
		data[n] = byte(n * n >> 3)
	}
	out, _, _ := b.enter(i.ID, bytes.NewReader(data), "cat")
	equal(t, "same", out == string(data), true)
	var late slow
	_, err := b.Enter(context.Background(), i.ID, platform.Command{Argv: []string{"head", "-c", "1500000", "/dev/zero"}}, nil, &late, io.Discard)
	check(t, err)
	equal(t, "all of it to a slow reader", late.Len(), 1500000)
}

// A command that does not read its input must not wait for the caller to end it.
func TestEnterDoesNotWaitForInput(t *testing.T) {
	b := newBench(t)
	i := b.start("exec sleep 1000")
	never, w := io.Pipe()
	defer func() { _ = w.Close() }()
	begin := time.Now()
	out, _, _ := b.enter(i.ID, never, "echo done")
	equal(t, "out", out, "done\n")
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestEnterLeavesSomethingRunning(t *testing.T) {
	b := newBench(t)
	i := b.start("exec sleep 1000")
	begin := time.Now()
	out, _, exit := b.enter(i.ID, nil, "while :; do echo y; sleep 0.01; done & echo started")
	if !strings.Contains(out, "started\n") || exit.Code != 0 {
		t.Errorf("%+v %q", exit, out)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestEnterTerminal(t *testing.T) {
	b := newBench(t)
	i := b.start("exec sleep 1000")
	typed, keyboard := io.Pipe()
	sizes := make(chan platform.Size, 1)
	var out sandbox.Buffer
	cmd := platform.Command{
		Argv:     []string{"/bin/sh"},
		Terminal: &platform.Terminal{Term: "xterm-256color", Cols: 93, Rows: 31, Resize: sizes},
	}
	done := make(chan platform.Exit, 1)
	go func() {
		exit, err := b.Enter(context.Background(), i.ID, cmd, typed, &out, nil)
		if err != nil {
			t.Error(err)
		}
		done <- exit
	}()
	say := func(line, want string) {
		t.Helper()
		_, err := io.WriteString(keyboard, line)
		check(t, err)
		eventually(t, want, func() bool { return strings.Contains(out.String(), want) })
	}
	say("stty size; tty; echo t=$TERM u=$(stat -c %u $(tty)); echo x > /dev/tty\n", "t=xterm-256color u=1000")
	for _, want := range []string{"31 93", "/dev/pts/"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in %q", want, out.String())
		}
	}
	sizes <- platform.Size{Cols: 120, Rows: 40}
	eventually(t, "the new size", func() bool {
		_, err := io.WriteString(keyboard, "stty size\n")
		return err == nil && strings.Contains(out.String(), "40 120")
	})
	say("sleep 999\n", "sleep 999")
	say("\x03", "^C")
	say("echo still $((40+2))\n", "still 42")
	say("exit 9\n", "exit 9")
	equal(t, "code", (<-done).Code, 9)
}

// Who goes away hangs up: nothing of the command is left.
func TestEnterIsCancelled(t *testing.T) {
	b := newBench(t)
	i := b.start("exec sleep 1000")
	for _, term := range []*platform.Terminal{nil, {Cols: 80, Rows: 24}} {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		begin := time.Now()
		cmd := platform.Command{Argv: []string{"sleep", "999"}, Terminal: term}
		_, err := b.Enter(ctx, i.ID, cmd, nil, io.Discard, io.Discard)
		cancel()
		equal(t, "error", errors.Is(err, context.DeadlineExceeded), true)
		if took := time.Since(begin); took > 3*time.Second {
			t.Errorf("it took %v", took)
		}
		eventually(t, "it was killed", func() bool {
			out, _, _ := b.enter(i.ID, nil, "ps -o args")
			return !strings.Contains(out, "sleep 999")
		})
	}
}

// An app with root's rights in its container puts another file where terminals come from.
func TestEnterTerminalOfHostile(t *testing.T) {
	b := newBench(t)
	i, err := b.Start(context.Background(), asRoot(spec("mv /dev/pts /dev/x; mkdir /dev/pts; ln -s /dev/null /dev/pts/ptmx; rm -f /dev/pts/ptmx; echo > /dev/pts/ptmx; echo ready; exec sleep 1000")))
	check(t, err)
	b.awaitLine("ready")
	cmd := platform.Command{Argv: []string{"tty"}, Terminal: &platform.Terminal{Cols: 80, Rows: 24}}
	var out sandbox.Buffer
	exit, err := b.Enter(context.Background(), i.ID, cmd, nil, &out, nil)
	if err == nil && !strings.Contains(out.String(), "/dev/pts/") {
		t.Errorf("%+v %q", exit, out.String())
	}
}

func TestEnterFails(t *testing.T) {
	b := newBench(t)
	i := b.start("exec sleep 1000")
	for _, term := range []*platform.Terminal{nil, {Cols: 80, Rows: 24}} {
		_, err := b.Enter(context.Background(), i.ID, platform.Command{Argv: []string{"no-such-thing"}, Terminal: term}, nil, io.Discard, io.Discard)
		equal(t, "kind", platform.KindOf(err), platform.Failed)
	}
	check(t, b.Pause(context.Background(), i.ID))
	_, err := b.Enter(context.Background(), i.ID, platform.Command{Argv: []string{"true"}}, nil, io.Discard, io.Discard)
	equal(t, "paused", platform.KindOf(err), platform.Conflict)
}

func TestDaemonDiesWhileSomebodyIsInside(t *testing.T) {
	b := newBench(t)
	id := platform.InstanceID(b.doomed("enter", ticking, 0))
	b.open()
	equal(t, "still", b.standsStill(), false)
	eventually(t, "the command is gone", func() bool { return !strings.Contains(b.inside(id, "ps -o args"), "sleep 999") })
}
