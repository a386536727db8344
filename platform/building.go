package platform

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// keptBuilds is how many ended builds of an app are listed, and their output kept.
const keptBuilds = 30

// building is a build that is under way, and for a moment after that, until its record is stored.
type building struct {
	p      *Platform
	app    App
	rules  buildRules
	story  *Story
	output *buildOutput
	cancel context.CancelCauseFunc
	door   context.Context // ends when the daemon does; may be nil
	turn   turn
	reason sync.Once // why each step was reused or not is found out once, in the end

	admission sync.Mutex // held while it waits for its place
	leave     func()     // gives the place back; nil without one

	mu     sync.Mutex
	record Build
	dirty  bool
	saving bool

	clock *time.Timer // ends it when it took too long
	due   time.Time
}

// beginBuild makes the record of a push's build. The context ends when the build is cancelled, with the
// reason as its cause. The caller has the app's lane and calls end.
func (p *Platform) beginBuild(ctx context.Context, app App, push Push, story *Story) (context.Context, *building, error) {
	rules, _, err := p.buildRules(ctx, app.Name)
	if err != nil {
		return ctx, nil, err
	}
	last, err := p.Store.LastBuild(ctx, app.Name)
	if err != nil {
		return ctx, nil, fmt.Errorf("number a build of %s: %w", app.Name, err)
	}
	b := &building{p: p, app: app, rules: rules, story: story, door: push.Detached}
	if rules.Detach && push.Detached != nil {
		ctx = push.Detached
	}
	ctx, b.cancel = context.WithCancelCause(ctx)
	p.mu.Lock()
	last = max(last, p.numbers[app.ID])
	p.numbers[app.ID] = last + 1
	b.record = Build{
		App: app.Name, Number: last + 1, Actor: push.Actor.Name, Commit: push.Commit, Status: BuildRunning,
		CreatedAt: p.Now(), StartedAt: p.Now(),
	}
	b.record.MemoryLimit, b.record.Steps = rules.Memory, []BuildStep{}
	p.buildings[app.ID] = append(p.buildings[app.ID], b)
	p.mu.Unlock()
	b.turn = turn{who: fmt.Sprintf("%s's build of %s #%d", push.Actor.Name, app.Name, last+1), app: app.Name, limit: rules.Memory}
	if b.turn.sees, err = p.Sees(ctx, push.Actor); err != nil {
		b.turn.sees = func(name AppName) bool { return name == app.Name }
	}
	story.Confine(b.turn.sees)
	b.record.Phases = []BuildPhase{}
	b.openOutput()
	b.save()
	return ctx, b, nil
}

// openOutput keeps what the build prints. A build goes on without.
func (b *building) openOutput() {
	var file io.WriteCloser
	if b.p.Outputs != nil {
		var err error
		if file, err = b.p.Outputs.Create(b.app, b.record.Number, b.record.Number-keptBuilds); err != nil {
			b.p.Log.Error("keep output of a build", "app", b.app.Name, "err", err)
		}
	}
	b.output = newBuildOutput(file)
	b.story.CopyTo(b.output)
	b.story.LogTo(b.p.logLines(b.app.Name, LogEntry{Source: LogBuild, Process: fmt.Sprintf("build.%d", b.record.Number), Level: LogInfo}))
	b.story.Queue(b.admit)
}

// begun starts the clock.
func (b *building) begun(ended func(cause error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.due = time.Now().Add(b.rules.Timeout)
	b.clock = time.AfterFunc(b.rules.Timeout, func() {
		ended(Errorf(Failed, "build failed: it took longer than %s", spellDuration(b.rules.Timeout)).
			WithHint("give it more: ssh paas builds:set %s timeout=%s", b.app.Name, spellDuration(2*b.rules.Timeout)))
	})
}

// built stops the clock and gives the place back.
func (b *building) built() {
	b.mu.Lock()
	b.clock.Stop()
	b.mu.Unlock()
	b.admission.Lock()
	defer b.admission.Unlock()
	if b.leave != nil {
		b.leave()
		b.leave = nil
	}
}

// admit waits for the build's place. It keeps it until built.
func (b *building) admit(ctx context.Context) error {
	b.admission.Lock()
	defer b.admission.Unlock()
	if b.leave != nil {
		return nil
	}
	began := time.Now()
	waited := false
	leave, err := b.p.queue.enter(ctx, b.p, &b.turn, func(state string) {
		if !waited {
			b.clock.Stop()
			b.change(func(r *Build) { r.Status = BuildQueued })
		}
		waited = true
		b.story.Line("%s", state)
	})
	if waited {
		took := time.Since(began)
		b.due = b.due.Add(took)
		b.clock.Reset(time.Until(b.due))
		b.change(func(r *Build) { r.Status, r.Waited, r.StartedAt = BuildRunning, r.Waited+took.Seconds(), b.p.Now() })
	}
	b.leave = leave
	return err
}

// layers says what the image is made of.
func (b *building) layers() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	cached := 0
	for _, s := range b.record.Steps {
		if s.Reused {
			cached++
		}
	}
	return fmt.Sprintf("Built %s, %d of them cached", plural(int64(len(b.record.Steps)), "layer", "layers"), cached)
}

