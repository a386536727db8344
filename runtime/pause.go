package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
	"paas/platform"
)

// Pause implements platform.Living. That it is wanted is noted first, so that a daemon that dies at any
// moment leaves a successor that finishes it.
func (r *Runtime) Pause(ctx context.Context, id platform.InstanceID) error {
	c, err := r.alive(id)
	if err != nil {
		return err
	}
	c.frost.Lock()
	defer c.frost.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := c.notePaused(true); err != nil {
		return err
	}
	if err := c.freeze(ctx); err != nil {
		return errors.Join(fmt.Errorf("pause %s: %w", id, err), c.notePaused(false))
	}
	return nil
}

func (c *container) freeze(ctx context.Context) error {
	f, err := c.freezer()
	if err != nil {
		return err
	}
	return f.freeze(ctx)
}

// Resume implements platform.Living.
func (r *Runtime) Resume(_ context.Context, id platform.InstanceID) error {
	c, err := r.alive(id)
	if err != nil {
		return err
	}
	c.frost.Lock()
	defer c.frost.Unlock()
	if err := c.unfreeze(); err != nil {
		return fmt.Errorf("resume %s: %w", id, err)
	}
	return nil
}

// unfreeze continues the processes and then notes it: a crash in between leaves it paused, and whoever
// asked had no answer yet. The caller holds frost.
func (c *container) unfreeze() error {
	if !c.paused() {
		return nil
	}
	f, err := c.freezer()
	if err == nil {
		err = f.thaw()
	}
	return errors.Join(err, c.notePaused(false))
}

// thaw lets a paused container take the signal that ends it. It does nothing for one that runs.
func (c *container) thaw() {
	if c.record.Passing || !c.paused() {
		return
	}
	c.frost.Lock()
	defer c.frost.Unlock()
	if err := c.unfreeze(); err != nil && !c.init.over() {
		c.runtime.log.Error("thaw a container that shall end", "instance", c.record.ID, "error", err)
	}
}

// holdStill pauses a container for a moment, without a note: a successor of a daemon that dies meanwhile
// lets it go on. The returned function does that here, unless somebody paused it for good.
func (c *container) holdStill() (thaw func() error, err error) {
	c.frost.Lock()
	if err := c.freeze(context.Background()); err != nil {
		c.frost.Unlock()
		return nil, err
	}
	return func() error {
		defer c.frost.Unlock()
		if c.paused() || c.init.over() {
			return nil
		}
		return c.cold.thaw()
	}, nil
}

// freezeAgain makes an adopted container what its note says: paused, or not.
func (c *container) freezeAgain() {
	err := c.freezeAsNoted()
	if err != nil && !c.init.over() {
		c.runtime.log.Error("pause an adopted instance", "instance", c.record.ID, "error", err)
	}
}

func (c *container) freezeAsNoted() error {
	if c.record.Paused {
		return c.freeze(context.Background())
	}
	own, err := c.runtime.placesOf(c.init.pid)
	if err != nil {
		return err
	}
	for _, name := range []string{unified, v1Freezer} {
		f := freezer{own[name], name == unified}
		if f.dir != "" && f.begun() {
			return f.thaw()
		}
	}
	return nil
}

func (c *container) paused() bool {
	c.runtime.mu.Lock()
	defer c.runtime.mu.Unlock()
	return c.record.Paused
}

// pausedFile in an instance's directory says that it shall stand still. A file that is there or not is
// cheaper than a record that is written again, and waking up is something that somebody waits for.
const pausedFile = "paused"

func wasPaused(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, pausedFile))
	return err == nil
}

func (c *container) notePaused(paused bool) error {
	if c.paused() == paused {
		return nil
	}
	c.runtime.mu.Lock()
	defer c.runtime.mu.Unlock()
	c.record.Paused = paused
	path := filepath.Join(c.dir, pausedFile)
	if !paused {
		return os.Remove(path)
	}
	fd, err := unix.Open(path, unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("note the pause of %s: %w", c.record.ID, err)
	}
	return unix.Close(fd)
}

// alive finds an instance that runs, paused or not, and is not about to be stopped.
func (r *Runtime) alive(id platform.InstanceID) (*container, error) {
	c, err := r.running(id)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.init == nil || c.stopping {
		return nil, platform.Errorf(platform.NotFound, "no instance %s is running", id)
	}
	return c, nil
}

// awake finds an instance whose init can answer.
func (r *Runtime) awake(id platform.InstanceID) (*container, error) {
	c, err := r.running(id)
	if err != nil {
		return nil, err
	}
	if c.paused() {
		return nil, platform.Errorf(platform.Conflict, "%s of %s is paused", c.record.source(), c.record.App).
			WithHint("let it go on: ssh paas ps:resume %s", c.record.App)
	}
	return c, nil
}

// over tells whether the process has ended.
func (p *process) over() bool {
	raw, err := p.fd.SyscallConn()
	if err != nil {
		return true
	}
	ended := false
	if err := raw.Control(func(fd uintptr) { ended = hasEnded(fd) }); err != nil {
		return true
	}
	return ended
}
