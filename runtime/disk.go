package runtime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"paas/platform"
	"paas/runtime/quota"
)

// limitDisk bounds what the container writes, by a project quota on the directory that takes it. Where
// the file system keeps none the container starts nevertheless: Quota tells why.
func (c *container) limitDisk(limits platform.Limits) error {
	if limits.Disk == 0 {
		return nil
	}
	dir := filepath.Join(c.dir, writesDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	project, err := quota.Of(dir)
	if err != nil {
		return err
	}
	err = quota.Set(dir, project, quota.Limits{Bytes: limits.Disk})
	if errors.Is(err, quota.ErrUnsupported) {
		return nil
	}
	return err
}

// dropWrites removes what the container wrote, and its quota.
func (c *container) dropWrites() error {
	dir := filepath.Join(c.dir, writesDir)
	project, limited := quota.In(dir)
	if err := os.RemoveAll(dir); err != nil || !limited {
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
	project, limited := quota.In(filepath.Join(c.dir, writesDir))
	if !limited {
		return quota.Usage{}, fmt.Errorf("disk usage of %s: it has no limit: %w", id, quota.ErrUnsupported)
	}
	return quota.Used(r.options.Dir, project)
}
