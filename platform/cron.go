package platform

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Cron. A job's mark is the last time it was due that was seen to; it is stored together with the record of that time's
// run, before the run is started. So whatever ends the daemon, a time has one run, and what came due while nobody was
// there is what lies between the mark and now.
//
//	mark ── due ── due ── due ── now          one run, for the last due, and a word about the others
//
// Nothing is kept in a timer: the clock is looked at again every few seconds, so that it may be set.

const (
	cronLook      = 5 * time.Second  // between looks at the clock and at what apps declare
	cronOnTime    = 10 * time.Second // later than that is late
	idleMarkEvery = 5 * time.Minute  // between notes that a suspended job is not due
	mostBackward  = 3 * time.Hour    // a clock set back by more was wrong before: jobs go by the new one
	mostCounted   = 100_000          // times that came due unseen, one by one
)

// timekeeper knows which jobs there are and how far they came.
type timekeeper struct {
	mu    sync.Mutex
	apps  map[AppName]*cronApp
	kicks int                   // how often something of apps was changed
	marks map[cronKey]time.Time // stored ones; of a job that is held back newer ones
	noted map[cronKey]time.Time // when a held mark was stored last
	look  chan struct{}
}

type cronKey struct {
	app AppName
	job string
}

// cronApp is an app's jobs as its current release and its settings have them.
type cronApp struct {
	release int
	rules   cronRules
	jobs    []cronJob
}

type cronJob struct {
	CronJob
	schedule Schedule
	invalid  error
}

// kick makes the timekeeper read the app anew, soon.
func (k *timekeeper) kick(app AppName) {
	k.mu.Lock()
	delete(k.apps, app)
	k.kicks++
	k.mu.Unlock()
	select {
	case k.lookSoon() <- struct{}{}:
	default: // it has not looked since the last time
	}
}

func (k *timekeeper) lookSoon() chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.look == nil {
		k.look = make(chan struct{}, 1)
	}
	return k.look
}

func (k *timekeeper) forget(app AppName) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.apps, app)
	for key := range k.marks {
		if key.app == app {
			delete(k.marks, key)
			delete(k.noted, key)
		}
	}
}

func (k *timekeeper) mark(key cronKey) (time.Time, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	at, known := k.marks[key]
	return at, known
}

func (k *timekeeper) setMark(key cronKey, at time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.marks[key] = at
}

// readMarks reads how far jobs came under a predecessor.
func (p *Platform) readMarks(ctx context.Context) error {
	list, err := p.Store.CronMarks(ctx)
	p.cron.apps, p.cron.marks, p.cron.noted = map[AppName]*cronApp{}, map[cronKey]time.Time{}, map[cronKey]time.Time{}
	for _, m := range list {
		p.cron.marks[cronKey{m.App, m.Job}] = m.At
	}
	return err
}

// keepTime starts jobs when they are due.
func (p *Platform) keepTime(ctx context.Context) {
	look := p.cron.lookSoon()
	for {
		next, err := p.lookAtClock(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			p.Log.Error("look for cron jobs that are due", "err", err)
		}
		select {
		case <-time.After(min(max(next.Sub(p.Now()), time.Millisecond), cronLook)):
		case <-look:
		case <-ctx.Done():
			return
		}
	}
}

// lookAtClock starts what is due and tells when something will be.
func (p *Platform) lookAtClock(ctx context.Context) (next time.Time, err error) {
	now := p.Now() // before it is read what is suspended or stopped: that may change meanwhile
	next = now.Add(cronLook)
	apps, err := p.Store.Apps(ctx)
	if err != nil {
		return next, err
	}
	var errs []error
	seen := map[cronKey]bool{}
	for _, app := range apps {
		c, err := p.cronOf(ctx, app)
		if err != nil {
			errs = append(errs, fmt.Errorf("read jobs of %s: %w", app.Name, err))
			continue
		}
		for _, job := range c.jobs {
			seen[cronKey{app.Name, job.ID}] = true
			due, err := p.lookAtJob(ctx, app, c, job, now)
			errs = append(errs, err)
			if !due.IsZero() && due.Before(next) {
				next = due
			}
		}
	}
	return next, errors.Join(append(errs, p.dropMarks(ctx, seen, apps))...)
}

// cronOf reads an app's jobs when its release or its settings have changed.
func (p *Platform) cronOf(ctx context.Context, app App) (*cronApp, error) {
	p.cron.mu.Lock()
	c, kicks := p.cron.apps[app.Name], p.cron.kicks
	p.cron.mu.Unlock()
	if c != nil && c.release == app.Release {
		return c, nil
	}
	c, err := p.readCron(ctx, app)
	if err != nil {
		return nil, err
	}
	p.cron.mu.Lock()
	defer p.cron.mu.Unlock()
	if kicks == p.cron.kicks { // else it may have been changed while it was read
		p.cron.apps[app.Name] = c
	}
	return c, nil
}

