package platform

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"
)

// CronView is one job.
type CronView struct {
	ID          string      `json:"id"`
	Schedule    string      `json:"schedule"`
	Command     string      `json:"command"`
	Concurrency string      `json:"concurrency_policy"`
	Status      string      `json:"status"`            // "active", or why it is not
	NextAt      *time.Time  `json:"next_at,omitempty"` // in the app's time zone
	Last        *OneOffView `json:"last,omitempty"`    // its last run, or that it was not run
}

// CronList is cron:list.
type CronList []CronView

// Text implements the verbs' output.
func (l CronList) Text(w io.Writer) error {
	var rows [][]string
	for _, v := range l {
		next, last := "-", "-"
		if v.NextAt != nil {
			next = stamp(*v.NextAt)
		}
		if v.Last != nil {
			last = v.Last.said() + " " + stamp(v.Last.StartedAt)
		}
		rows = append(rows, []string{v.ID, v.Schedule, v.Concurrency, v.Status, next, last, oneLine(v.Command)})
	}
	return table(w, []string{"ID", "SCHEDULE", "IF IT RUNS", "STATUS", "NEXT", "LAST", "COMMAND"}, rows)
}

// ListCron lists the jobs of an app's current release.
func (p *Platform) ListCron(ctx context.Context, _ Call, in AppInput) (CronList, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return nil, err
	}
	c, err := p.readCron(ctx, app)
	if err != nil {
		return nil, err
	}
	list := CronList{}
	for _, job := range c.jobs {
		v, err := p.viewJob(ctx, app, c, job)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

func (p *Platform) viewJob(ctx context.Context, app App, c *cronApp, job cronJob) (CronView, error) {
	v := CronView{ID: job.ID, Schedule: job.Schedule, Command: job.Command, Concurrency: string(job.Concurrency), Status: c.holds(app, job)}
	if v.Concurrency == "" {
		v.Concurrency = "allow"
	}
	if v.Status == "" {
		v.Status = "active"
		if next := job.schedule.Next(p.Now(), c.rules.zone); !next.IsZero() {
			v.NextAt = &next
		}
	}
	last, err := p.Store.OneOffs(ctx, OneOffQuery{App: app.Name, Kind: cronType, Job: job.ID, Last: 1})
	if len(last) > 0 {
		view := last[0].view()
		v.Last = &view
	}
	return v, err
}

// CronRunInput is cron:run.
type CronRunInput struct {
	App     string `arg:"app"`
	ID      string `arg:"job" help:"its id, or the beginning of it"`
	Detach  bool   `flag:"detach" short:"d" help:"leave it running and print its id"`
	Timeout string `flag:"timeout" value:"TIME" help:"end it after so long, like 10m"`
	TTL     int    `flag:"ttl-seconds" value:"N" help:"the same in seconds"`
	JSON    bool   `flag:"json" help:"with --detach: as JSON"`
}

// RunCron runs a job now, whatever its schedule says and also when it is suspended: with the caller's streams, or
// detached. It counts as a run of the job in its history.
func (p *Platform) RunCron(ctx context.Context, call Call, in CronRunInput) (Streamed, error) {
	o, w, job, err := p.cronNow(ctx, call, in)
	if err != nil {
		return Streamed{}, err
	}
	if in.Detach {
		if err := p.detach(ctx, o, w, job.InstanceSpec); err != nil {
			return Streamed{}, err
		}
		o.Status = OneOffRunning
		if in.JSON {
			return Streamed{}, printJSONLine(call.Out, o.view())
		}
		return Streamed{}, o.view().Text(call.Out)
	}
	drop, err := p.hold(w.release)
	if err != nil {
		return Streamed{}, err
	}
	defer drop()
	call.In = nil // a job has no input
	exit, err := p.attached(ctx, call, o, job)
	if err != nil {
		return Streamed{}, fmt.Errorf("run %s of %s: %w", o.Job, o.App, err)
	}
	return Streamed{Exit: exit.Code}, nil
}

func (p *Platform) cronNow(ctx context.Context, call Call, in CronRunInput) (o OneOff, w want, spec JobSpec, err error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return o, w, spec, err
	}
	job, err := p.jobOf(ctx, app, in.ID)
	if err != nil {
		return o, w, spec, err
	}
	timeout, err := RunInput{Timeout: in.Timeout, TTL: in.TTL}.timeout()
	if err != nil {
		return o, w, spec, err
	}
	o = OneOff{
		App: app.Name, Kind: cronType, Command: job.Command, Release: app.Release, Actor: call.Actor.Name, Detached: in.Detach,
		Job: job.ID, Status: OneOffStarting, Started: p.Now(),
	}
	if timeout > 0 {
		o.Deadline = o.Started.Add(timeout)
	}
	if o, err = p.writeDown(ctx, o); err != nil {
		return o, w, spec, err
	}
	w, spec.InstanceSpec, err = p.cronSpec(ctx, o)
	if err != nil {
		_ = p.failOneOff(ctx, o, err) // the error tells more
	}
	return o, w, spec, err
}

