package runtime

import (
	"errors"
	"fmt"
	"os"

	"paas/platform"
	"paas/runtime/quota"
)

// limitDisk bounds what the container writes, by a project quota on the directory that takes it. Where
// the file system keeps none the container starts nevertheless: Quota tells why.
func (c *container) limitDisk(limits platform.Limits) error {
	if limits.Disk == 0 {
		return nil
	}
	if err := errors.Join(os.RemoveAll(c.writes), os.Mkdir(c.writes, 0o700)); err != nil { // what is there belongs to no project
		return err
	}
	project, err := quota.Of(c.writes)
	if err != nil {
		return err
	}
	err = quota.Set(c.writes, project, quota.Limits{Bytes: limits.Disk})
	if err != nil && !errors.Is(err, quota.ErrUnsupported) {
		return err
	}
	return makeWrites(c.writes)
}

// dropWrites removes what the container wrote, and its quota.
func (c *container) dropWrites() error {
	project, limited := quota.In(c.writes)
	if !limited {
		return c.runtime.recycle(c.writes)
	}
	if err := os.RemoveAll(c.writes); err != nil {
		return err
	}
	return quota.Clear(c.runtime.options.Dir, project)
}

// Quota tells whether the disk limits of containers are kept on this host, and if not why, as the end of
// a sentence.
func (r *Runtime) Quota() (supported bool, why string) { return quota.Probe(r.options.Dir) }

// DiskUsage tells what a running instance has written, and its limit. It fails with kind NotFound for one
// that does not run, and wraps quota.ErrUnsupported for one without a limit.
func (r *Runtime) DiskUsage(id platform.InstanceID) (quota.Usage, error) {
	c, err := r.running(id)
	if err != nil {
		return quota.Usage{}, err
	}
	project, limited := quota.In(c.writes)
	if !limited {
		return quota.Usage{}, fmt.Errorf("disk usage of %s: it has no limit: %w", id, quota.ErrUnsupported)
	}
	return quota.Used(r.options.Dir, project)
}
