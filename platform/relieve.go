package platform

import (
	"context"
	"fmt"
	"time"
)

// writesWorth is how much an instance must have written to be started afresh for it.
const writesWorth = 16 << 20

// endGrace is what an instance that fills the disk has between the stop signal and SIGKILL.
const endGrace = time.Second

// RelieveDisk is for a disk that is full: what can go goes, and if that frees nothing the instance that has
// written most is ended, as the kernel ends processes when memory is full. What it wrote goes with it, and
// its successor starts at once.
func (p *Platform) RelieveDisk(ctx context.Context) error {
	gone, err := p.shrinkToFit(ctx, 0, false)
	if err == nil && p.Images.Room() == nil {
		return nil
	}
	if freed := sumOf(gone); freed > 0 {
		p.Log.Warn("the disk is full: removed layers and caches", "MiB", freed>>20)
	}
	if err != nil && KindOf(err) != Conflict {
		return fmt.Errorf("make room: %w", err)
	}
	return p.endWriter(ctx)
}

func (p *Platform) endWriter(ctx context.Context) error {
	most, err := p.mostWritten(ctx)
	if err != nil || most.Bytes < writesWorth {
		return err
	}
	list, err := p.Runner.Instances(ctx)
	if err != nil {
		return fmt.Errorf("list instances: %w", err)
	}
	for _, i := range list {
		if string(i.ID) != most.Name || i.Exit != nil {
			continue
		}
		if !i.Kept.IsZero() {
			p.emptyShelf(i.App, "the disk was full")
			return nil
		}
		text := fmt.Sprintf("%s was ended: the disk was full, and it had written %s", i.Name(), Bytes(most.Bytes))
		p.sayOf(EventDiskFull, i, "", "%s", text)
		err := p.Runner.Note(i.App, i.Name(), text+fmt.Sprintf("; bound it: ssh paas resource:limit %s disk=2g", i.App))
		p.endAtOnce(ctx, i)
		return err
	}
	return nil
}

// endAtOnce ends an instance with next to no grace, and only then lets a successor start: there is no room
// before. One that keeps filling the disk is started ever later.
func (p *Platform) endAtOnce(ctx context.Context, i Instance) {
	p.markRetiring(i.App, []Instance{i})
	p.unroute(ctx, i)
	p.countCrash(i)
	brief, cancel := context.WithTimeout(ctx, endGrace)
	defer cancel()
	p.stop(brief, i)
	p.reconcileSoon(i.App)
}

// mostWritten is the writable layer that has most.
func (p *Platform) mostWritten(ctx context.Context) (most DiskUse, err error) {
	apps, err := p.Store.Apps(ctx)
	if err != nil {
		return most, fmt.Errorf("list apps: %w", err)
	}
	uses, err := p.Images.Disk(ctx, apps)
	for _, u := range uses {
		if u.Kind == WritesUse && u.Bytes > most.Bytes {
			most = u
		}
	}
	return most, err
}
