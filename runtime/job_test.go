package runtime

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"paas/platform"
	"paas/runtime/runtimetest/sandbox"
)

func TestJobStreams(t *testing.T) {
	b := newBench(t)
	in := make([]byte, 3<<20)
	_, _ = rand.Read(in)
	var out, errs bytes.Buffer
	job := platform.JobSpec{InstanceSpec: spec(`cat; echo done >&2; exit 7`)}
	exit, err := b.Run(context.Background(), job, bytes.NewReader(in), &out, &errs)
	check(t, err)
	equal(t, "exit", exit.Code, 7)
	equal(t, "stdin came back", bytes.Equal(out.Bytes(), in), true)
	equal(t, "stderr", errs.String(), "done\n")
	all, err := b.Instances(context.Background())
	check(t, err)
	equal(t, "instances", len(all), 0)
	equal(t, "directories", b.directories(), 0)
}

func TestJobWithoutStdin(t *testing.T) {
	b := newBench(t)
	equal(t, "stdin", b.output(spec(`wc -c`)), "0")
}

func TestJobFailsToStart(t *testing.T) {
	b := newBench(t)
	s := spec("")
	s.Command = []string{"no-such-thing"}
	stdin, typing := io.Pipe()
	defer func() { _ = typing.Close() }()
	_, err := b.Run(context.Background(), platform.JobSpec{InstanceSpec: s}, stdin, io.Discard, io.Discard)
	equal(t, "kind", platform.KindOf(err), platform.Failed)
}

func TestCancelledJobHangsUp(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	out := &sandbox.Buffer{}
	job := platform.JobSpec{InstanceSpec: spec(`trap 'echo hup; exit 0' HUP; echo ready; while :; do sleep 0.1; done`)}
	go func() {
		for !strings.Contains(out.String(), "ready") || !b.anyRuns() { // a job that is still being started is killed
			time.Sleep(20 * time.Millisecond)
		}
		cancel()
	}()
	_, err := b.Run(ctx, job, nil, out, io.Discard)
	equal(t, "cancelled", errors.Is(err, context.Canceled), true)
	equal(t, "output", out.String(), "ready\nhup\n")
}

// A caller who takes no output does not keep the job from ending.
func TestJobWithBrokenOutput(t *testing.T) {
	b := newBench(t)
	r, w := io.Pipe()
	_ = r.Close()
	exit, err := b.Run(context.Background(), platform.JobSpec{InstanceSpec: spec(`head -c 1000000 /dev/zero; exit 5`)}, nil, w, w)
	check(t, err)
	equal(t, "exit", exit.Code, 5)
}

func TestCloseEndsJobs(t *testing.T) {
	b := newBench(t)
	out := &sandbox.Buffer{}
	ended := make(chan error, 1)
	go func() {
		_, err := b.Runtime.Run(context.Background(), platform.JobSpec{InstanceSpec: spec(`echo ready; exec sleep 1000`)}, nil, out, out)
		ended <- err
	}()
	eventually(t, "it runs", func() bool { return out.String() == "ready\n" })
	b.reopen()
	equal(t, "kind", platform.KindOf(<-ended), platform.Interrupted)
	equal(t, "directories", b.directories(), 0)
}

// typing is what a user types at a terminal, each after the screen shows what it waits for.
type typing struct{ await, text string }

// onTerminal plays keystrokes against a job and returns its exit and its screen.
func (b *bench) onTerminal(s platform.InstanceSpec, resize chan platform.Size, play ...typing) (platform.Exit, string) {
	b.t.Helper()
	stdin, keys := io.Pipe()
	screen := &sandbox.Buffer{}
	go func() {
		defer func() { _ = keys.Close() }()
		seen := 0
		for _, p := range play {
			if seen = awaitOnScreen(screen, seen, p.await); seen < 0 {
				b.t.Errorf("%q never came on the screen %q", p.await, screen.String())
				return
			}
			time.Sleep(100 * time.Millisecond) // shells drop what is typed while they switch the terminal's mode
			if p.text == resized {
				resize <- platform.Size{Cols: 100, Rows: 40}
				continue
			}
			_, _ = io.WriteString(keys, p.text)
		}
	}()
	job := platform.JobSpec{InstanceSpec: s, Terminal: &platform.Terminal{Term: "xterm", Cols: 80, Rows: 24, Resize: resize}}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	exit, err := b.Run(ctx, job, stdin, screen, io.Discard)
	check(b.t, err)
	return exit, screen.String()
}

