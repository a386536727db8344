package platform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// ExecInput is exec.
type ExecInput struct {
	App     string   `arg:"app"`
	Process string   `flag:"process" short:"p" value:"TYPE" help:"a process or type, like worker, web.2 or run.12; without it the first web one"`
	Type    string   `flag:"type" value:"TYPE" help:"the same as --process"`
	Env     []string `flag:"env" short:"e" value:"KEY=value" help:"one more variable for this command"`
	NoTTY   bool     `flag:"no-tty" help:"no PTY, even if the client has one"`
	Command []string `arg:"command" rest:"optional" help:"a process like web.1 or run.12 if not given by -p, then a command line; without one a shell"`
}

// Exec runs a command beside the app in a running instance and ends with the command's exit status. What
// it changes of the instance's files is gone with the instance.
func (p *Platform) Exec(ctx context.Context, call Call, in ExecInput) (Streamed, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return Streamed{}, err
	}
	if in, err = p.placed(ctx, app, in); err != nil {
		return Streamed{}, err
	}
	i, leave, err := p.entrance(ctx, app, in.Process+in.Type)
	if err != nil {
		return Streamed{}, err
	}
	defer leave()
	cmd, err := p.insideCommand(ctx, i, in)
	if err != nil {
		return Streamed{}, err
	}
	if cmd.Terminal = call.Terminal; in.NoTTY {
		cmd.Terminal = nil
	}
	if cmd.Terminal != nil {
		cmd.Env = append(p.clientEnv(ctx, i, call.Environ), cmd.Env...)
	}
	if call.Terminal != nil && in.NoTTY && call.In != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		call.In = typed{call.In, cancel}
	}
	if call.Signals != nil {
		cmd.Signals = call.Signals()
	}
	what := strings.Join(in.Command, " ")
	if what == "" {
		what = "a shell"
	}
	call.Audit.Changed("command in "+i.Name(), "", "started")
	p.sayOf(EventEntered, i, call.Actor.Name, "%s was entered for %s", i.Name(), what)
	exit, err := p.Runner.Enter(ctx, i.ID, cmd, call.In, call.Out, call.Err)
	if err != nil {
		return Streamed{}, fmt.Errorf("exec in %s of %s: %w", i.Name(), app.Name, err)
	}
	return Streamed{Exit: exit.Code}, nil
}

// entrance finds the instance that a word names, and keeps it from falling asleep until leave. run.12 and cron.12 are
// one-off commands that nobody is attached to.
func (p *Platform) entrance(ctx context.Context, app App, process string) (i Instance, leave func(), err error) {
	if typ, _, _ := strings.Cut(process, "."); isOneOff(process) && !p.hasType(ctx, app, ProcessType(typ)) {
		i, err = p.detachedOf(ctx, app, process)
		return i, func() {}, err
	}
	if leave, err = p.visit(ctx, app.Name); err != nil {
		return i, nil, err
	}
	if i, err = p.one(ctx, app.Name, process); err != nil {
		leave()
	}
	return i, leave, err
}

// hasType tells whether the app's current release has a process type.
func (p *Platform) hasType(ctx context.Context, app App, typ ProcessType) bool {
	r, err := p.Store.Release(ctx, app.Name, app.Release)
	_, declared := r.Image.Processes[typ]
	return err == nil && declared
}

// isOneOff tells whether a word is the name of a one-off command: run.12, cron.12. A Procfile may have a type of that name.
func isOneOff(word string) bool {
	typ, number, _ := strings.Cut(word, ".")
	_, err := strconv.ParseUint(number, 10, 63)
	return err == nil && (ProcessType(typ) == runType || ProcessType(typ) == cronType)
}

// detachedOf is the container of a detached command that runs.
func (p *Platform) detachedOf(ctx context.Context, app App, word string) (Instance, error) {
	o, err := p.oneOffOf(ctx, app, word)
	switch {
	case err != nil:
		return Instance{}, err
	case !o.Status.open():
		return Instance{}, Errorf(Conflict, "%s has ended already: it %s", o.Name(), o.howItEnded()).WithHint("see which run: ssh paas run:list %s", app.Name)
	case !o.Detached:
		return Instance{}, Errorf(Conflict, "%s has its caller's terminal: only what was started with run:detached, or by cron, can be entered", o.Name())
	}
	list, err := p.Runner.Detached(ctx)
	if err != nil {
		return Instance{}, fmt.Errorf("find %s of %s: %w", o.Name(), app.Name, err)
	}
	for _, i := range list {
		if i.App == app.Name && i.Type == o.Kind && int64(i.Number) == o.ID && i.Exit == nil {
			return i, nil
		}
	}
	return Instance{}, Errorf(Conflict, "%s is just starting, or ending", o.Name())
}

