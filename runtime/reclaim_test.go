package runtime

import (
	"context"
	"testing"
	"time"

	"paas/platform"
)

func TestReclaimIsForPausedOnes(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	i := b.start(ticking)
	_, err := b.Reclaim(ctx, i.ID)
	equal(t, "of one that runs", platform.KindOf(err), platform.Conflict)
	check(t, b.Pause(ctx, i.ID))
	_, err = b.Reclaim(ctx, i.ID)
	check(t, err)
	equal(t, "it stands still", b.standsStill(), true)
	check(t, b.Resume(ctx, i.ID))
	equal(t, "afterwards", b.standsStill(), false)
}

// A freeze that is called off leaves everything running.
func TestPauseIsCalledOff(t *testing.T) {
	b := newBench(t)
	i := b.start(ticking)
	b.awaitLine("tick 3")
	for n := range 50 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(n)*10*time.Microsecond)
		err := b.Pause(ctx, i.ID)
		cancel()
		all, listErr := b.Instances(context.Background())
		check(t, listErr)
		equal(t, "paused", all[0].Paused, err == nil)
		if err == nil {
			check(t, b.Resume(context.Background(), i.ID))
		}
	}
	equal(t, "still", b.standsStill(), false)
}
