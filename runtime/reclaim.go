package runtime

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"

	"paas/platform"
)

// reclaimStep is how many bytes v2 is asked to take back at a time. In between a container that was resumed is
// left alone: a large one may take seconds to write to swap.
const reclaimStep = 8 << 20

// Reclaim implements platform.Living. v2 reclaims what a group holds (memory.reclaim, Linux 5.19); v1 has
// memory.force_empty, which is done in one go. Both answer an error for getting less than all.
func (r *Runtime) Reclaim(ctx context.Context, id platform.InstanceID) (platform.Checkpoint, error) {
	c, err := r.alive(id)
	if err != nil {
		return platform.Checkpoint{}, err
	}
	if !c.paused() {
		return platform.Checkpoint{}, platform.Errorf(platform.Conflict, "%s of %s is not paused", c.record.source(), c.record.App)
	}
	own, err := r.placesOf(c.init.pid)
	if err != nil {
		return platform.Checkpoint{}, fmt.Errorf("reclaim %s: %w", id, err)
	}
	if dir, v1 := own["memory"]; v1 {
		return c.reclaimOld(dir), nil
	}
	return c.reclaim(ctx, own[unified]), nil
}

func (c *container) reclaimOld(dir string) platform.Checkpoint {
	held := filepath.Join(dir, "memory.usage_in_bytes")
	point := platform.Checkpoint{Before: readNumber(held)}
	_ = writeControl(filepath.Join(dir, "memory.force_empty"), "0")
	point.After = readNumber(held)
	return point
}

// reclaim goes on until nothing more can be had.
func (c *container) reclaim(ctx context.Context, dir string) platform.Checkpoint {
	held := filepath.Join(dir, "memory.current")
	point := platform.Checkpoint{Before: readNumber(held)}
	for point.After = point.Before; point.After > 0 && ctx.Err() == nil && c.paused(); {
		step := min(point.After, reclaimStep)
		err := writeControl(filepath.Join(dir, "memory.reclaim"), strconv.FormatInt(step, 10))
		now := readNumber(held)
		if err != nil || now >= point.After {
			point.After = now
			break
		}
		point.After = now
	}
	return point
}

// Checkpoint implements platform.Living.
func (r *Runtime) Checkpoint(ctx context.Context, id platform.InstanceID) (platform.Checkpoint, error) {
	if err := r.Pause(ctx, id); err != nil {
		return platform.Checkpoint{}, err
	}
	return r.Reclaim(ctx, id)
}
