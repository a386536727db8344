package runtime

import (
	"cmp"
	"context"
	"slices"
	"time"

	"paas/platform"
)

// A detached one-off is an instance in the group of jobs: it outlives the daemon as instances do, writes a log as they
// do, and ends as they do, but no formation knows it.

// Detach implements platform.Detaching.
func (r *Runtime) Detach(ctx context.Context, spec platform.InstanceSpec) (platform.Instance, error) {
	return r.startIn(ctx, spec, jobsGroup)
}

// Detached implements platform.Detaching.
func (r *Runtime) Detached(context.Context) ([]platform.Instance, error) {
	return r.instancesIn(jobsGroup), nil
}

// DetachedExits implements platform.Detaching.
func (r *Runtime) DetachedExits() <-chan platform.Instance { return r.jobExits }

// Terminate implements platform.Detaching.
func (r *Runtime) Terminate(ctx context.Context, id platform.InstanceID, grace time.Duration) error {
	c, err := r.running(id)
	if platform.KindOf(err) == platform.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	return c.end(ctx, grace)
}

// instancesIn lists what is in a group and outlives the daemon, oldest first.
func (r *Runtime) instancesIn(group string) (out []platform.Instance) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.containers {
		if !c.record.Passing && c.record.Phase != making && c.record.Group == group {
			out = append(out, c.record.instance())
		}
	}
	slices.SortFunc(out, func(a, b platform.Instance) int {
		return cmp.Or(a.StartedAt.Compare(b.StartedAt), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// detached tells whether the container is a one-off that outlives its caller.
func (r *record) detached() bool { return !r.Passing && r.Group == jobsGroup }
