package platform

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
)

// Streamed is the output of a verb that has written it all already.
type Streamed struct{ Exit int }

// Text implements the verbs' output.
func (Streamed) Text(io.Writer) error { return nil }

// ExitStatus is the status the door ends with.
func (s Streamed) ExitStatus() int { return s.Exit }

// printLog writes Heroku's form: time, app[process], text; lines of the platform's own say paas[process].
func printLog(w io.Writer, l LogLine) error {
	who := "app"
	if l.Stream == "platform" {
		who = "paas"
	}
	_, err := fmt.Fprintf(w, "%s %s[%s]: %s\n", l.At.UTC().Format("2006-01-02T15:04:05.000000Z"), who, l.Source, printable(l.Text))
	return err
}

// printable keeps colours and tabs but no other control character: a log must not drive a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != 0x1b || r == 0x7f {
			return -1
		}
		return r
	}, s)
}

// untilQuit ends the context when a person at a terminal presses Ctrl-C, Ctrl-D or q: over a PTY no
// signal comes, only the byte.
func untilQuit(ctx context.Context, call Call) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	if call.Terminal == nil || call.In == nil {
		return ctx, cancel
	}
	go func() { // ends with the session, which closes In
		defer cancel()
		var b [1]byte
		for {
			if _, err := call.In.Read(b[:]); err != nil || b[0] == 0x03 || b[0] == 0x04 || b[0] == 'q' {
				return
			}
		}
	}()
	return ctx, cancel
}

// RunInput is run.
type RunInput struct {
	App     string   `arg:"app"`
	Env     []string `flag:"env" short:"e" value:"KEY=value" help:"one more variable for this run"`
	Command []string `arg:"command" rest:"required" help:"a command line, or the name of a process type"`
}

// Run runs a one-off command in a container of the current release, with its config, and ends with the
// command's exit status.
func (p *Platform) Run(ctx context.Context, call Call, in RunInput) (Streamed, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return Streamed{}, err
	}
	w, released, err := p.wanted(ctx, app.Name)
	if err != nil {
		return Streamed{}, err
	}
	if !released {
		return Streamed{}, Errorf(Conflict, "%s has no release to run in", app.Name).WithHint("push it first: git push paas main")
	}
	job, err := w.job(in)
	if err != nil {
		return Streamed{}, err
	}
	job.Terminal = call.Terminal
	p.WakeSoon(app.Name)           // it may ask the app for something
	drop, err := p.hold(w.release) // it may be replaced, and older than all that are kept, before the job ends
	if err != nil {
		return Streamed{}, err
	}
	defer drop()
	exit, err := p.Runner.Run(ctx, job, call.In, call.Out, call.Err)
	if err != nil {
		return Streamed{}, fmt.Errorf("run in %s v%d: %w", app.Name, w.release.Number, err)
	}
	if exit.OOM {
		_, _ = fmt.Fprintf(call.Err, "The command %s; %s\n", exit, moreMemory(app.Name, runType, exit.MemoryLimit))
	}
	return Streamed{Exit: exit.Code}, nil
}

// job makes the container of a `run`. One word that names a process type runs that type's command.
func (w want) job(in RunInput) (JobSpec, error) {
	extra, err := parseVars(nil, in.Env)
	if err != nil {
		return JobSpec{}, err
	}
	line := strings.Join(in.Command, " ")
	spec, err := w.spec(slot{runType, int(time.Now().UnixNano()/int64(time.Millisecond)) % 10000})
	if err != nil {
		return JobSpec{}, err
	}
	spec.Command = commandLine(w.release.Image, line)
	if _, declared := w.release.Image.Processes[ProcessType(line)]; declared {
		spec.Command = w.release.Image.argv(ProcessType(line))
	}
	for key, value := range extra {
		spec.Env[key] = value
	}
	return JobSpec{InstanceSpec: spec}, nil
}
