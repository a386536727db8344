package runtime

import (
	"errors"
	"os"
	"path/filepath"

	"paas/platform"
)

// adopt takes over what a predecessor left, whenever it died:
//
//	record    process   the predecessor died             now
//	none      any       before anything was noted        swept by cgroup, directory removed
//	making    any       before anybody was told          killed and removed
//	passing   any       and its jobs with it             killed and removed
//	running   alive     at any time                      watched, and paused if it was to be
//	running   gone      before it noted the end          settled as if it ended now
//	ended     gone      maybe before it reported         reported unless it was
func (r *Runtime) adopt() error {
	entries, err := os.ReadDir(r.options.Run)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		errs = append(errs, r.adoptOne(platform.InstanceID(e.Name())))
	}
	errs = append(errs, r.removeWrites(), r.sweepFreezers())
	shells := make(map[string]bool)
	for _, c := range r.containers {
		shells[c.record.Shell] = c.record.Phase == running
	}
	errs = append(errs, r.groups.sweep(func(name string) bool { return shells[name] }))
	for _, c := range r.containers {
		r.resume(c)
	}
	return errors.Join(errs...)
}

// removeWrites removes what containers wrote that nobody knows any more: the machine went down, or they
// never came to be.
func (r *Runtime) removeWrites() error {
	paths, err := filepath.Glob(filepath.Join(r.options.Dir, "shells", "*"))
	written, err2 := filepath.Glob(filepath.Join(r.options.Dir, "instances", "*"))
	for _, path := range written {
		if r.containers[platform.InstanceID(filepath.Base(path))] == nil {
			paths = append(paths, path)
		}
	}
	err = errors.Join(err, err2)
	for _, path := range paths {
		err = errors.Join(err, os.RemoveAll(path))
	}
	return err
}

func (r *Runtime) adoptOne(id platform.InstanceID) error {
	dir := r.instanceDir(id)
	rec, err := loadRecord(dir)
	if err != nil { // it died before the record was written, or the machine did
		return os.RemoveAll(dir)
	}
	rec.Paused, rec.Kept = wasPaused(dir), keptSince(dir)
	c := &container{runtime: r, dir: dir, writes: r.writesDir(id), gone: make(chan struct{}), record: rec}
	if rec.Phase == ended {
		close(c.gone)
		r.containers[id] = c
		return nil
	}
	c.group = &cgroup{r.groups, filepath.Join(r.groups.path(rec.Group), rec.Shell)}
	if rec.Boot == r.boot && rec.PID > 0 {
		c.init, _ = findProcess(rec.PID, rec.Started)
	}
	if rec.Phase == making || rec.Passing {
		c.group.kill()
		return c.scrap()
	}
	r.containers[id] = c
	if c.init == nil {
		return nil
	}
	if !rec.Kept.IsZero() { // who is set aside stands still
		if err := c.notePaused(true); err != nil {
			return err
		}
	}
	if err := r.options.Network.Adopt(*rec.Endpoint, rec.owner()); err != nil { // it may just be ending
		r.log.Error("adopt the network of a running instance", "instance", id, "error", err)
	}
	return nil
}

// resume goes on with a container where the predecessor left it.
func (r *Runtime) resume(c *container) {
	switch {
	case c.record.Phase == ended && !c.record.Reported:
		r.work.Go(func() { r.report(c) })
	case c.record.Phase == ended:
	case c.init == nil:
		r.work.Go(c.settle)
	default:
		c.freezeAgain()
		if err := r.oom.add(c); err != nil {
			r.log.Warn("a container runs unwatched", "instance", c.record.ID, "error", err)
		}
		c.tellOOM() // what was missed
		r.work.Go(c.watch)
	}
}
