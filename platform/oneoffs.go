package platform

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	stopGrace     = 10 * time.Second // between SIGTERM and SIGKILL of a one-off that is ended
	keptOneOffs   = 100              // that ended, of `run` and of each cron job of an app
	oneOffKeepFor = 30 * 24 * time.Hour
)

// oneOffs is what the daemon knows of one-off commands that run.
type oneOffs struct {
	mu   sync.Mutex
	open map[int64]*oneOffRun
}

// oneOffRun is one that runs.
type oneOffRun struct {
	app      AppName
	over     chan struct{} // closed when its end is written down
	signals  chan Signal   // to one that is attached
	leave    context.CancelCauseFunc
	instance InstanceID   // of one that is detached
	drop     func()       // lets its layers go
	becomes  OneOffStatus // once it ends; "": exited
	deadline *time.Timer
}

// begin makes a run known. An adopted one may be known already.
func (o *oneOffs) begin(id int64, r *oneOffRun) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.open == nil {
		o.open = map[int64]*oneOffRun{}
	}
	r.over = make(chan struct{})
	o.open[id] = r
}

func (o *oneOffs) find(id int64) *oneOffRun {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.open[id]
}

// become says what its end will be called, and is false if it has ended.
func (o *oneOffs) become(id int64, s OneOffStatus) (r *oneOffRun, runs bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	r = o.open[id]
	if r == nil {
		return nil, false
	}
	if r.becomes == "" {
		r.becomes = s
	}
	return r, true
}

// end forgets a run and says what its end is called.
func (o *oneOffs) end(id int64) (becomes OneOffStatus) {
	o.mu.Lock()
	r := o.open[id]
	delete(o.open, id)
	o.mu.Unlock()
	if r == nil {
		return ""
	}
	if r.deadline != nil {
		r.deadline.Stop()
	}
	if r.drop != nil {
		r.drop()
	}
	close(r.over)
	return r.becomes
}

// begun makes a run known that is written down, and sees to its deadline.
func (p *Platform) begun(o OneOff, r *oneOffRun) {
	r.app = o.App
	p.oneoffs.begin(o.ID, r)
	if o.Deadline.IsZero() {
		return
	}
	timer := time.AfterFunc(o.Deadline.Sub(p.Now()), func() {
		p.spawn(func(ctx context.Context) { p.endOneOff(ctx, o, OneOffTimedOut) })
	})
	p.oneoffs.mu.Lock()
	r.deadline = timer
	p.oneoffs.mu.Unlock()
}

// endOneOff ends one that runs and waits until that is written down. An attached one gets the signals over its
// caller's connection.
func (p *Platform) endOneOff(ctx context.Context, o OneOff, becomes OneOffStatus) {
	r, runs := p.oneoffs.become(o.ID, becomes)
	if !runs {
		return
	}
	if r.signals == nil {
		if err := p.Runner.Terminate(ctx, p.oneoffs.instanceOf(ctx, r), stopGrace); err != nil {
			p.Log.Error("end a one-off command", "app", o.App, "id", o.Name(), "err", err)
		}
	} else {
		r.signal("TERM")
		if !waited(ctx, r.over, stopGrace) {
			r.signal("KILL")
		}
		if !waited(ctx, r.over, time.Second) { // what it left runs on
			r.leave(Errorf(Interrupted, "%s was ended", o.Name()))
		}
	}
	waited(ctx, r.over, stopGrace+5*time.Second)
}

// instanceOf waits until the container of a detached one is there.
func (o *oneOffs) instanceOf(ctx context.Context, r *oneOffRun) (id InstanceID) {
	for {
		o.mu.Lock()
		id = r.instance
		o.mu.Unlock()
		if id != "" || waited(ctx, r.over, instancePause) || ctx.Err() != nil {
			return id
		}
	}
}

const instancePause = 20 * time.Millisecond

func (r *oneOffRun) signal(s Signal) {
	select {
	case r.signals <- s:
	default: // it takes none
	}
}

