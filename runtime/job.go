package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"paas/platform"
)

const (
	hangUpGrace = 10 * time.Second // between SIGHUP and SIGKILL of a job whose caller went away
	drainGrace  = 2 * time.Second  // for a caller's writer that does not take what is left of the output
)

// Run implements platform.Runner. A Read of stdin that is in progress when the job ends is not waited for.
func (r *Runtime) Run(ctx context.Context, job platform.JobSpec, stdin io.Reader, stdout, stderr io.Writer) (platform.Exit, error) {
	o, err := orderOf(job.InstanceSpec, jobsGroup)
	if err != nil {
		return platform.Exit{}, err
	}
	o.record.Passing, o.terminal = true, job.Terminal
	if job.Terminal != nil {
		return r.runTerminal(ctx, o, job.Signals, stdin, stdout)
	}
	s, err := newStreams(o)
	if err != nil {
		return platform.Exit{}, err
	}
	s.pump(stdin, stdout, stderr)
	return r.runStreams(ctx, o, s, hangUp, func(c *container) { relay(job.Signals, c.gone, c.deliver) })
}

// runStreams runs a passing container to its end, and its output too. watch, if there is one, runs beside it
// and returns when it has ended.
func (r *Runtime) runStreams(ctx context.Context, o *order, s *streams, leave, watch func(*container)) (platform.Exit, error) {
	ctx, cancel := r.whileOpen(ctx)
	defer cancel()
	c, err := r.launch(ctx, o)
	s.handOver()
	if err != nil {
		s.drain(ctx) // the caller has its writers back when this returns
		return platform.Exit{}, err
	}
	var watching sync.WaitGroup
	if watch != nil {
		watching.Go(func() { watch(c) })
	}
	exit, err := c.finish(ctx, leave)
	watching.Wait()
	s.drain(ctx)
	return exit, errors.Join(err, c.unmake(o), c.forget())
}

// whileOpen ends the context when the Runtime closes.
func (r *Runtime) whileOpen(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(r.life, func() {
		cancel(platform.Errorf(platform.Interrupted, "the container was ended because the platform is shutting down"))
	})
	return ctx, func() { stop(); cancel(nil) }
}

// finish waits for the container's end; when ctx ends first it leaves it the given way.
func (c *container) finish(ctx context.Context, leave func(*container)) (platform.Exit, error) {
	select {
	case <-c.gone:
		return c.exit, nil
	case <-ctx.Done():
		leave(c)
		<-c.gone
		return c.exit, context.Cause(ctx)
	}
}

// hangUp is what a terminal does when the line drops, to what runs in its foreground and to who leads its session.
func hangUp(c *container) {
	late, cancel := context.WithTimeout(context.Background(), hangUpGrace)
	defer cancel()
	hangUpForeground(c.master, c.gone, late)
	c.init.signal(unix.SIGHUP)
	select {
	case <-c.gone:
	case <-late.Done():
		c.kill()
	}
}

// streams connects a container's stdin, stdout and stderr with the caller's.
type streams struct {
	ours, theirs [3]*os.File // ours may be nil
	copies       sync.WaitGroup
}

func newStreams(o *order) (*streams, error) {
	base, err := uidBase(o.appID)
	if err != nil {
		return nil, err
	}
	s := &streams{}
	for i := range s.ours {
		s.ours[i], s.theirs[i], err = pipe(i > 0, int(base+o.uid), int(base+o.gid))
		if err != nil {
			s.handOver()
			s.close()
			return nil, fmt.Errorf("make streams of %s: %w", o.what, err)
		}
	}
	o.stdio = &s.theirs
	return s, nil
}

// pump copies both ways until the ends are closed.
func (s *streams) pump(stdin io.Reader, stdout, stderr io.Writer) {
	go func() {
		defer func() { _ = s.ours[0].Close() }()
		if stdin != nil {
			_, _ = io.Copy(s.ours[0], stdin)
		}
	}()
	s.copyOut(s.ours[1], stdout)
	s.copyOut(s.ours[2], stderr)
}

// copyOut goes on reading when nobody takes the output any more: the job must not hang on it.
func (s *streams) copyOut(from *os.File, to io.Writer) {
	s.copies.Go(func() {
		if _, err := io.Copy(to, from); err != nil {
			_, _ = io.Copy(io.Discard, from)
		}
	})
}

// handOver closes the container's ends, which its init has by now.
func (s *streams) handOver() {
	for _, f := range s.theirs {
		if f != nil {
			_ = f.Close()
		}
	}
}

func (s *streams) close() {
	for _, f := range s.ours {
		if f != nil {
			_ = f.Close()
		}
	}
}

// drain waits until the caller has all output. Nobody writes any more; a caller that went away gets a
// moment only.
func (s *streams) drain(ctx context.Context) {
	defer s.close()
	done := make(chan struct{})
	go func() { s.copies.Wait(); close(done) }()
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	select {
	case <-done:
	case <-time.After(drainGrace):
	}
}
