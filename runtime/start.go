package runtime

import (
	"context"
	"time"

	"golang.org/x/sys/unix"
	"paas/platform"
)

// Start implements platform.Runner.
func (r *Runtime) Start(ctx context.Context, spec platform.InstanceSpec) (platform.Instance, error) {
	o, err := orderOf(spec, appsGroup)
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
		c.end(ctx, grace)
	}
	return c.forget()
}

// takeDown marks an instance as one whose end is wanted, and tells whether it may still be running.
func (r *Runtime) takeDown(id platform.InstanceID) (c *container, live bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.containers[id]
	if !ok || c.record.Passing {
		return nil, false
	}
	c.stopping = true
	return c, c.record.Phase != ended
}

// end sends the stop signal, waits for the grace time and kills what is left.
func (c *container) end(ctx context.Context, grace time.Duration) {
	if grace > 0 {
		c.init.signal(unix.SIGTERM) // init sends the app the image's stop signal
		select {
		case <-c.gone:
			return
		case <-time.After(grace):
		case <-ctx.Done():
		}
	}
	c.kill()
	<-c.gone
}