// waited tells whether the channel was closed within the time.
func waited(ctx context.Context, over <-chan struct{}, atMost time.Duration) bool {
	select {
	case <-over:
		return true
	case <-time.After(atMost):
	case <-ctx.Done():
	}
	return false
}

// ended writes down how one ended.
func (p *Platform) oneOffEnded(ctx context.Context, o OneOff, exit Exit) error {
	o.Status, o.Code, o.Detail, o.Ended = OneOffExited, exit.Code, exit.String(), exit.At
	if o.Ended.IsZero() {
		o.Ended = p.Now()
	}
	if exit.Lost {
		o.Status = OneOffLost
	}
	if r, runs := p.oneoffs.become(o.ID, o.Status); runs && r.becomes != "" {
		o.Status = r.becomes
	}
	return p.oneOffOver(ctx, o)
}

// oneOffOver stores the end of one, says it, and lets go of what was kept for it.
func (p *Platform) oneOffOver(ctx context.Context, o OneOff) error {
	fresh, err := p.Store.EndOneOff(ctx, o)
	if err != nil {
		return err
	}
	p.oneoffs.end(o.ID)
	if fresh {
		p.sayOneOff(EventRunEnded, o, "%s %s", o.Name(), o.howItEnded())
		p.pruneOneOffs(ctx, o.App)
	}
	return nil
}

func (o OneOff) howItEnded() string {
	switch o.Status {
	case OneOffStopped:
		return "was stopped and " + o.Detail
	case OneOffTimedOut:
		return "took too long, was ended, and " + o.Detail
	default:
		return o.Detail
	}
}

func (p *Platform) sayOneOff(kind EventKind, o OneOff, format string, args ...any) {
	e := Event{Kind: kind, App: o.App, Process: o.Name(), Release: o.Release, Actor: o.Actor, Text: fmt.Sprintf(format, args...)}
	if o.Kind == cronType && o.Actor == string(DoorCron) {
		e.Door = DoorCron
	}
	p.say(e)
}

// pruneOneOffs forgets what is old.
func (p *Platform) pruneOneOffs(ctx context.Context, app AppName) {
	rules, err := p.runRules(ctx, app)
	if err == nil {
		_, err = p.Store.PruneOneOffs(ctx, app, "", p.Now().Add(-rules.keep), keptOneOffs)
	}
	if err != nil {
		p.Log.Error("forget old one-off commands", "app", app, "err", err)
	}
}

// detach starts one that is written down, and keeps its layers until it ends. A failure is written down too.
func (p *Platform) detach(ctx context.Context, o OneOff, w want, spec InstanceSpec) error {
	drop, err := p.hold(w.release)
	if err != nil {
		return p.notStarted(ctx, o, err)
	}
	run := &oneOffRun{drop: drop}
	p.begun(o, run)
	i, err := p.Runner.Detach(ctx, spec)
	if err != nil {
		return p.notStarted(ctx, o, fmt.Errorf("start %s in %s v%d: %w", o.Name(), o.App, o.Release, err))
	}
	p.oneoffs.mu.Lock()
	run.instance = i.ID
	p.oneoffs.mu.Unlock()
	return p.Store.SetOneOffRunning(context.WithoutCancel(ctx), o.ID)
}

// notStarted writes down that one could not be started. What is due by schedule is left to the next daemon if this one
// ends.
func (p *Platform) notStarted(ctx context.Context, o OneOff, err error) error {
	if p.life.Err() != nil && !o.Due.IsZero() {
		p.oneoffs.end(o.ID)
		return err
	}
	return errors.Join(err, p.failOneOff(ctx, o, err))
}

func (p *Platform) failOneOff(ctx context.Context, o OneOff, why error) error {
	o.Status, o.Ended, o.Detail = OneOffFailed, p.Now(), "could not be started: "+sentence(why)
	return p.oneOffOver(context.WithoutCancel(ctx), o)
}

