package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"paas/platform"
)

func TestEvents(t *testing.T) {
	s, ctx := fresh(t), context.Background()
	begin := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	var events []platform.Event
	for n := range 10 {
		events = append(events, platform.Event{
			At: begin.Add(time.Duration(n) * time.Minute), Kind: platform.EventExited, App: platform.AppName([]string{"blog", "shop"}[n%2]),
			Process: "web.1", Instance: "x", Release: n, Actor: "alice", Text: fmt.Sprint("event ", n),
		})
	}
	ok(t, s.AddEvents(ctx, events[:4]))
	ok(t, s.AddEvents(ctx, events[4:]))
	all := must(s.Events(ctx, platform.EventQuery{}))(t)
	if len(all) != 10 || all[3].Text != "event 3" || !all[3].At.Equal(events[3].At) || all[3].Actor != "alice" || all[9].ID <= all[8].ID {
		t.Fatalf("events: %+v", all)
	}
	for _, c := range []struct {
		q     platform.EventQuery
		first string
		n     int
	}{
		{platform.EventQuery{App: "shop"}, "event 1", 5},
		{platform.EventQuery{Last: 3}, "event 7", 3},
		{platform.EventQuery{App: "blog", Last: 2}, "event 6", 2},
		{platform.EventQuery{After: all[7].ID}, "event 8", 2},
		{platform.EventQuery{Since: events[5].At}, "event 5", 5},
	} {
		got := must(s.Events(ctx, c.q))(t)
		if len(got) != c.n || got[0].Text != c.first {
			t.Errorf("%+v: %+v", c.q, got)
		}
	}
}

// The history is bounded: the oldest make room.
func TestEventsAreBounded(t *testing.T) {
	s, ctx := fresh(t), context.Background()
	batch := make([]platform.Event, 7000)
	for n := range batch {
		batch[n] = platform.Event{At: time.Now(), Kind: platform.EventStarted, App: "blog", Text: "x"}
	}
	for range 3 {
		ok(t, s.AddEvents(ctx, batch))
	}
	all := must(s.Events(ctx, platform.EventQuery{}))(t)
	if len(all) < 20_000 || len(all) > 20_064 || all[len(all)-1].ID != 21_000 {
		t.Errorf("%d events from %d on", len(all), all[0].ID)
	}
}

func TestRestartPolicy(t *testing.T) {
	s, ctx := fresh(t), context.Background()
	wantKind(t, s.SetRestartPolicy(ctx, "blog", "never"), platform.NotFound)
	must(s.CreateAppFor(ctx, "blog", ""))(t)
	if got := must(s.RestartPolicy(ctx, "blog"))(t); got != "" {
		t.Errorf("policy %q", got)
	}
	ok(t, s.SetRestartPolicy(ctx, "blog", "never"))
	ok(t, s.SetRestartPolicy(ctx, "blog", "on-failure:3"))
	if got := must(s.RestartPolicy(ctx, "blog"))(t); got != "on-failure:3" {
		t.Errorf("policy %q", got)
	}
	ok(t, s.DestroyApp(ctx, "blog"))
	must(s.CreateAppFor(ctx, "blog", ""))(t)
	if got := must(s.RestartPolicy(ctx, "blog"))(t); got != "" {
		t.Errorf("policy of a new app %q", got)
	}
}
