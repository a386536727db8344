package runtime

import (
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
	"paas/platform"
)

// endOfFile is what a user types to end the input: VEOF, Ctrl-D (termios(3)).
const endOfFile = 4

// runTerminal runs a job on a PTY. Its stdout and stderr are one.
func (r *Runtime) runTerminal(ctx context.Context, o *order, signals <-chan platform.Signal, stdin io.Reader, stdout io.Writer) (platform.Exit, error) {
	ctx, cancel := r.whileOpen(ctx)
	defer cancel()
	c, err := r.launch(ctx, o)
	if err != nil {
		return platform.Exit{}, err
	}
	if c.master == nil {
		c.kill()
		<-c.gone
		return platform.Exit{}, errors.Join(errors.New("the container's init sent no terminal"), c.forget())
	}
	s := &streams{}
	s.ours[0] = c.master
	go typeInto(c.master, stdin)
	s.copyOut(c.master, stdout) // ends with EIO when the last process that has the terminal open ended
	go c.resize(o.terminal.Resize)
	r.work.Go(func() { relay(signals, c.gone, c.deliver) })
	exit, err := c.finish(ctx, hangUp)
	s.drain(ctx)
	return exit, errors.Join(err, c.forget())
}

// typeInto ends the terminal's input when stdin ends.
func typeInto(master *os.File, stdin io.Reader) {
	if stdin != nil {
		_, _ = io.Copy(master, stdin)
	}
	_, _ = master.Write([]byte{endOfFile})
}

// resize follows the caller's window until the job ends.
func (c *container) resize(sizes <-chan platform.Size) {
	for {
		select {
		case <-c.gone:
			return
		case size, open := <-sizes:
			if !open {
				return
			}
			setSize(c.master, size)
		}
	}
}

func setSize(master *os.File, size platform.Size) {
	raw, err := master.SyscallConn()
	if err != nil {
		return
	}
	w := &unix.Winsize{Row: uint16(size.Rows), Col: uint16(size.Cols)}
	_ = raw.Control(func(fd uintptr) { _ = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, w) })
}