// watchOneOffs writes down how detached ones end.
func (p *Platform) watchOneOffs(ctx context.Context) {
	for {
		select {
		case i := <-p.Runner.DetachedExits():
			if err := p.detachedEnded(ctx, i); err != nil {
				p.Log.Error("note the end of a one-off command", "app", i.App, "id", i.Name(), "err", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// detachedEnded writes down an end before the runner forgets it. The app may be gone by now.
func (p *Platform) detachedEnded(ctx context.Context, i Instance) error {
	ctx = context.WithoutCancel(ctx)
	list, err := p.Store.OneOffs(ctx, OneOffQuery{App: i.App, Kind: i.Type, Open: true})
	if err != nil {
		return err
	}
	for _, o := range list {
		if o.ID == int64(i.Number) {
			if err := p.oneOffEnded(ctx, o, *i.Exit); err != nil {
				return err
			}
		}
	}
	p.oneoffs.end(int64(i.Number))
	return p.Runner.Stop(ctx, i.ID, 0)
}

// takeOverOneOffs finds what a predecessor started again, and says what became of the rest.
func (p *Platform) takeOverOneOffs(ctx context.Context) error {
	open, err := p.Store.OneOffs(ctx, OneOffQuery{Open: true})
	if err != nil {
		return fmt.Errorf("take over one-off commands: %w", err)
	}
	have, err := p.Runner.Detached(ctx)
	if err != nil {
		return fmt.Errorf("take over one-off commands: %w", err)
	}
	there := map[int64]Instance{}
	for _, i := range have {
		there[int64(i.Number)] = i
	}
	var errs []error
	for _, o := range open {
		i, found := there[o.ID]
		if found && i.App == o.App {
			errs = append(errs, p.takeOver(ctx, o, i))
			delete(there, o.ID)
			continue
		}
		errs = append(errs, p.giveUp(ctx, o))
	}
	for _, i := range there { // nobody waits for it: its app was destroyed, or its end is written down
		p.spawn(func(ctx context.Context) { p.stop(ctx, i) })
	}
	return errors.Join(errs...)
}

func (p *Platform) takeOver(ctx context.Context, o OneOff, i Instance) error {
	if i.Exit != nil {
		if err := p.oneOffEnded(ctx, o, *i.Exit); err != nil {
			return err
		}
		return p.Runner.Stop(ctx, i.ID, 0)
	}
	run := &oneOffRun{instance: i.ID}
	if r, err := p.Store.Release(ctx, o.App, o.Release); err == nil {
		if drop, err := p.hold(r); err == nil { // else its layers are there all the same: it runs
			run.drop = drop
		}
	}
	p.begun(o, run)
	return p.Store.SetOneOffRunning(ctx, o.ID)
}

// giveUp writes down one whose container is not there any more. A cron job that was not begun is begun again.
func (p *Platform) giveUp(ctx context.Context, o OneOff) error {
	if o.Status == OneOffStarting && o.Kind == cronType {
		p.spawn(func(ctx context.Context) { p.startAgain(ctx, o) })
		return nil
	}
	o.Status, o.Ended, o.Detail = OneOffLost, p.Now(), "went down with the machine"
	if !o.Detached {
		o.Detail = "ended with the server that it was attached to"
	}
	return p.oneOffOver(ctx, o)
}

// dropOneOffs ends all one-off commands of an app that is forgotten already.
func (p *Platform) dropOneOffs(ctx context.Context, app AppName) error {
	have, err := p.Runner.Detached(ctx)
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	for _, i := range have {
		if i.App == app {
			all.Go(func() { p.stop(ctx, i); p.oneoffs.end(int64(i.Number)) })
		}
	}
	for _, r := range p.oneoffs.attachedOf(app) {
		r.leave(Errorf(Interrupted, "%s was destroyed", app))
		all.Go(func() { waited(ctx, r.over, 2*stopGrace) })
	}
	all.Wait()
	p.cron.forget(app)
	return nil
}

func (o *oneOffs) attachedOf(app AppName) (list []*oneOffRun) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.open {
		if r.app == app && r.leave != nil {
			list = append(list, r)
		}
	}
	return list
}
