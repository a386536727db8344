package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"paas/platform"
	"paas/runtime/network"
)

// keptFile in an instance's directory says that it was set aside, and when: at the file's time.
const keptFile = "kept"

// Keep implements platform.Keeping. That it is wanted is noted first, as Pause does it.
func (r *Runtime) Keep(ctx context.Context, id platform.InstanceID) error {
	c, err := r.alive(id)
	if err != nil {
		return err
	}
	c.frost.Lock()
	defer c.frost.Unlock()
	if err := errors.Join(ctx.Err(), c.noteKept(r.now())); err != nil {
		return fmt.Errorf("keep %s: %w", id, err)
	}
	if err := errors.Join(c.admit(), c.notePaused(true), c.freeze(ctx)); err != nil {
		return errors.Join(fmt.Errorf("keep %s: %w", id, err), c.notePaused(false), c.noteKept(time.Time{}), c.admit())
	}
	return nil
}

// Recall implements platform.Keeping. A crash in between leaves it kept, or paused, as one of the release.
func (r *Runtime) Recall(_ context.Context, id platform.InstanceID, release int) error {
	c, err := r.alive(id)
	if err != nil {
		return err
	}
	c.frost.Lock()
	defer c.frost.Unlock()
	err = c.save(func(r *record) { r.Release = release })
	if err == nil {
		err = errors.Join(c.noteKept(time.Time{}), c.admit(), c.unfreeze())
	}
	if err != nil {
		return fmt.Errorf("recall %s: %w", id, err)
	}
	return nil
}

// admit tells the network anew whose the container is.
func (c *container) admit() error {
	c.runtime.mu.Lock()
	owner := c.record.owner()
	c.runtime.mu.Unlock()
	return c.runtime.options.Network.Admit(*c.record.Endpoint, owner)
}

// nobody is how the network knows a container that was set aside: no name leads to it, nobody's connections do, and
// those over links are over. What it had opened itself to the world stays open.
func (r *record) nobody() network.Owner { return network.Owner{Key: string(r.ID)} }

// keptSince is zero for a container that was not set aside.
func keptSince(dir string) time.Time {
	info, err := os.Lstat(filepath.Join(dir, keptFile))
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

func (c *container) noteKept(at time.Time) error {
	c.runtime.mu.Lock()
	defer c.runtime.mu.Unlock()
	if c.record.Kept.IsZero() && at.IsZero() {
		return nil
	}
	c.record.Kept = at
	path := filepath.Join(c.dir, keptFile)
	if at.IsZero() {
		return os.Remove(path)
	}
	return errors.Join(os.WriteFile(path, nil, 0o600), os.Chtimes(path, at, at))
}
