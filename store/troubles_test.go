package store_test

import (
	"context"
	"reflect"
	"testing"
	"time"

	"paas/platform"
	"paas/store"
)

func TestTroubles(t *testing.T) {
	s, ctx := openWithBlog(t)
	now := time.UnixMilli(1_700_000_000_000).UTC()
	web := platform.Trouble{Code: platform.TroubleExit, At: now, Process: "web.1", Text: "it ended", Output: []string{"so sad"}}
	change := platform.Trouble{Code: platform.TroubleBuild, At: now.Add(-time.Hour), Text: "it was not built", Build: 3}
	for place, trouble := range map[string]platform.Trouble{"web.1": web, platform.LastChange: change} {
		if err := s.SetTrouble(ctx, "blog", place, trouble); err != nil {
			t.Fatal(err)
		}
	}
	check := func(want map[string]platform.Trouble) {
		t.Helper()
		if got, err := s.Troubles(ctx, "blog"); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	check(map[string]platform.Trouble{"web.1": web, platform.LastChange: change})
	for _, end := range []struct {
		until time.Time
		whole bool
		want  map[string]platform.Trouble
	}{
		{now.Add(-time.Second), false, map[string]platform.Trouble{"web.1": web, platform.LastChange: change}}, // it came later
		{now, false, map[string]platform.Trouble{platform.LastChange: change}},
		{now, true, map[string]platform.Trouble{}},
	} {
		if err := s.EndTroubles(ctx, "blog", end.until, end.whole); err != nil {
			t.Fatal(err)
		}
		check(end.want)
	}
	if err := s.SetTrouble(ctx, "nobody", "web.1", web); platform.KindOf(err) != platform.NotFound {
		t.Error(err)
	}
}

func openWithBlog(t *testing.T) (*store.Store, context.Context) {
	t.Helper()
	ctx := context.Background()
	s, err := store.Open(ctx, t.TempDir()+"/paas.db")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if _, err := s.CreateAppFor(ctx, "blog", ""); err != nil {
		t.Fatal(err)
	}
	return s, ctx
}
