package platform_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"paas/platform"
)

// clock is a clock that tests set.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// newScheduled is a world whose clock shows 12:00:30 on the day that Berlin puts its clocks forward the next night.
func newScheduled(t *testing.T) (*world, func(d time.Duration)) {
	t.Helper()
	c := &clock{at: time.Date(2026, 3, 28, 12, 0, 30, 0, time.UTC)}
	w := newWorldAt(t, c.now)
	return w, func(d time.Duration) {
		c.mu.Lock()
		c.at = c.at.Add(d)
		c.mu.Unlock()
		w.LookAtClock()
	}
}

// seen waits until the timekeeper knows the app's jobs.
func (w *world) seen(n int) {
	w.t.Helper()
	w.LookAtClock()
	w.eventually("jobs are seen", func() bool { list, err := w.Store.CronMarks(ctx); return err == nil && len(list) == n })
}

// history waits until there are n entries and gives their statuses, newest first.
func (w *world) history(n int) string {
	w.t.Helper()
	var list platform.CronHistory
	w.eventually("history", func() bool {
		var err error
		list, err = w.HistoryOfCron(ctx, w.call, platform.CronHistoryInput{App: "blog", Lines: 100})
		w.check(err)
		return len(list) >= n
	})
	time.Sleep(50 * time.Millisecond) // nothing more comes
	list, err := w.HistoryOfCron(ctx, w.call, platform.CronHistoryInput{App: "blog", Lines: 100})
	w.check(err)
	var all []string
	for _, v := range list {
		all = append(all, string(v.Status))
	}
	return strings.Join(all, " ")
}

func (w *world) expectHistory(n int, want string) {
	w.t.Helper()
	var got string
	w.eventually("history is "+want, func() bool { got = w.history(n); return got == want })
}

