package platform

import (
	"cmp"
	"context"
	"fmt"
	"strings"
)

// held is what people arranged for the app, and what would surprise who does not know of it: a lock, a canary, jobs that
// are held back. Jobs that failed are troubles that are over: the next run may go well.
func (p *Platform) held(ctx context.Context, look look) (list []Trouble, notes []string, err error) {
	name := look.app.Name
	lock, err := p.Store.Lock(ctx, name)
	if err != nil {
		return nil, nil, fmt.Errorf("look at the lock of %s: %w", name, err)
	}
	if lock.Locked() {
		notes = append(notes, fmt.Sprintf("%s; let it be deployed again: ssh paas apps:unlock %s", lock.view(name).sentence(), name))
	}
	notes = append(notes, look.canaryNote()...)
	list, jobs, err := p.heldJobs(ctx, look.app)
	return list, append(notes, jobs...), err
}

func (k *look) canaryNote() []string {
	name, share := k.app.Name, k.want.share
	switch {
	case k.want.canary.Number != 0:
		return []string{fmt.Sprintf("v%d is a canary and gets %s of the clients; let it have all: ssh paas releases:promote %s; end it: ssh paas releases:abort %s",
			share.Release, showPercent(share.Percent), name, name)}
	case share.Release == 0 && share.Percent > 0:
		return []string{fmt.Sprintf("the next push is a canary for %s of the clients", showPercent(share.Percent))}
	}
	return nil
}

// mostJobs bounds how many jobs that failed are told.
const mostJobs = 3

// heldJobs are the cron jobs that do not run, or whose last run failed.
func (p *Platform) heldJobs(ctx context.Context, app App) (list []Trouble, notes []string, err error) {
	c, err := p.readCron(ctx, app)
	if err != nil {
		return nil, nil, fmt.Errorf("look at the jobs of %s: %w", app.Name, err)
	}
	var suspended []string
	for _, job := range c.jobs {
		v, err := p.viewJob(ctx, app, c, job)
		if err != nil {
			return nil, nil, fmt.Errorf("look at the jobs of %s: %w", app.Name, err)
		}
		if strings.HasPrefix(v.Status, "suspended") {
			suspended = append(suspended, v.ID)
		}
		if t := v.trouble(app.Name); t.Text != "" && len(list) < mostJobs {
			list = append(list, t)
		}
	}
	if len(suspended) > 0 {
		notes = append(notes, fmt.Sprintf("suspended cron jobs: %s; let them run: ssh paas cron:resume %s", strings.Join(suspended, ", "), app.Name))
	}
	return list, notes, nil
}

// trouble is what is wrong with a job; without a Text, nothing is.
func (v CronView) trouble(app AppName) Trouble {
	t := Trouble{Code: TroubleCron, Over: true}
	what := fmt.Sprintf("cron job %s (`%s`)", v.ID, shortCommand(v.Command))
	switch {
	case v.Status == "invalid":
		t.Text, t.Fix = fmt.Sprintf("%s never runs: %q is no schedule", what, v.Schedule), "mend it in app.json: five fields, like \"*/10 * * * *\", or @daily"
	case v.Last != nil && v.Last.ExitCode != nil && *v.Last.ExitCode != 0:
		t.At, t.Text = v.Last.StartedAt, fmt.Sprintf("%s exited with status %d", what, *v.Last.ExitCode)
		t.Fix = fmt.Sprintf("see what it said: ssh paas logs %s -p %s", app, v.Last.ID)
	case v.Last != nil && v.Last.Status.bad():
		t.At, t.Text = v.Last.StartedAt, fmt.Sprintf("%s: %s", what, cmp.Or(v.Last.Detail, v.Last.said()))
		t.Fix = fmt.Sprintf("see its runs: ssh paas cron:history %s", app)
	}
	return t
}

// bad tells whether a command did not come to its own end, and nobody wanted that.
func (s OneOffStatus) bad() bool {
	return s == OneOffFailed || s == OneOffTimedOut || s == OneOffLost || s == OneOffMissed
}