func (p *Platform) readCron(ctx context.Context, app App) (*cronApp, error) {
	c := &cronApp{release: app.Release}
	var err error
	if c.rules, err = p.cronRules(ctx, app.Name); err != nil || app.Release == 0 {
		return c, err
	}
	release, err := p.Store.Release(ctx, app.Name, app.Release)
	if err != nil {
		return nil, err
	}
	for _, declared := range release.Image.Cron {
		job := cronJob{CronJob: declared}
		job.schedule, job.invalid = ParseSchedule(declared.Schedule)
		c.jobs = append(c.jobs, job)
	}
	return c, nil
}

// dropMarks forgets how far jobs came that no release declares any more, so that they begin anew if they come back.
func (p *Platform) dropMarks(ctx context.Context, seen map[cronKey]bool, apps []App) error {
	p.cron.mu.Lock()
	old := slices.DeleteFunc(slices.Collect(maps.Keys(p.cron.marks)), func(k cronKey) bool {
		read := p.cron.apps[k.app] != nil // else what it declares is not known
		return seen[k] || !read && slices.ContainsFunc(apps, func(a App) bool { return a.Name == k.app })
	})
	p.cron.mu.Unlock()
	var errs []error
	for _, k := range old {
		if err := p.Store.SetCronMark(ctx, CronMark{App: k.app, Job: k.job}); err != nil && KindOf(err) != NotFound {
			errs = append(errs, err)
			continue
		}
		p.cron.mu.Lock()
		delete(p.cron.marks, k)
		p.cron.mu.Unlock()
	}
	return errors.Join(errs...)
}

// holds tells why a job does not run for now; "" if it does.
func (c *cronApp) holds(app App, job cronJob) string {
	switch {
	case job.invalid != nil:
		return "invalid"
	case app.Stopped:
		return "the app is stopped"
	case c.rules.suspended[""]:
		return "suspended"
	case c.rules.suspended[job.ID]:
		return "suspended"
	case job.Suspended && !c.rules.resumed[job.ID]:
		return "suspended by app.json"
	}
	return ""
}

// lookAtJob runs a job if it is due and tells when it will be next, zero for one that is held back.
func (p *Platform) lookAtJob(ctx context.Context, app App, c *cronApp, job cronJob, now time.Time) (next time.Time, err error) {
	key := cronKey{app.Name, job.ID}
	mark, known := p.cron.mark(key)
	if !known || mark.After(now.Add(mostBackward)) {
		if known {
			p.sayCron(EventCronMissed, app, job, "", "the clock was set back to %s; %s goes by that", stamp(now), job.ID)
		}
		return now, p.storeMark(ctx, key, now)
	}
	if c.holds(app, job) != "" {
		return time.Time{}, p.passBy(ctx, key, now)
	}
	if late := p.noted(key); late { // it was held back until now
		mark = now
		if err := p.storeMark(ctx, key, now); err != nil {
			return now, err
		}
	}
	d := job.dues(mark, now, c.rules.zone)
	if d.count == 0 {
		return d.next, nil
	}
	return d.next, p.runDue(ctx, app, c, job, d)
}

func (p *Platform) storeMark(ctx context.Context, key cronKey, at time.Time) error {
	if err := p.Store.SetCronMark(ctx, CronMark{App: key.app, Job: key.job, At: at}); err != nil {
		return err
	}
	p.cron.setMark(key, at)
	p.cron.mu.Lock()
	defer p.cron.mu.Unlock()
	delete(p.cron.noted, key)
	return nil
}

// noted tells whether the job was held back when it was looked at last.
func (p *Platform) noted(key cronKey) bool {
	p.cron.mu.Lock()
	defer p.cron.mu.Unlock()
	_, held := p.cron.noted[key]
	return held
}

// passBy moves the mark of a job that is held back: what is due meanwhile is not missed.
func (p *Platform) passBy(ctx context.Context, key cronKey, now time.Time) error {
	p.cron.mu.Lock()
	if now.Before(p.cron.marks[key]) { // it was resumed since we looked
		p.cron.mu.Unlock()
		return nil
	}
	last, held := p.cron.noted[key]
	p.cron.marks[key] = now
	store := !held || now.Sub(last) > idleMarkEvery || now.Before(last)
	if store {
		p.cron.noted[key] = now
	}
	p.cron.mu.Unlock()
	if !store {
		return nil
	}
	return p.Store.SetCronMark(ctx, CronMark{App: key.app, Job: key.job, At: now})
}
