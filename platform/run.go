package platform

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// RunInput is run and run:detached.
type RunInput struct {
	App     string   `arg:"app"`
	Process string   `flag:"process" short:"p" value:"TYPE" help:"with the limits of this process type"`
	Env     []string `flag:"env" short:"e" value:"KEY=value" help:"one more variable for this run"`
	Size    string   `flag:"size" value:"SIZE" help:"memory, like 512m, or one of Heroku's sizes"`
	Memory  string   `flag:"memory" value:"SIZE" help:"the same as --size"`
	CPU     string   `flag:"cpu" value:"N" help:"processors' worth of time, like 1.5"`
	Timeout string   `flag:"timeout" value:"TIME" help:"end it after so long, like 10m: status 6"`
	TTL     int      `flag:"ttl-seconds" value:"N" help:"the same in seconds"`
	NoTTY   bool     `flag:"no-tty" help:"no PTY, even if the client has one"`
	Detach  bool     `flag:"detach" short:"d" help:"leave it running and print its id"`
	Command []string `arg:"command" rest:"required" help:"a command line, or the name of a process type"`
}

// Run runs a one-off command in a container of the current release, with its config, and ends with the
// command's exit status.
func (p *Platform) Run(ctx context.Context, call Call, in RunInput) (Streamed, error) {
	if in.Detach {
		return p.runAway(ctx, call, in)
	}
	o, w, job, err := p.oneOff(ctx, call, in)
	if err != nil {
		return Streamed{}, err
	}
	call, job.Terminal = in.streams(call)
	p.WakeSoon(o.App)              // it may ask the app for something
	drop, err := p.hold(w.release) // it may be replaced, and older than all that are kept, before the job ends
	if err != nil {
		return Streamed{}, err
	}
	defer drop()
	if o, err = p.writeDown(ctx, o); err != nil {
		return Streamed{}, err
	}
	job.Number = int(o.ID)
	exit, err := p.attached(ctx, call, o, job)
	if err != nil {
		return Streamed{}, fmt.Errorf("run in %s v%d: %w", o.App, w.release.Number, err)
	}
	if exit.OOM {
		_, _ = fmt.Fprintf(call.Err, "The command %s; %s\n", exit, moreMemory(o.App, runType, exit.MemoryLimit))
	}
	return Streamed{Exit: exit.Code}, nil
}

// streams are the caller's, as the command gets them.
func (in RunInput) streams(call Call) (Call, *Terminal) {
	if call.Terminal == nil || !in.NoTTY {
		return call, call.Terminal
	}
	return call, nil
}

// attached runs a job on its caller's streams, and writes down how it ended.
func (p *Platform) attached(ctx context.Context, call Call, o OneOff, job JobSpec) (Exit, error) {
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	run := &oneOffRun{signals: make(chan Signal, 4), leave: leave}
	job.Signals = run.signals
	p.begun(o, run)
	stop := sync.OnceFunc(passSignals(call, run))
	if call.Terminal != nil && job.Terminal == nil && call.In != nil {
		call.In = typed{call.In, func() { run.signal("INT") }}
	}
	defer stop()
	if err := p.Store.SetOneOffRunning(ctx, o.ID); err != nil {
		return Exit{}, errors.Join(err, p.failOneOff(ctx, o, err))
	}
	exit, err := p.Runner.Run(ctx, job, call.In, call.Out, call.Err)
	stop()
	becomes := run.wasToBecome(&p.oneoffs)
	late := context.WithoutCancel(ctx)
	switch {
	case err != nil && ctx.Err() == nil && KindOf(err) != Interrupted:
		return exit, errors.Join(err, p.failOneOff(late, o, err))
	case err != nil && becomes == "":
		o.Status, o.Ended, o.Code, o.Detail = OneOffExited, p.Now(), exit.Code, "was ended, because its caller or the server went away"
		return exit, errors.Join(err, p.oneOffOver(late, o))
	}
	if err := p.oneOffEnded(late, o, exit); err != nil {
		return exit, err
	}
	if becomes == OneOffTimedOut {
		return exit, Errorf(Timeout, "the command took too long and was ended").WithHint("give it more with --timeout, or leave it running: ssh paas run:detached %s …", o.App)
	}
	return exit, nil
}

// typed is what somebody types at a terminal for a command that has none: Ctrl-C interrupts, Ctrl-D ends the input.
type typed struct {
	in        io.Reader
	interrupt func()
}

