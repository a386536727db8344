package oci

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"paas/platform"
)

// Delete removes a stopped container, with force one in any state: then one that does not exist is no error.
func (r *Runtime) Delete(ctx context.Context, id string, force bool) error {
	c, err := r.Store.open(id)
	var e *platform.Error
	if force && errors.As(err, &e) && e.Kind == platform.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	defer c.close()
	return r.delete(ctx, c, force)
}

func (r *Runtime) delete(ctx context.Context, c *container, force bool) error {
	switch s := c.status(); {
	case s == specs.StateStopped || force:
	case s == specs.StateCreating && c.PID == 0: // its create died: we hold the lock
	default:
		return platform.Errorf(platform.Conflict, "container %s is %s", c.ID, s).
			WithHint("kill it first, or delete it with --force")
	}
	if err := c.end(); err != nil {
		return err
	}
	spec, configErr := c.config()
	state := c.state()
	c.detach()
	if c.Groups != nil {
		if err := c.Groups.destroy(c.Made); err != nil {
			return fmt.Errorf("delete %s: %w", c.ID, err)
		}
	}
	if err := os.RemoveAll(c.dir); err != nil {
		return fmt.Errorf("delete %s: %w", c.ID, err)
	}
	if configErr == nil {
		r.tryHooks(ctx, spec.Hooks.Poststop, state)
	}
	return nil
}

// end kills the process, and waits until it is gone. Without a PID namespace of their own the others are
// killed with the group.
func (c *container) end() error {
	pidfd, err := c.pidfd()
	if err != nil { // it is gone
		return nil
	}
	defer func() { _ = unix.Close(pidfd) }()
	if err := unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0); err != nil && err != unix.ESRCH {
		return fmt.Errorf("kill %s: %w", c.ID, err)
	}
	_ = c.Groups.freeze(false)
	for deadline := time.Now().Add(patience); c.alive(); {
		polled := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
		if _, err := unix.Poll(polled, 100); err != nil && err != unix.EINTR {
			return fmt.Errorf("wait for %s: %w", c.ID, err)
		}
		if time.Now().After(deadline) {
			return platform.Errorf(platform.Failed, "container %s does not die", c.ID)
		}
	}
	return nil
}
