package platform

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// CronTopic is the topic of settings about cron jobs.
const CronTopic Topic = "cron"

// cronRules say how an app's jobs are run.
type cronRules struct {
	zone      *time.Location
	catchUp   time.Duration   // what was due longer ago is missed
	suspended map[string]bool // jobs by id; "": all
	resumed   map[string]bool // jobs that app.json suspends and somebody resumed
}

const (
	usualCatchUp = 24 * time.Hour
	mostCatchUp  = 366 * 24 * time.Hour

	zoneKey    = "timezone"
	catchUpKey = "catch-up"
	suspendKey = "suspend" // of all; "suspend/<id>" of one
	resumeKey  = "resume"  // "resume/<id>"
)

func (r *cronRules) take(key, value string) (err error) {
	what, id, _ := strings.Cut(key, "/")
	switch what {
	case zoneKey:
		if r.zone, err = parseZone(value); err != nil {
			return err
		}
	case catchUpKey:
		if r.catchUp, err = parseCatchUp(value); err != nil {
			return err
		}
	case suspendKey:
		r.suspended[id] = true
	case resumeKey:
		r.resumed[id] = true
	default:
		return Errorf(Usage, "cron:set has no property %q", key).WithHint("it has timezone and catch-up")
	}
	return nil
}

// parseZone knows the names of the tz database. The server's own zone, which it calls Local, is none.
func parseZone(value string) (*time.Location, error) {
	zone, err := time.LoadLocation(value)
	if err != nil || value == "Local" || value == "" {
		return nil, Errorf(Usage, "%q is not a time zone: write it like Europe/Berlin, or UTC", value)
	}
	return zone, nil
}

func parseCatchUp(value string) (time.Duration, error) {
	if value == "off" || value == "0" {
		return 0, nil
	}
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 || d > mostCatchUp {
		return 0, Errorf(Usage, "%q is no time up to a year: write it like 2h, or off", value)
	}
	return d, nil
}

func (p *Platform) cronRules(ctx context.Context, name AppName) (cronRules, error) {
	r := cronRules{zone: time.UTC, catchUp: usualCatchUp, suspended: map[string]bool{}, resumed: map[string]bool{}}
	list, err := p.Store.Settings(ctx, name)
	if err != nil {
		return r, err
	}
	for key, value := range resolve(list, CronTopic, "") {
		if err := r.take(key, value); err != nil {
			return r, fmt.Errorf("read cron settings of %s: %w", name, err)
		}
	}
	return r, nil
}

// CronSetInput is cron:set.
type CronSetInput struct {
	App   string `arg:"app"`
	Key   string `arg:"property" help:"timezone: of its schedules; catch-up: how late a job is still run after downtime"`
	Value string `arg:"value" optional:"true" help:"like Europe/Berlin, or 2h; none brings the default back"`
}

// SetCron changes the time zone of an app's schedules, or how late a job may be. Jobs begin anew with another zone:
// what was due in the old one is not made up for.
func (p *Platform) SetCron(ctx context.Context, call Call, in CronSetInput) (CronReport, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return CronReport{}, err
	}
	if in.Key != zoneKey && in.Key != catchUpKey {
		return CronReport{}, Errorf(Usage, "cron:set has no property %q", in.Key).WithHint("it has timezone and catch-up")
	}
	if in.Value != "" {
		if err := (&cronRules{}).take(in.Key, in.Value); err != nil {
			return CronReport{}, err
		}
	}
	if in.Key == zoneKey {
		if err := p.beginAnew(ctx, app, ""); err != nil {
			return CronReport{}, err
		}
	}
	if err := p.changeCron(ctx, call, app, []Setting{{Topic: CronTopic, Key: in.Key, Value: in.Value}}); err != nil {
		return CronReport{}, err
	}
	return p.ReportCron(ctx, call, AppInput{App: in.App})
}