// Read implements io.Reader.
func (t typed) Read(p []byte) (int, error) {
	for {
		n, err := t.in.Read(p)
		if i := bytes.IndexByte(p[:n], 0x04); i >= 0 {
			return i, io.EOF
		}
		if i := bytes.IndexByte(p[:n], 0x03); i >= 0 {
			t.interrupt()
			n = i
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (r *oneOffRun) wasToBecome(all *oneOffs) OneOffStatus {
	all.mu.Lock()
	defer all.mu.Unlock()
	return r.becomes
}

// passSignals passes on what the caller's client sends, until stop.
func passSignals(call Call, run *oneOffRun) (stop func()) {
	if call.Signals == nil {
		return func() {}
	}
	signals, over, done := call.Signals(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case s, open := <-signals:
				if !open {
					return
				}
				run.signal(s)
			case <-over:
				return
			}
		}
	}()
	return func() { close(over); <-done }
}

// RunDetached starts a one-off command and returns when it runs, as run --detach does. It outlives the connection and
// the daemon; what it writes is in the log.
func (p *Platform) RunDetached(ctx context.Context, call Call, in RunInput) (OneOffView, error) {
	in.Detach = true
	return p.detached(ctx, call, in)
}

func (p *Platform) detached(ctx context.Context, call Call, in RunInput) (OneOffView, error) {
	o, w, job, err := p.oneOff(ctx, call, in)
	if err != nil {
		return OneOffView{}, err
	}
	if o, err = p.writeDown(ctx, o); err != nil {
		return OneOffView{}, err
	}
	p.WakeSoon(o.App)
	job.Number = int(o.ID)
	if err := p.detach(ctx, o, w, job.InstanceSpec); err != nil {
		return OneOffView{}, err
	}
	o.Status = OneOffRunning
	_, _ = fmt.Fprintf(call.Err, "It runs. See its output: ssh paas run:logs %s %s -f\n", o.App, o.Name())
	return o.view(), nil
}

// runAway is run --detach.
func (p *Platform) runAway(ctx context.Context, call Call, in RunInput) (Streamed, error) {
	view, err := p.detached(ctx, call, in)
	if err != nil {
		return Streamed{}, err
	}
	if call.JSON {
		return Streamed{}, printJSONLine(call.Out, view)
	}
	return Streamed{}, view.Text(call.Out)
}

// oneOff makes what run asks for, and checks all of it.
func (p *Platform) oneOff(ctx context.Context, call Call, in RunInput) (OneOff, want, JobSpec, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return OneOff{}, want{}, JobSpec{}, err
	}
	w, released, err := p.wanted(ctx, app.Name)
	if err != nil {
		return OneOff{}, w, JobSpec{}, err
	}
	if !released {
		return OneOff{}, w, JobSpec{}, Errorf(Conflict, "%s has no release to run in", app.Name).WithHint("push it first: git push paas main")
	}
	timeout, err := in.timeout()
	if err != nil {
		return OneOff{}, w, JobSpec{}, err
	}
	o := OneOff{
		App: app.Name, Kind: runType, Command: clipped(strings.Join(in.Command, " "), keptCommand), Release: w.release.Number,
		Actor: call.Actor.Name, Detached: in.Detach, Status: OneOffStarting, Started: p.Now(),
	}
	if timeout > 0 {
		o.Deadline = o.Started.Add(timeout)
	}
	job, err := w.job(call, in)
	return o, w, job, err
}

// writeDown keeps a one-off before it is started, and says it.
func (p *Platform) writeDown(ctx context.Context, o OneOff) (OneOff, error) {
	rules, err := p.runRules(ctx, o.App)
	if err != nil {
		return o, err
	}
	if o, err = p.Store.AddOneOff(ctx, o, rules.limit); err != nil {
		return o, err
	}
	p.sayOneOff(EventRan, o, "%s of v%d was started: %s", o.Name(), o.Release, oneLine(o.Command))
	return o, nil
}

const (
	leastTimeout = time.Second
	mostTimeout  = 30 * 24 * time.Hour
)

// timeout is how long it may take; 0: as long as it likes.
func (in RunInput) timeout() (time.Duration, error) {
	d := time.Duration(in.TTL) * time.Second
	if in.Timeout != "" {
		var err error
		if d, err = time.ParseDuration(in.Timeout); err != nil {
			return 0, Errorf(Usage, "--timeout %s is no time: write it like 90s, 10m or 2h", in.Timeout)
		}
	}
	if d != 0 && (d < leastTimeout || d > mostTimeout) || in.TTL != 0 && in.Timeout != "" {
		return 0, Errorf(Usage, "a command may be given one time limit, from 1s to 30 days")
	}
	return d, nil
}