// CronHistoryInput is cron:history.
type CronHistoryInput struct {
	App   string `arg:"app"`
	ID    string `arg:"job" optional:"true" help:"its id, or the beginning of it; without one all of the app's"`
	Lines int    `flag:"lines" short:"n" default:"20" help:"how many, from the newest"`
}

// CronHistory is cron:history.
type CronHistory []OneOffView

// Text implements the verbs' output.
func (l CronHistory) Text(w io.Writer) error {
	var rows [][]string
	for _, v := range l {
		due, ended := "-", "-"
		if v.DueAt != nil {
			due = stamp(*v.DueAt)
		}
		if v.EndedAt != nil {
			ended = stamp(*v.EndedAt)
		}
		rows = append(rows, []string{v.ID, v.Job, v.said(), due, stamp(v.StartedAt), ended, v.Actor, v.Detail})
	}
	return table(w, []string{"ID", "JOB", "STATUS", "DUE", "START", "END", "BY", ""}, rows)
}

// HistoryOfCron lists what became of the times that jobs were due, newest first: a hundred of each job are kept, for a
// month.
func (p *Platform) HistoryOfCron(ctx context.Context, _ Call, in CronHistoryInput) (CronHistory, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return nil, err
	}
	if in.Lines < 1 {
		return nil, Errorf(Usage, "-n takes a number of runs, not %d", in.Lines)
	}
	q := OneOffQuery{App: app.Name, Kind: cronType, Last: in.Lines}
	if in.ID != "" {
		job, err := p.jobOf(ctx, app, in.ID)
		if err != nil {
			return nil, err
		}
		q.Job = job.ID
	}
	list, err := p.Store.OneOffs(ctx, q)
	return CronHistory(viewsOf(list)), err
}

// CronReport is cron:report.
type CronReport struct {
	App       AppName `json:"app"`
	Timezone  string  `json:"timezone"`
	CatchUp   string  `json:"catch_up"`
	Suspended bool    `json:"suspended"`
	Jobs      int     `json:"jobs"`
	Now       string  `json:"now"` // in that zone
}

// Text implements the verbs' output.
func (r CronReport) Text(w io.Writer) error {
	suspended := "no"
	if r.Suspended {
		suspended = "yes"
	}
	return table(w, nil, [][]string{
		{"timezone", r.Timezone}, {"now", r.Now}, {"catch-up", r.CatchUp}, {"suspended", suspended}, {"jobs", strconv.Itoa(r.Jobs)},
	})
}

// ReportCron shows how an app's jobs are run.
func (p *Platform) ReportCron(ctx context.Context, _ Call, in AppInput) (CronReport, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return CronReport{}, err
	}
	c, err := p.readCron(ctx, app)
	if err != nil {
		return CronReport{}, err
	}
	r := CronReport{
		App: app.Name, Timezone: c.rules.zone.String(), CatchUp: "off", Suspended: c.rules.suspended[""], Jobs: len(c.jobs),
		Now: stamp(p.Now().In(c.rules.zone).Truncate(time.Second)),
	}
	if c.rules.catchUp > 0 {
		r.CatchUp = roughly(c.rules.catchUp)
	}
	return r, nil
}
