package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
	"paas/platform"
	"paas/runtime/script"
)

// outputPatience is how long the output of a command may stay open after the command ended: what it
// left running may hold it for ever.
const outputPatience = time.Second

// Exec implements platform.Runner. The instance's own init runs the command, with the app's rights.
func (r *Runtime) Exec(ctx context.Context, id platform.InstanceID, argv []string, out io.Writer) (platform.Exit, error) {
	c, err := r.awake(id)
	if err != nil {
		return platform.Exit{}, err
	}
	if len(argv) == 0 {
		return platform.Exit{}, platform.Errorf(platform.Usage, "there is no command to run in %s", id)
	}
	exit, err := c.exec(ctx, argv, out)
	if err != nil {
		return platform.Exit{}, fmt.Errorf("run %s in %s: %w", argv[0], id, err)
	}
	return exit, nil
}

func (c *container) exec(ctx context.Context, argv []string, out io.Writer) (platform.Exit, error) {
	conn, err := dial(c.dir, execSocket)
	if err != nil {
		return platform.Exit{}, err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	output, theirs, err := pipe(true, -1, -1)
	if err != nil {
		return platform.Exit{}, err
	}
	copied := copyAll(out, output)
	init := script.Wrap(conn)
	err = requestOutput(init, argv, theirs)
	_ = theirs.Close()
	exit := platform.Exit{}
	if err == nil {
		exit, err = c.awaitReply(init)
	}
	_ = output.SetReadDeadline(time.Now().Add(outputPatience))
	<-copied
	_ = output.Close()
	if ctx.Err() != nil {
		return platform.Exit{}, context.Cause(ctx)
	}
	return exit, err
}

// copyAll copies until from ends, and keeps emptying it when nobody takes the output.
func copyAll(to io.Writer, from io.Reader) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, err := io.Copy(to, from); err != nil {
			_, _ = io.Copy(io.Discard, from)
		}
	}()
	return done
}

// requestOutput has a command run without input and with one stream for all its output.
func requestOutput(init *script.Conn, argv []string, out *os.File) error {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer func() { _ = null.Close() }()
	return request(init, argv, nil, [3]*os.File{null, out, out}, false)
}

// request sends what the child of the instance's init shall do. The first of the streams becomes the
// controlling terminal if it is one.
func request(init *script.Conn, argv, env []string, stdio [3]*os.File, terminal bool) error {
	s := script.Beside()
	var own [3]script.Arg
	for i := range own {
		own[i] = s.Inherit()
	}
	s.Do("begin a session", unix.SYS_SETSID)
	s.Stdio(own)
	if terminal {
		s.Do("take the terminal", unix.SYS_IOCTL, script.N(0), script.N(unix.TIOCSCTTY), script.N(0))
	}
	s.Rights()
	s.KeepOnlyStdio()
	s.ExecBeside(argv, env)
	return init.Run(s, stdio[:]...)
}

// awaitReply reads until the command ended. Init is gone without a reply when the instance ends meanwhile.
func (c *container) awaitReply(init *script.Conn) (platform.Exit, error) {
	for {
		m, err := init.Receive()
		var failed *script.Error
		switch {
		case errors.Is(err, io.EOF):
			return platform.Exit{}, platform.Errorf(platform.Conflict, "the instance ended before the command did")
		case errors.As(err, &failed):
			return platform.Exit{}, platform.Errorf(platform.Failed, "cannot %s", failed)
		case err != nil:
			return platform.Exit{}, err
		case m.Exited:
			return platform.Exit{Code: m.Code, Signal: signalName(m.Signal), At: c.runtime.now()}, nil
		}
	}
}