// placed finds the process in the first word, as in `exec blog web.1 -- ls`. A type without a number counts only where
// nothing but a command after "--" follows: it might be a program. Nobody calls one web.
func (p *Platform) placed(ctx context.Context, app App, in ExecInput) (ExecInput, error) {
	first, rest, _ := strings.Cut(strings.TrimSpace(strings.Join(in.Command, " ")), " ")
	rest = strings.TrimSpace(rest)
	typ, number, numbered := strings.Cut(first, ".")
	line, dashed := strings.CutPrefix(rest+" ", "-- ")
	if in.Process+in.Type != "" || app.Release == 0 || !numbered && rest != "" && !dashed && first != string(Web) {
		return in, nil
	}
	release, err := p.Store.Release(ctx, app.Name, app.Release)
	if err != nil {
		return in, err
	}
	_, declares := release.Image.Processes[ProcessType(typ)]
	declares = declares || isOneOff(first)
	if _, err := strconv.Atoi(number); !declares || numbered && err != nil {
		return in, nil
	}
	if in.Process, in.Command = first, nil; dashed {
		rest = strings.TrimSpace(line)
	}
	if rest != "" {
		in.Command = []string{rest}
	}
	return in, nil
}

// clientEnv is what the caller's client wants of language and colours, where the app says nothing about it.
func (p *Platform) clientEnv(ctx context.Context, i Instance, client map[string]string) (list []string) {
	release, err := p.Store.Release(ctx, i.App, i.Release)
	if err != nil {
		return nil
	}
	own := environment(release)
	for key, value := range client {
		if _, there := own[key]; !there {
			list = append(list, key+"="+value)
		}
	}
	return list
}

// insideCommand runs a line as the Procfile's are run. An image without a shell takes words.
func (p *Platform) insideCommand(ctx context.Context, i Instance, in ExecInput) (Command, error) {
	release, err := p.Store.Release(ctx, i.App, i.Release)
	if err != nil {
		return Command{}, err
	}
	extra, err := parseVars(nil, in.Env)
	if err != nil {
		return Command{}, err
	}
	cmd := Command{}
	for key, value := range extra {
		cmd.Env = append(cmd.Env, key+"="+value)
	}
	line, shell := strings.Join(in.Command, " "), release.Image.Shell
	switch {
	case line != "" && len(shell) > 0:
		cmd.Argv = commandLine(release.Image, line)
	case line != "":
		cmd.Argv = strings.Fields(line)
	case len(shell) > 0:
		cmd.Argv = shell[:1]
	default:
		cmd.Argv = []string{"/bin/sh"}
	}
	return cmd, nil
}

// AttachInput is attach.
type AttachInput struct {
	App     string `arg:"app"`
	Process string `arg:"process" optional:"true" help:"like web.1; without it the first web one"`
	Lines   int    `flag:"lines" short:"n" default:"10" help:"how many lines from before"`
}

// Attach shows what one instance writes, as it writes it, until it ends or the caller leaves by Ctrl-C.
// Nothing can be typed into it: an instance has no input.
func (p *Platform) Attach(ctx context.Context, call Call, in AttachInput) (Streamed, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return Streamed{}, err
	}
	if in.Lines < 0 {
		return Streamed{}, Errorf(Usage, "-n takes a number of lines, not %d", in.Lines)
	}
	if err := p.Wake(ctx, app.Name); err != nil {
		return Streamed{}, err
	}
	i, err := p.one(ctx, app.Name, in.Process)
	if err != nil {
		return Streamed{}, err
	}
	ctx, stop := untilQuit(ctx, call)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	go p.awaitEnd(ctx, i, cancel)
	err = p.Runner.Logs(ctx, LogQuery{App: app.Name, ID: i.ID, Lines: in.Lines, Follow: true}, func(l LogLine) error {
		return printAttached(call, l)
	})
	if errors.Is(context.Cause(ctx), errEnded) {
		_, err = fmt.Fprintf(call.Err, "%s %s.\n", i.Name(), p.asItEnded(context.WithoutCancel(ctx), i).howItEnded())
		return Streamed{}, err
	}
	if errors.Is(err, context.Canceled) {
		return Streamed{}, nil // left as one leaves
	}
	return Streamed{}, err
}

// printAttached keeps what the instance wrote to stderr apart.
func printAttached(call Call, l LogLine) error {
	w := call.Out
	if l.Stream == "stderr" {
		w = call.Err
	}
	_, err := io.WriteString(w, printable(l.Text)+"\n")
	return err
}

const (
	endPause   = 500 * time.Millisecond // between looks whether an instance ended
	lastOutput = 300 * time.Millisecond // for its last lines
)

// awaitEnd ends the context a moment after the instance did, or with it.
func (p *Platform) awaitEnd(ctx context.Context, i Instance, end context.CancelCauseFunc) {
	for sleep(ctx, endPause) == nil {
		if _, there := p.still(ctx, i); !there {
			_ = sleep(ctx, lastOutput)
			end(errEnded)
		}
	}
	end(nil)
}