// job makes the container of a `run`.
func (w want) job(call Call, in RunInput) (JobSpec, error) {
	extra, err := parseVars(nil, in.Env)
	if err != nil {
		return JobSpec{}, err
	}
	if in.Process != "" {
		if _, declares := w.release.Image.Processes[ProcessType(in.Process)]; !declares {
			return JobSpec{}, Errorf(Usage, "%s has no process type %q: %s", w.app.Name, in.Process, declared(w.release.Image))
		}
	}
	spec, err := w.oneOffSpec(runType, strings.Join(in.Command, " "))
	if err != nil {
		return JobSpec{}, err
	}
	if spec.Limits, err = w.sized(call, in); err != nil {
		return JobSpec{}, err
	}
	if call.Terminal != nil && !in.NoTTY && !in.Detach {
		addEnviron(spec.Env, call.Environ)
	}
	maps.Copy(spec.Env, extra)
	return JobSpec{InstanceSpec: spec}, nil
}

// oneOffSpec is the container of a one-off command. One word that names a process type runs that type's command.
func (w want) oneOffSpec(kind ProcessType, line string) (InstanceSpec, error) {
	spec, err := w.spec(slot{kind, 0})
	if err != nil {
		return spec, err
	}
	spec.Command = commandLine(w.release.Image, line)
	if _, declared := w.release.Image.Processes[ProcessType(line)]; declared {
		spec.Command = w.release.Image.argv(ProcessType(line))
	}
	if len(spec.Command) == 0 {
		return spec, Errorf(Usage, "there is no command to run")
	}
	return spec, nil
}

// addEnviron adds what the caller's client wants of language and colours, where the app says nothing about it.
func addEnviron(env, client map[string]string) {
	for key, value := range client {
		if _, own := env[key]; !own {
			env[key] = value
		}
	}
}

// herokuSizes are the memory of Heroku's dyno sizes.
func herokuSizes() map[string]string {
	return map[string]string{
		"eco": "512m", "basic": "512m", "standard-1x": "512m", "standard-2x": "1g",
		"performance-m": "2560m", "performance-l": "14g", "performance-l-ram": "30g", "performance-xl": "62g", "performance-2xl": "126g",
	}
}

// sized are the limits of a run: of the process type it asks for, or of runs, and less if it says so. Who is no admin
// cannot have more than that, or than a process has whose limits nobody set.
func (w want) sized(call Call, in RunInput) (Limits, error) {
	typ := runType
	if in.Process != "" {
		typ = ProcessType(in.Process)
	}
	l, err := limitsOf(w.settings, typ)
	if err != nil {
		return l, err
	}
	asked := Limits{}
	for _, knob := range []struct{ flag, key, value string }{{"--size", "memory", in.Size}, {"--memory", "memory", in.Memory}, {"--cpu", "cpu", in.CPU}} {
		if knob.value == "" {
			continue
		}
		if size, known := herokuSizes()[strings.ToLower(knob.value)]; known && knob.key == "memory" {
			knob.value = size
		}
		if err := setLimit(&asked, knob.key, knob.value); err != nil {
			return l, Errorf(Usage, "%s %s: %s", knob.flag, knob.value, sentence(err)).WithHint("write memory like 512m or 1g, or one of %s", strings.Join(slices.Sorted(maps.Keys(herokuSizes())), ", "))
		}
	}
	return l.within(asked, call.Actor)
}

func setLimit(l *Limits, key, value string) error {
	k, err := findKnob(limitKnobs(), key)
	if err != nil {
		return err
	}
	return k.set(l, value)
}

// usualMemory is what a process may use whose limit nobody set: the Runner's default.
const usualMemory = 512 << 20

func (l Limits) within(asked Limits, who Actor) (Limits, error) {
	most := l.Memory
	if most == 0 {
		most = usualMemory
	}
	switch {
	case who.Admin:
	case asked.Memory > most:
		return l, Errorf(Denied, "a run may have %s, not %s", Bytes(most), Bytes(asked.Memory)).
			WithHint("an admin can allow more: resource:limit APP -p run memory=%s", writeBytes(asked.Memory))
	case asked.CPUs > l.CPUs && l.CPUs > 0:
		return l, Errorf(Denied, "a run may have %v processors' worth of time, not %v", l.CPUs, asked.CPUs)
	}
	if asked.Memory > 0 {
		l.Memory = asked.Memory
	}
	if asked.CPUs > 0 {
		l.CPUs = asked.CPUs
	}
	return l, nil
}