// report takes what a step came to. Instructions of a Dockerfile have their arguments in their names.
func (b *building) report(s BuildStep) {
	s.Name = b.story.hidden(s.Name)
	s.Inputs = slices.Clone(s.Inputs)
	for i := range s.Inputs {
		s.Inputs[i].Name = b.story.hidden(s.Inputs[i].Name)
	}
	b.change(func(r *Build) {
		r.Steps = append(r.Steps, s)
		r.MemoryPeak = max(r.MemoryPeak, s.MemoryPeak)
	})
}

// end notes how the build ended.
func (b *building) end(ctx context.Context, release Release, err error) {
	b.story.End()
	b.output.close()
	b.change(func(r *Build) {
		r.EndedAt, r.Phases, r.Release, r.Builder = b.p.Now(), b.story.Phases(), release.Number, release.Image.Builder
		r.Output, r.OutputCut = b.output.sizes()
		r.Status = b.status(ctx, err)
		if err != nil {
			r.Cause = sentence(err)
		}
	})
	b.cancel(nil)
}

func (b *building) status(ctx context.Context, err error) BuildStatus {
	switch {
	case err == nil:
		return BuildSucceeded
	case ctx.Err() == nil:
		return BuildFailed
	case b.p.life.Err() != nil || b.door != nil && b.door.Err() != nil:
		return BuildInterrupted
	default:
		return BuildCancelled
	}
}

// change changes the record, which is stored a moment later.
func (b *building) change(f func(*Build)) {
	b.mu.Lock()
	f(&b.record)
	b.mu.Unlock()
	b.save()
}

// save stores the record in the background: a push does not wait for the disk twice. Many changes are
// stored at once.
func (b *building) save() {
	b.mu.Lock()
	b.dirty = true
	begin := !b.saving
	b.saving = true
	b.mu.Unlock()
	if !begin {
		return
	}
	if !b.p.spawned(func(ctx context.Context) { b.store(context.WithoutCancel(ctx)) }) {
		b.store(context.Background())
	}
}

func (b *building) store(ctx context.Context) {
	for {
		b.mu.Lock()
		if !b.dirty {
			b.saving = false
			b.mu.Unlock()
			return
		}
		b.dirty = false
		record := b.snapshot()
		b.mu.Unlock()
		if record.Status.Over() {
			b.explain(ctx)
			record = b.now()
		}
		err := b.p.Store.SaveBuild(ctx, record, keptBuilds)
		if err != nil && KindOf(err) != NotFound { // its app was destroyed
			b.p.Log.Error("store a build", "app", b.app.Name, "number", record.Number, "err", err)
		}
		if record.Status.Over() {
			b.p.forgetBuilding(b)
		}
	}
}

// snapshot copies the record. The caller holds mu.
func (b *building) snapshot() Build {
	r := b.record
	r.Steps = slices.Clone(r.Steps)
	return r
}

func (b *building) now() Build {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.snapshot()
	if !r.Status.Over() {
		r.Phases = b.story.Phases()
		r.Output, r.OutputCut = b.output.sizes()
	}
	return r
}

func (p *Platform) forgetBuilding(b *building) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.buildings[b.app.ID] = slices.DeleteFunc(p.buildings[b.app.ID], func(o *building) bool { return o == b })
	if len(p.buildings[b.app.ID]) == 0 {
		delete(p.buildings, b.app.ID)
	}
}

// underWay lists the builds of an app, of all for 0, that are not stored for good, oldest first.
func (p *Platform) underWay(app int64) (list []*building) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, some := range p.buildings {
		if app == 0 || id == app {
			list = append(list, some...)
		}
	}
	slices.SortFunc(list, func(a, b *building) int { return a.record.CreatedAt.Compare(b.record.CreatedAt) })
	return list
}
