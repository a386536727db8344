package runtime

import (
	"context"
	"testing"
	"time"

	"paas/platform"
)

// An instance that is set aside stands still and is known to nobody; it survives the daemon, and goes on as one of
// another release.
func TestKeep(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	i := b.start(`echo page > index.html; exec httpd -f -p $PORT`)
	url := "http://" + i.Addr.String() + "/index.html"
	eventually(t, "it serves", func() bool { return answers(url, time.Second) })
	check(t, b.Keep(ctx, i.ID))
	kept := b.only()
	if kept.Kept.IsZero() || !kept.Paused || answers(url, 200*time.Millisecond) {
		t.Fatalf("it is not set aside: %+v", kept)
	}
	equal(t, "owner's app", b.containers[i.ID].record.owner().App, "")
	b.reopen()
	again := b.only()
	if !again.Paused || again.Kept.Sub(kept.Kept).Abs() > time.Second || answers(url, 200*time.Millisecond) {
		t.Fatalf("after a restart: %+v", again)
	}
	begun := time.Now()
	check(t, b.Recall(ctx, i.ID, 7))
	t.Logf("recalled in %s", time.Since(begun))
	back := b.only()
	if back.Paused || !back.Kept.IsZero() || back.Release != 7 || !answers(url, 5*time.Second) {
		t.Fatalf("after it was called back: %+v", back)
	}
	equal(t, "owner's app", b.containers[i.ID].record.owner().App, i.App)
	b.reopen()
	equal(t, "release", b.only().Release, 7)
	check(t, b.Recall(ctx, i.ID, 8)) // one that was not set aside yet
	check(t, b.Keep(ctx, i.ID))
	check(t, b.Stop(ctx, i.ID, time.Second))
	equal(t, "kind", platform.KindOf(b.Recall(ctx, i.ID, 9)), platform.NotFound)
}

// only is the one instance that there is.
func (b *bench) only() platform.Instance {
	b.t.Helper()
	all, err := b.Instances(context.Background())
	check(b.t, err)
	if len(all) != 1 {
		b.t.Fatalf("%d instances", len(all))
	}
	return all[0]
}
