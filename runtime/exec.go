package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"paas/platform"
	"paas/runtime/initproc"
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
	err = request(conn, argv, theirs)
	_ = theirs.Close()
	exit := platform.Exit{}
	if err == nil {
		exit, err = c.awaitReply(conn)
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

func request(conn *os.File, argv []string, out *os.File) error {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer func() { _ = null.Close() }()
	r := initproc.Request{Argv: argv}
	return initproc.Send(conn, r.Encode(), int(null.Fd()), int(out.Fd()), int(out.Fd()))
}

// awaitReply reads until the command ended. Init is gone without a reply when the instance ends meanwhile.
func (c *container) awaitReply(conn *os.File) (platform.Exit, error) {
	for {
		payload, fds, err := initproc.Receive(conn)
		closeFDs(fds)
		if errors.Is(err, io.EOF) {
			return platform.Exit{}, platform.Errorf(platform.Conflict, "the instance ended before the command did")
		}
		if err != nil {
			return platform.Exit{}, err
		}
		var reply initproc.Reply
		if err := reply.Decode(payload); err != nil {
			return platform.Exit{}, err
		}
		switch reply.Kind {
		case initproc.ReplyFailed:
			return platform.Exit{}, platform.Errorf(platform.Failed, "cannot %s", reply.Text)
		case initproc.ReplyExited:
			return platform.Exit{Code: reply.Code, Signal: signalName(reply.Signal), At: c.runtime.now()}, nil
		}
	}
}
