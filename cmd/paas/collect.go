package main

import (
	"context"
	"time"

	"paas/platform"
)

// collectEvery is how often layers that nothing needs are removed.
const collectEvery = time.Hour

// collectGarbage removes layers until ctx ends: see platform.Collect for what is kept.
func (d *daemon) collectGarbage(ctx context.Context, p *platform.Platform) {
	tick := time.NewTicker(collectEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		freed, err := p.Collect(ctx)
		if err != nil {
			d.log.Error("collect garbage", "err", err)
		} else if freed > 0 {
			d.log.Info("collected garbage", "MiB", freed>>20)
		}
	}
}
