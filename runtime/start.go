package runtime

import (
	"context"
	"time"

	"paas/platform"

	"golang.org/x/sys/unix"
)

// Start implements platform.Runner.
func (r *Runtime) Start(ctx context.Context, spec platform.InstanceSpec) (platform.Instance, error) {
	return r.startIn(ctx, spec, appsGroup)
}

// startIn starts an instance in a group. It does not depend on the caller's streams.
func (r *Runtime) startIn(ctx context.Context, spec platform.InstanceSpec, group string) (platform.Instance, error) {
	o, err := orderOf(spec, group)
	if err != nil {
		return platform.Instance{}, err
	}
	o.stdio = nil
	c, err := r.launch(ctx, o)
	if err != nil {
		return platform.Instance{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return c.record.instance(), nil
}

// Stop implements platform.Runner.
func (r *Runtime) Stop(ctx context.Context, id platform.InstanceID, grace time.Duration) error {
	c, live := r.takeDown(id)
	if c == nil {
		return nil
	}
	if live {
		if err := c.end(ctx, grace); err != nil {
			return err
		}
	}
	return c.forget()
}

// takeDown marks an instance as one whose end is wanted, and tells whether it may still be running.
func (r *Runtime) takeDown(id platform.InstanceID) (c *container, live bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.containers[id]
	if !ok || c.record.Passing || c.record.Phase == making { // its maker alone may end a half-made one
		return nil, false
	}
	c.stopping = true
	return c, c.record.Phase != ended
}

// end sends the stop signal, waits for the grace time and kills what is left. It fails when the Runtime
// closes meanwhile: the successor adopts the instance if it still runs.
func (c *container) end(ctx context.Context, grace time.Duration) error {
	if grace > 0 {
		c.init.signal(unix.SIGTERM) // init sends the app the image's stop signal
		c.thaw()
		select {
		case <-c.gone:
			return nil
		case <-time.After(grace):
		case <-ctx.Done():
		case <-c.runtime.life.Done():
			return c.unseen()
		}
	}
	c.kill()
	select {
	case <-c.gone:
		return nil
	case <-c.runtime.life.Done():
		return c.unseen()
	}
}

func (c *container) unseen() error {
	return platform.Errorf(platform.Interrupted, "%s was not seen to stop: the platform is shutting down", c.record.ID)
}
