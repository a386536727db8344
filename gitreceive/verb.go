package gitreceive

import (
	"bytes"
	"context"
	"io"
	"sync"

	"github.com/gliderlabs/ssh"

	"paas/gitreceive/dashboard"
	"paas/platform"
	"paas/verbs"
)

// verb runs a command line of the verb table over the session's own streams.
func (d *Server) verb(c *client, line string, ch *channel, term *platform.Terminal) int {
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	if !d.options.Commands.Endures(line) {
		c.in = &whole{in: c.in, channel: ch.raw}
		defer newIdle(c, d.options.Idle).stop()
	}
	s := verbs.Session{
		Actor: c.actor, Stdin: c.in, Stdout: c.out, Stderr: c.stderr, Terminal: term, Prefix: "ssh paas",
		Signals: ch.signals.take, Env: c.env,
	}
	if c.local {
		s.Prefix = "paas"
	}
	if term != nil {
		k := newKeyboard(c.in, cancel)
		defer k.leave()
		s.Stdin = k
	}
	if line == "" && dashboard.Fits(term) {
		return dashboard.Run(ctx, s, d.options.Commands)
	}
	return d.options.Commands.Run(ctx, s, line)
}

// terminal is the PTY that the client asked for, nil for none.
func terminal(s ssh.Session, c *channel) *platform.Terminal {
	pty, _, ok := s.Pty()
	if !ok {
		return nil
	}
	return &platform.Terminal{Term: pty.Term, Cols: pty.Window.Width, Rows: pty.Window.Height, Resize: c.resize}
}

const (
	ctrlC       = 0x03
	maxTyped    = 64 << 10 // bytes that are kept for a verb that does not read
	typedAtOnce = 4 << 10
)

// keyboard is what comes from a client with a PTY. There, Ctrl-C is a byte and no signal. A verb that reads
// its input gets every byte and knows what it means; for one that does not, like logs -f, Ctrl-C cancels.
type keyboard struct {
	in     io.Reader
	cancel context.CancelFunc

	mu    sync.Mutex
	more  *sync.Cond
	typed []byte
	read  bool // somebody has read
	over  bool // nobody will any more
	err   error
}

func newKeyboard(in io.Reader, cancel context.CancelFunc) *keyboard {
	k := &keyboard{in: in, cancel: cancel}
	k.more = sync.NewCond(&k.mu)
	go k.run()
	return k
}

// run reads until the channel is closed, which the end of the session does.
func (k *keyboard) run() {
	p := make([]byte, typedAtOnce)
	for {
		n, err := k.in.Read(p)
		k.take(p[:n], err)
		if err != nil {
			return
		}
	}
}

func (k *keyboard) take(p []byte, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.read && bytes.IndexByte(p, ctrlC) >= 0 {
		k.cancel()
	}
	for k.read && !k.over && len(k.typed) >= maxTyped && err == nil {
		k.more.Wait() // the reader is slow, so the client has to wait
	}
	if len(k.typed) < maxTyped {
		k.typed = append(k.typed, p...)
	}
	k.err = err
	k.more.Broadcast()
}

// leave ends the waiting for a reader.
func (k *keyboard) leave() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.over = true
	k.more.Broadcast()
}

// Read blocks until something is typed or the channel is closed.
func (k *keyboard) Read(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.read = true
	for len(k.typed) == 0 && k.err == nil {
		k.more.Wait()
	}
	if len(k.typed) == 0 {
		return 0, k.err
	}
	n := copy(p, k.typed)
	k.typed = k.typed[n:]
	k.more.Broadcast()
	return n, nil
}