func (w *world) eventCount(kind platform.EventKind) (n int) {
	w.t.Helper()
	list, err := w.Store.Events(ctx, platform.EventQuery{})
	w.check(err)
	for _, e := range list {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

func TestCronRunsWhatIsDueOnce(t *testing.T) {
	w, advance := newScheduled(t)
	w.mustPush("web: serve\ncron-allow: * * * * * | exit 3")
	w.seen(1)
	advance(20 * time.Second)
	if got := w.history(0); got != "" {
		t.Fatal(got)
	}
	advance(11 * time.Second)
	w.expectHistory(1, "exited")
	advance(2 * time.Second)
	w.expectHistory(1, "exited")
	list, err := w.ListCron(ctx, w.call, platform.AppInput{App: "blog"})
	w.check(err)
	if v := list[0]; v.Last == nil || *v.Last.ExitCode != 3 || v.NextAt.Format("15:04") != "12:02" || v.Status != "active" || v.Last.DueAt.Format("15:04") != "12:01" {
		t.Errorf("%+v", v)
	}
	if w.eventCount(platform.EventCronMissed) != 0 {
		t.Error("nothing was missed")
	}
}

func TestCronAfterDowntime(t *testing.T) {
	w, advance := newScheduled(t)
	w.mustPush("web: serve\ncron-allow: */10 * * * * | exit 0\ncron-allow: 5 12 * * * | exit 1")
	w.seen(2)
	w.Close()
	advance(45 * time.Minute)
	w.boot()
	w.expectHistory(2, "exited exited")
	w.eventually("it is said", func() bool { return w.eventCount(platform.EventCronMissed) == 2 })
	events, err := w.Store.Events(ctx, platform.EventQuery{})
	w.check(err)
	said := ""
	for _, e := range events {
		said += e.Text + "\n"
	}
	for _, want := range []string{"was due 4 times from 2026-03-28T12:10:00Z to 2026-03-28T12:40:00Z", "was due at 2026-03-28T12:05:00Z"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not in\n%s", want, said)
		}
	}
	_, err = w.SetCron(ctx, w.call, platform.CronSetInput{App: "blog", Key: "catch-up", Value: "1h"})
	w.check(err)
	w.Close()
	advance(30 * time.Hour) // 18:46 on the day after: 5 12 is too late now, the other is not
	w.boot()
	w.expectHistory(4, "missed exited exited exited")
}

func TestCronPolicies(t *testing.T) {
	w, advance := newScheduled(t)
	w.mustPush("web: serve\ncron-allow: * * * * * | work a\ncron-forbid: * * * * * | work f\ncron-replace: * * * * * | work r")
	w.seen(3)
	advance(31 * time.Second)
	w.expectHistory(3, "running running running")
	advance(time.Minute)
	w.expectHistory(6, "running skipped running stopped running running")
	if got := len(w.jobs()); got != 4 {
		t.Error(w.jobs())
	}
	// A daemon that dies meanwhile neither ends nor doubles what runs.
	before := w.history(6)
	w.Close()
	w.boot()
	w.seen(3)
	if got := w.history(6); got != before || len(w.jobs()) != 4 {
		t.Errorf("%s, not %s; %v", got, before, w.jobs())
	}
}

func TestCronBeginsAgainWhatWasNotBegun(t *testing.T) {
	w, _ := newScheduled(t)
	w.mustPush("web: serve\ncron-allow: 0 0 1 1 * | exit 4")
	w.seen(1)
	w.Close()
	w.boot()
	list, err := w.ListCron(ctx, w.call, platform.AppInput{App: "blog"})
	w.check(err)
	due := platform.OneOff{App: "blog", Kind: "cron", Job: list[0].ID, Command: "exit 4", Due: w.clock(), Detached: true, Status: platform.OneOffStarting, Started: w.clock()}
	_, err = w.Store.AddOneOff(context.Background(), due, 5)
	w.check(err)
	if _, err := w.Store.AddOneOff(context.Background(), due, 5); !errors.Is(err, platform.ErrRunAlready) {
		t.Errorf("twice for one time: %v", err)
	}
	w.Close() // it died before the container was there
	w.boot()
	w.expectHistory(1, "exited")
}

func TestCronIsHeldBack(t *testing.T) {
	w, advance := newScheduled(t)
	w.mustPush("web: serve\ncron-allow: * * * * * | exit 0")
	w.seen(1)
	list, err := w.ListCron(ctx, w.call, platform.AppInput{App: "blog"})
	w.check(err)
	id := list[0].ID
	for _, hold := range []struct{ off, on func() error }{
		{func() error {
			_, err := w.SuspendCron(ctx, w.call, platform.CronJobInput{App: "blog", ID: id[:6]})
			return err
		},
			func() error {
				_, err := w.ResumeCron(ctx, w.call, platform.CronJobInput{App: "blog", ID: id})
				return err
			}},
		{func() error { _, err := w.SuspendCron(ctx, w.call, platform.CronJobInput{App: "blog"}); return err },
			func() error { _, err := w.ResumeCron(ctx, w.call, platform.CronJobInput{App: "blog"}); return err }},
		{func() error { _, err := w.Stop(ctx, w.call, platform.EachInput{App: "blog"}); return err },
			func() error { _, err := w.Platform.Start(ctx, w.call, platform.EachInput{App: "blog"}); return err }},
	} {
		w.check(hold.off())
		advance(5 * time.Minute)
		time.Sleep(50 * time.Millisecond)
		w.check(hold.on())
		advance(time.Second)
	}
	if got := w.history(0); got != "" {
		t.Fatalf("while it was held back: %s", got)
	}
	advance(time.Minute)
	w.expectHistory(1, "exited")
	_, err = w.SuspendCron(ctx, w.call, platform.CronJobInput{App: "blog", ID: "nope"})
	w.kind(err, platform.NotFound)
}

func TestCronTimezoneAndClock(t *testing.T) {
	w, advance := newScheduled(t)
	w.mustPush("web: serve\ncron-allow: 30 2 * * * | exit 0")
	w.seen(1)
	for _, bad := range []platform.CronSetInput{{Key: "timezone", Value: "Nowhere/X"}, {Key: "timezone", Value: "Local"}, {Key: "timezone", Value: "../../etc/passwd"}, {Key: "catch-up", Value: "-1h"}, {Key: "nope", Value: "1"}} {
		bad.App = "blog"
		_, err := w.SetCron(ctx, w.call, bad)
		w.kind(err, platform.Usage)
	}
	r, err := w.SetCron(ctx, w.call, platform.CronSetInput{App: "blog", Key: "timezone", Value: "Europe/Berlin"})
	if w.check(err); r.Timezone != "Europe/Berlin" || r.Now != "2026-03-28T13:00:30+01:00" {
		t.Errorf("%+v", r)
	}
	advance(13 * time.Hour) // 2026-03-29 01:00:30 UTC: 2:30 does not exist, at 3:00 it is due
	w.expectHistory(1, "exited")
	advance(-2 * time.Hour) // within what is borne: nothing is run twice
	advance(2 * time.Hour)
	w.expectHistory(1, "exited")
	advance(-48 * time.Hour) // the clock was wrong
	w.eventually("it goes by the new clock", func() bool {
		m, err := w.Store.CronMarks(ctx)
		return err == nil && !m[0].At.After(w.clock())
	})
	advance(24*time.Hour + 31*time.Minute) // 2026-03-28 02:31 in Berlin
	w.expectHistory(2, "exited exited")
}

func TestCronRunNow(t *testing.T) {
	w, _ := newScheduled(t)
	w.mustPush("web: serve\ncron-allow: 0 0 1 1 * | exit 5")
	list, err := w.ListCron(ctx, w.call, platform.AppInput{App: "blog"})
	w.check(err)
	out, err := w.RunCron(ctx, w.call, platform.CronRunInput{App: "blog", ID: list[0].ID})
	if w.check(err); out.Exit != 5 {
		t.Errorf("%+v", out)
	}
	_, err = w.RunCron(ctx, w.call, platform.CronRunInput{App: "blog", ID: list[0].ID, Detach: true})
	w.check(err)
	w.expectHistory(2, "exited exited")
}

// A sleeping app's jobs run, and do not wake it.
func TestCronOfASleeper(t *testing.T) {
	w, advance := newScheduled(t)
	w.mustPush("web: serve\ncron-allow: * * * * * | exit 0")
	w.seen(1)
	w.sleep(false)
	advance(31 * time.Second)
	w.expectHistory(1, "exited")
	if w.paused() != 1 {
		t.Error("the job woke the app")
	}
}
