package oci

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
	"paas/platform"
)

// Start executes the process of a created container and returns when it was executed.
func (r *Runtime) Start(ctx context.Context, id string) error {
	c, err := r.Store.open(id)
	if err != nil {
		return err
	}
	defer c.close()
	if s := c.status(); s != specs.StateCreated {
		return platform.Errorf(platform.Conflict, "container %s is %s: only a created one can be started", id, s)
	}
	spec, err := c.config()
	if err != nil {
		return err
	}
	if spec.Process == nil {
		return platform.Errorf(platform.Failed, "container %s has no process to start", id)
	}
	if err := r.runInside(ctx, spec.Hooks.StartContainer, c); err != nil {
		return errors.Join(fmt.Errorf("start %s: %w", id, err), r.delete(context.WithoutCancel(ctx), c, true))
	}
	if err := c.release(ctx, spec); err != nil {
		return fmt.Errorf("start %s: %w", id, err)
	}
	c.Phase = started
	err = errors.Join(os.Remove(c.path(startName)), c.save())
	r.tryHooks(ctx, spec.Hooks.Poststart, c.running())
	return err
}

// running is the state for poststart hooks, even if the process was faster than they.
func (c *container) running() specs.State {
	s := c.state()
	s.Status, s.Pid = specs.StateRunning, c.PID
	return s
}

// release lets the process go on, and hears from it until it was executed. The script is written again for
// the words of its errors.
func (c *container) release(ctx context.Context, spec *specs.Spec) error {
	s, err := planOf(spec, c).finishScript(c.Preserve)
	if err != nil {
		return err
	}
	conn, err := dial(c.path(startName), s)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	stop := conn.Until(ctx)
	defer stop()
	_, err = conn.Receive()
	return scriptError(err)
}
