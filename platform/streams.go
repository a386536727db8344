package platform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// LogsInput is logs.
type LogsInput struct {
	App     string `arg:"app"`
	Lines   int    `flag:"lines" short:"n" default:"100" help:"how many lines from the end"`
	Follow  bool   `flag:"follow" short:"f" help:"go on with new lines until Ctrl-C"`
	Process string `flag:"process" short:"p" value:"TYPE" help:"only this process type or process, like web or web.1"`
	JSON    bool   `flag:"json" help:"one JSON object a line"`
}

// Streamed is the output of a verb that has written it all already.
type Streamed struct{ Exit int }

// Text implements the verbs' output.
func (Streamed) Text(io.Writer) error { return nil }

// ExitStatus is the status the door ends with.
func (s Streamed) ExitStatus() int { return s.Exit }

// Logs prints the app's log and follows it.
func (p *Platform) Logs(ctx context.Context, call Call, in LogsInput) (Streamed, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return Streamed{}, err
	}
	if in.Lines < 0 {
		return Streamed{}, Errorf(Usage, "-n takes a number of lines, not %d", in.Lines)
	}
	ctx, stop := untilQuit(ctx, call)
	defer stop()
	q := LogQuery{App: app.Name, Source: in.Process, Lines: in.Lines, Follow: in.Follow}
	print := printLog
	if in.JSON {
		print = printLogJSON
	}
	err = p.Runner.Logs(ctx, q, func(l LogLine) error { return print(call.Out, l) })
	if errors.Is(err, context.Canceled) {
		return Streamed{Exit: 130}, nil
	}
	return Streamed{}, err
}

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