// resized stands for the user resizing the window.
const resized = "\x00resized"

// awaitOnScreen waits for a text behind the first seen bytes and tells where it ends.
func awaitOnScreen(screen *sandbox.Buffer, seen int, text string) int {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if i := strings.Index(screen.String()[seen:], text); i >= 0 {
			return seen + i + len(text)
		}
	}
	return -1
}

func TestTerminal(t *testing.T) {
	b := newBench(t)
	exit, screen := b.onTerminal(spec(`tty; stty size; echo $TERM; read line; echo "got $line"; exit 9`), nil, typing{"xterm", "hello\n"})
	equal(t, "exit", exit.Code, 9)
	for _, want := range []string{"/dev/pts/0\r\n", "24 80\r\n", "got hello\r\n"} {
		if !strings.Contains(screen, want) {
			t.Errorf("%q is not on the screen %q", want, screen)
		}
	}
}

func TestTerminalInterrupt(t *testing.T) {
	b := newBench(t)
	exit, screen := b.onTerminal(spec(`trap 'echo interrupted; exit 4' INT; echo ready; while :; do sleep 0.1; done`), nil, typing{"ready", "\x03"})
	equal(t, "exit", exit.Code, 4)
	equal(t, "screen", strings.Contains(screen, "interrupted"), true)
}

func TestTerminalResize(t *testing.T) {
	b := newBench(t)
	resize := make(chan platform.Size)
	defer close(resize)
	exit, screen := b.onTerminal(spec(`trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.1; done`), resize, typing{"ready", resized}, typing{"40 100", ""})
	equal(t, "exit", exit.Code, 0)
	equal(t, "screen", strings.Contains(screen, "40 100"), true)
}

// An interactive shell with job control: a job is stopped with Ctrl-Z, listed, continued and interrupted.
func TestTerminalJobControl(t *testing.T) {
	b := newBench(t)
	s := spec("")
	s.Command = []string{"/bin/sh", "-i"}
	s.Env = map[string]string{"PS1": "prompt> "}
	exit, screen := b.onTerminal(s, nil,
		typing{"prompt> ", "sh -c \"echo r''eady; exec cat\"\n"}, typing{"ready\r\n", "one\n"}, typing{"one\r\none\r\n", "\x1a"},
		typing{"Stopped", "jobs\n"}, typing{"Stopped", "fg\n"},
		typing{"exec cat", "two\n"}, typing{"two\r\ntwo\r\n", "\x03"},
		typing{"prompt> ", "exit 6\n"},
	)
	if strings.Contains(screen, "no job control") || strings.Contains(screen, "can't access tty") {
		t.Errorf("screen: %q", screen)
	}
	equal(t, "exit", exit.Code, 6)
}

func TestTerminalEndOfInput(t *testing.T) {
	b := newBench(t)
	exit, screen := b.onTerminal(spec(`cat; echo end; exit 2`), nil, typing{"", "line\n"})
	equal(t, "exit", exit.Code, 2)
	equal(t, "screen", strings.Contains(screen, "end\r\n"), true)
}

// A job that cannot start has given the caller's writer back when Run returns: the race detector looks.
func TestFailedStartGivesTheWriterBack(t *testing.T) {
	b := newBench(t)
	for range 20 {
		var out, errs bytes.Buffer
		s := spec("")
		s.Command = []string{"/no/such/program"}
		if _, err := b.Run(context.Background(), platform.JobSpec{InstanceSpec: s}, nil, &out, &errs); err == nil {
			t.Fatal("it ran")
		}
		equal(t, "output", out.String()+errs.String(), "")
	}
}