func (p *Platform) changeCron(ctx context.Context, call Call, app App, changes []Setting) error {
	if err := p.Store.ChangeSettings(ctx, app.Name, call.Actor.Name, changes); err != nil {
		return err
	}
	p.saySettings(EventCronSet, app, call, changes)
	p.cron.kick(app.Name)
	return nil
}

// beginAnew moves the marks of jobs (of one, or with "" of all) to now.
func (p *Platform) beginAnew(ctx context.Context, app App, id string) error {
	c, err := p.readCron(ctx, app)
	if err != nil {
		return err
	}
	for _, job := range c.jobs {
		if id == "" || job.ID == id {
			if err := p.storeMark(ctx, cronKey{app.Name, job.ID}, p.Now()); err != nil {
				return err
			}
		}
	}
	return nil
}

// CronJobInput is cron:suspend and cron:resume.
type CronJobInput struct {
	App string `arg:"app"`
	ID  string `arg:"job" optional:"true" help:"its id, or the beginning of it; without one all of the app's"`
}

// SuspendCron holds jobs back. Those that run go on.
func (p *Platform) SuspendCron(ctx context.Context, call Call, in CronJobInput) (Done, error) {
	app, id, err := p.someJob(ctx, in)
	if err != nil {
		return Done{}, err
	}
	changes := []Setting{{Topic: CronTopic, Key: keyOf(suspendKey, id), Value: "true"}}
	if id != "" {
		changes = append(changes, Setting{Topic: CronTopic, Key: keyOf(resumeKey, id)})
	}
	return donef("Suspended %s.", jobsName(app, id)), p.changeCron(ctx, call, app, changes)
}

// ResumeCron undoes SuspendCron, and what app.json suspends. What was due meanwhile is not made up for.
func (p *Platform) ResumeCron(ctx context.Context, call Call, in CronJobInput) (Done, error) {
	app, id, err := p.someJob(ctx, in)
	if err != nil {
		return Done{}, err
	}
	if err := p.beginAnew(ctx, app, id); err != nil {
		return Done{}, err
	}
	changes := []Setting{{Topic: CronTopic, Key: keyOf(suspendKey, id)}}
	if id != "" {
		changes = append(changes, Setting{Topic: CronTopic, Key: keyOf(resumeKey, id), Value: "true"})
	}
	done := donef("Resumed %s.", jobsName(app, id))
	if rules, err := p.cronRules(ctx, app.Name); err == nil && id != "" && rules.suspended[""] {
		done = donef("Resumed %s, but all jobs of %s are suspended: ssh paas cron:resume %s", id, app.Name, app.Name)
	}
	return done, p.changeCron(ctx, call, app, changes)
}

func keyOf(key, id string) string {
	if id == "" {
		return key
	}
	return key + "/" + id
}

func jobsName(app App, id string) string {
	if id == "" {
		return fmt.Sprintf("all jobs of %s", app.Name)
	}
	return fmt.Sprintf("%s of %s", id, app.Name)
}

// someJob finds the app, and the job if one was named.
func (p *Platform) someJob(ctx context.Context, in CronJobInput) (App, string, error) {
	app, err := p.find(ctx, in.App)
	if err != nil || in.ID == "" {
		return app, "", err
	}
	job, err := p.jobOf(ctx, app, in.ID)
	return app, job.ID, err
}

// jobOf finds a job of the current release by its id or the beginning of it.
func (p *Platform) jobOf(ctx context.Context, app App, word string) (CronJob, error) {
	c, err := p.readCron(ctx, app)
	if err != nil {
		return CronJob{}, err
	}
	var found []CronJob
	for _, job := range c.jobs {
		if job.ID == word {
			return job.CronJob, nil
		}
		if strings.HasPrefix(job.ID, word) {
			found = append(found, job.CronJob)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	what := "no cron job"
	if len(found) > 1 {
		what = "more than one cron job"
	}
	return CronJob{}, Errorf(NotFound, "%s has %s %q", app.Name, what, word).WithHint("see them: ssh paas cron:list %s", app.Name)
}
