package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// collectEvery is how often layers that nothing needs are removed.
const collectEvery = time.Hour

// collectGarbage removes layers until ctx ends. Kept are those of every release, so that each can be
// rolled back to, and those that the next builds start from; the store itself keeps what is young.
func (d *daemon) collectGarbage(ctx context.Context) {
	tick := time.NewTicker(collectEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		freed, err := d.rooms.collect(ctx)
		if err != nil {
			d.log.Error("collect garbage", "err", err)
		} else if freed > 0 {
			d.log.Info("collected garbage", "MiB", freed>>20)
		}
	}
}

// collect removes what no release and no build needs, and returns the bytes that were freed.
func (r *rooms) collect(ctx context.Context) (freed int64, err error) {
	apps, err := r.store.Apps(ctx)
	if err != nil {
		return 0, fmt.Errorf("list apps: %w", err)
	}
	var ids []int64
	for _, app := range apps {
		ids = append(ids, app.ID)
	}
	if err := r.builder.Retain(ids); err != nil {
		return 0, fmt.Errorf("forget builds of apps that are gone: %w", err)
	}
	keep, err := r.builder.Layers()
	if err != nil {
		return 0, err
	}
	for _, app := range apps {
		releases, err := r.store.Releases(ctx, app.Name)
		if err != nil {
			return 0, fmt.Errorf("list releases of %s: %w", app.Name, err)
		}
		for _, release := range releases {
			for _, layer := range release.Image.Layers {
				keep[layer] = true
			}
		}
	}
	pulled, err := r.store.AllPulled(ctx)
	if err != nil {
		return 0, fmt.Errorf("list pulled images: %w", err)
	}
	for _, v := range pulled {
		for _, layer := range v.Image.Layers {
			keep[layer] = true
		}
	}
	freed, err = r.images.Collect(func(layer string) bool { return keep[layer] })
	n, blobsErr := r.blobs.Collect()
	return freed + n, errors.Join(err, blobsErr, r.exchange.Forget())
}
