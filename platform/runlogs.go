package platform

import (
	"context"
	"errors"
)

// RunLogsInput is run:logs.
type RunLogsInput struct {
	App       string `arg:"app"`
	ID        string `arg:"id" optional:"true" help:"like run.12; without it those of all"`
	Container string `flag:"container" value:"ID" help:"the same as the id"`
	Lines     int    `flag:"lines" short:"n" default:"100" help:"how many lines from the end"`
	Follow    bool   `flag:"follow" short:"f" help:"go on until it ends, or Ctrl-C"`
	Tail      bool   `flag:"tail" short:"t" help:"the same as --follow"`
	JSON      bool   `flag:"json" help:"one JSON object a line"`
}

// RunLogs prints what detached commands wrote, out of the app's one time line. Those that are attached write to who is.
func (p *Platform) RunLogs(ctx context.Context, call Call, in RunLogsInput) (Streamed, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return Streamed{}, err
	}
	if in.Lines < 0 {
		return Streamed{}, Errorf(Usage, "-n takes a number of lines, not %d", in.Lines)
	}
	q := LogFilter{App: app.Name, Sources: []LogSource{LogRun}, Last: in.Lines, Follow: in.Follow || in.Tail}
	var over <-chan struct{} // closed when what is followed has ended; nil: nobody knows
	if word := in.ID + in.Container; word != "" {
		o, err := p.oneOffOf(ctx, app, word)
		if err != nil {
			return Streamed{}, err
		}
		if !o.Detached {
			return Streamed{}, Errorf(Conflict, "%s writes to who runs it, not to the log", o.Name())
		}
		q.Sources, q.Process = []LogSource{LogRun, LogCron}, o.Name()
		run := p.oneoffs.find(o.ID)
		if q.Follow = q.Follow && run != nil; q.Follow {
			over = run.over
		}
	}
	form, err := p.logForm(ctx, app.Name, LogsInput{JSON: in.JSON})
	if err != nil || p.Logbook == nil {
		return Streamed{}, err
	}
	ctx, stop := untilQuit(ctx, call)
	defer stop()
	out := &logPrinter{to: call.Out, form: form}
	err = errors.Join(p.readUntil(ctx, q, over, out.print), out.flush())
	switch {
	case errors.Is(context.Cause(ctx), errQuit):
		return Streamed{}, nil
	case ctx.Err() != nil:
		return Streamed{Exit: 130}, nil
	}
	return Streamed{}, err
}

// readUntil reads a log and, if it follows, ends when over is closed, after the last line that was written until then.
func (p *Platform) readUntil(ctx context.Context, q LogFilter, over <-chan struct{}, yield func(LogEntry) error) error {
	if over == nil || !q.Follow {
		return p.Logbook.Read(ctx, q, yield)
	}
	if q.Last == 0 {
		q.Since = p.Now() // else the second look would find what was not asked for
	}
	following, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-over:
			cancel()
		case <-following.Done():
		}
	}()
	var last uint64
	err := p.Logbook.Read(following, q, func(e LogEntry) error {
		last = max(last, e.Number)
		return yield(e)
	})
	if ctx.Err() != nil || following.Err() == nil {
		return err
	}
	q.Follow, q.Last = false, AllLines // a Read begins with all that was written before it
	return p.Logbook.Read(ctx, q, func(e LogEntry) error {
		if e.Number <= last {
			return nil
		}
		return yield(e)
	})
}
