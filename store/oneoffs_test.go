package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"paas/platform"
)

func TestOneOffs(t *testing.T) {
	s := fresh(t)
	ctx := context.Background()
	o := platform.OneOff{App: "blog", Kind: "run", Command: "work", Release: 1, Actor: "alice", Status: platform.OneOffStarting, Started: time.UnixMilli(1_700_000_000_000).UTC()}
	if _, err := s.AddOneOff(ctx, o, 2); platform.KindOf(err) != platform.NotFound {
		t.Errorf("of an app that there is not: %v", err)
	}
	must(s.CreateAppFor(ctx, "blog", ""))(t)
	a := must(s.AddOneOff(ctx, o, 2))(t)
	b := must(s.AddOneOff(ctx, o, 2))(t)
	if _, err := s.AddOneOff(ctx, o, 2); platform.KindOf(err) != platform.Conflict {
		t.Errorf("beyond the limit: %v", err)
	}
	ok(t, s.SetOneOffRunning(ctx, a.ID))
	a.Status, a.Ended, a.Code, a.Detail = platform.OneOffExited, o.Started.Add(time.Second), 3, "exited with status 3"
	if ended, err := s.EndOneOff(ctx, a); !ended || err != nil {
		t.Errorf("%v %v", ended, err)
	}
	if ended, err := s.EndOneOff(ctx, a); ended || err != nil {
		t.Errorf("twice: %v %v", ended, err)
	}
	list := must(s.OneOffs(ctx, platform.OneOffQuery{App: "blog"}))(t)
	if len(list) != 2 || list[1] != a || list[0].ID != b.ID {
		t.Errorf("%+v", list)
	}
	if n := must(s.PruneOneOffs(ctx, "blog", "cron", o.Started.Add(time.Hour), 0))(t); n != 0 {
		t.Errorf("%d of another kind were forgotten", n)
	}
	if n := must(s.PruneOneOffs(ctx, "blog", "", o.Started.Add(time.Hour), 9))(t); n != 1 {
		t.Errorf("%d were forgotten, not the one that ended", n)
	}
	c := must(s.AddOneOff(ctx, o, 2))(t)
	if c.ID <= b.ID {
		t.Errorf("number %d came back", c.ID)
	}
}

func TestCronMarks(t *testing.T) {
	s := fresh(t)
	ctx := context.Background()
	must(s.CreateAppFor(ctx, "blog", ""))(t)
	due := time.UnixMilli(1_700_000_000_000).UTC()
	o := platform.OneOff{App: "blog", Kind: "cron", Job: "j", Due: due, Status: platform.OneOffSkipped, Started: due, Ended: due}
	must(s.AddOneOff(ctx, o, 1))(t)
	if _, err := s.AddOneOff(ctx, o, 1); !errors.Is(err, platform.ErrRunAlready) {
		t.Errorf("a second run for one time: %v", err)
	}
	marks := must(s.CronMarks(ctx))(t)
	if len(marks) != 1 || marks[0] != (platform.CronMark{App: "blog", Job: "j", At: due}) {
		t.Errorf("%+v", marks)
	}
	ok(t, s.SetCronMark(ctx, platform.CronMark{App: "blog", Job: "j"}))
	if marks := must(s.CronMarks(ctx))(t); len(marks) != 0 {
		t.Errorf("%+v", marks)
	}
}
