package platform

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// dues are the times between a mark and now at which a job was due.
type dues struct {
	count       int
	first, last time.Time
	next        time.Time
}

func (j cronJob) dues(mark, now time.Time, zone *time.Location) (d dues) {
	for d.next = j.schedule.Next(mark, zone); !d.next.IsZero() && !d.next.After(now); d.next = j.schedule.Next(d.next, zone) {
		if d.count++; d.count == 1 {
			d.first = d.next
		}
		d.last = d.next
		if d.count == mostCounted { // of the rest the last days suffice
			if recent := now.Add(-48 * time.Hour); recent.After(d.next) {
				d.next = recent
			}
		}
	}
	return d
}

// runDue runs a job for the last time that it was due, and says what of that is late.
func (p *Platform) runDue(ctx context.Context, app App, c *cronApp, job cronJob, d dues) error {
	o := OneOff{
		App: app.Name, Kind: cronType, Command: job.Command, Release: app.Release, Actor: string(DoorCron), Detached: true,
		Job: job.ID, Due: d.last, Status: OneOffStarting, Started: p.Now(),
	}
	late := o.Started.Sub(d.last)
	if late > c.rules.catchUp && late > cronOnTime {
		o.Status, o.Ended, o.Detail = OneOffMissed, o.Started, "nobody was there when it was due, and it is too late now"
	}
	o, err := p.addDue(ctx, o, c, job)
	if err != nil {
		return err
	}
	p.cron.setMark(cronKey{app.Name, job.ID}, d.last)
	switch {
	case o.ID == 0: // it was run already
		return nil
	case d.count > 1 || late > cronOnTime:
		p.sayLate(app, job, d, o.Status)
	}
	if o.Status == OneOffSkipped {
		p.sayCron(EventCronSkip, app, job, o.Name(), "%s was due and was not run: %s", job.ID, o.Detail)
	}
	if o.Status == OneOffStarting {
		p.spawn(func(ctx context.Context) { p.startDue(ctx, o, job.Concurrency) })
	}
	return nil
}

func (p *Platform) sayLate(app App, job cronJob, d dues, status OneOffStatus) {
	follows := "it runs once now"
	if status != OneOffStarting {
		follows = "it is not run for that"
	}
	text := fmt.Sprintf("was due at %s", stamp(d.last))
	if d.count > 1 {
		text = fmt.Sprintf("was due %d times from %s to %s", d.count, stamp(d.first), stamp(d.last))
	}
	p.sayCron(EventCronMissed, app, job, "", "%s (%s) %s, and nobody was there; %s", job.ID, oneLine(job.Command), text, follows)
}

func (p *Platform) sayCron(kind EventKind, app App, job cronJob, process, format string, args ...any) {
	p.say(Event{Kind: kind, App: app.Name, Process: process, Release: app.Release, Actor: string(DoorCron), Audit: Audit{Door: DoorCron}, Text: fmt.Sprintf(format, args...)})
}

// addDue writes down the run for a time, or that there is none. Its ID is 0 if there was one already.
func (p *Platform) addDue(ctx context.Context, o OneOff, c *cronApp, job cronJob) (OneOff, error) {
	skip := func(why string) {
		o.Status, o.Ended, o.Detail = OneOffSkipped, o.Started, why
	}
	if job.Concurrency == CronForbid && o.Status == OneOffStarting {
		open, err := p.Store.OneOffs(ctx, OneOffQuery{App: o.App, Job: o.Job, Open: true, Last: 1})
		if err != nil {
			return o, err
		}
		if len(open) > 0 {
			skip(open[0].Name() + " still runs")
		}
	}
	rules, err := p.runRules(ctx, o.App)
	if err != nil {
		return o, err
	}
	limit := rules.limit
	if job.Concurrency == CronReplace { // what it replaces makes room
		limit++
	}
	added, err := p.Store.AddOneOff(ctx, o, limit)
	if KindOf(err) == Conflict {
		skip(sentence(err))
		added, err = p.Store.AddOneOff(ctx, o, limit)
	}
	if errors.Is(err, ErrRunAlready) {
		return OneOff{}, p.storeMark(ctx, cronKey{o.App, o.Job}, o.Due)
	}
	return added, err
}

// startDue starts a run that is written down, after those that it replaces have ended.
func (p *Platform) startDue(ctx context.Context, o OneOff, policy CronConcurrency) {
	if policy == CronReplace {
		open, err := p.Store.OneOffs(ctx, OneOffQuery{App: o.App, Job: o.Job, Open: true})
		if err != nil {
			p.Log.Error("replace a cron job", "app", o.App, "id", o.Name(), "err", err)
		}
		for _, older := range open {
			if older.ID < o.ID {
				p.sayOneOff(EventRunStopped, older, "%s makes way for %s", older.Name(), o.Name())
				p.endOneOff(ctx, older, OneOffStopped)
			}
		}
	}
	p.startAgain(ctx, o)
}

// startAgain starts a cron job's run that is written down and has no container.
func (p *Platform) startAgain(ctx context.Context, o OneOff) {
	if err := p.startCron(ctx, o); err != nil && ctx.Err() == nil {
		p.Log.Warn("start a cron job", "app", o.App, "id", o.Name(), "err", err)
	}
}

func (p *Platform) startCron(ctx context.Context, o OneOff) error {
	w, spec, err := p.cronSpec(ctx, o)
	if err != nil {
		return p.notStarted(ctx, o, err)
	}
	p.sayOneOff(EventRan, o, "%s of v%d was started by cron: %s", o.Name(), w.release.Number, oneLine(o.Command))
	return p.detach(ctx, o, w, spec)
}

// cronSpec is the container of a job's run: of the current release, also if that is a newer one by now.
func (p *Platform) cronSpec(ctx context.Context, o OneOff) (want, InstanceSpec, error) {
	w, released, err := p.wanted(ctx, o.App)
	if err == nil && !released {
		err = Errorf(Conflict, "%s has no release to run in", o.App)
	}
	if err != nil {
		return w, InstanceSpec{}, err
	}
	spec, err := w.oneOffSpec(cronType, o.Command)
	spec.Number = int(o.ID)
	if err == nil {
		spec.Env["PAAS_CRON_JOB"] = o.Job
	}
	if err == nil && !o.Due.IsZero() {
		spec.Env["PAAS_CRON_DUE"] = stamp(o.Due.UTC())
	}
	return w, spec, err
}
