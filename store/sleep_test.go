package store_test

import (
	"context"
	"testing"
	"time"

	"paas/platform"
)

func TestSleeps(t *testing.T) {
	s := fresh(t)
	ctx := context.Background()
	n := platform.Sleep{App: "blog", Depth: platform.Frozen, Since: time.UnixMilli(1_700_000_000_000), Given: 84 << 20}
	if err := s.SetSleep(ctx, n); platform.KindOf(err) != platform.NotFound {
		t.Errorf("of an app that there is not: %v", err)
	}
	must(s.CreateAppFor(ctx, "blog", ""))(t)
	for _, n.Depth = range []platform.Depth{platform.Frozen, platform.Stopped} {
		ok(t, s.SetSleep(ctx, n))
		list, err := s.Sleeps(ctx)
		ok(t, err)
		if len(list) != 1 || list[0].Depth != n.Depth || !list[0].Since.Equal(n.Since) || list[0].Given != n.Given {
			t.Errorf("%+v", list)
		}
	}
	ok(t, s.SetSleep(ctx, platform.Sleep{App: "blog"}))
	list, err := s.Sleeps(ctx)
	ok(t, err)
	if len(list) != 0 {
		t.Errorf("awake: %+v", list)
	}
	ok(t, s.SetSleep(ctx, n))
	ok(t, s.DestroyApp(ctx, "blog"))
	if list, err = s.Sleeps(ctx); err != nil || len(list) != 0 {
		t.Errorf("destroyed: %+v, %v", list, err)
	}
}
