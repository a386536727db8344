package platform

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// trial is one check of one instance, and what came of it so far.
type trial struct {
	platform *Platform
	want     want
	instance Instance
	check    Check
	story    *Story // is told what fails; may be nil
	result   CheckResult
}

func (p *Platform) trial(w want, i Instance, c Check, story *Story) *trial {
	return &trial{platform: p, want: w, instance: i, check: c, story: story, result: CheckResult{
		App: i.App, Process: i.Name(), Instance: i.ID, Release: i.Release,
		Type: c.kind(), Name: c.Name, What: c.What(), Warns: c.Warn, Attempts: []CheckAttempt{},
	}}
}

// run makes the check's attempts until one passes or none is left. A check that only warns does not fail.
func (t *trial) run(ctx context.Context) error {
	err := sleep(ctx, t.check.InitialDelay)
	if err == nil {
		err = t.attempts(ctx)
	}
	t.result.Passed = err == nil
	if err == nil || ctx.Err() != nil { // the instance ended, another check failed, or nobody wants to know any more
		return err
	}
	t.afterFailure(ctx)
	if !t.check.Warn {
		return err
	}
	t.tell("%s fails its check %s, which only warns: %v", t.instance.Name(), t.check.Name, err)
	return nil
}

func (t *trial) attempts(ctx context.Context) error {
	c, addr := t.check, t.check.addr(t.instance)
	switch {
	case c.Uptime > 0:
		return t.attempt(func() error { return sleep(ctx, c.Uptime-t.platform.Now().Sub(t.instance.StartedAt)) })
	case c.Listening:
		return t.attempt(func() error { return listening(ctx, addr, c.patience()) })
	case c.Path != "": // an attempt that only finds a closed port would cost a whole wait: let it open first
		patience := max(c.patience(), t.platform.Settings.StartWait)
		if err := listening(ctx, addr, patience); err != nil {
			return t.attempt(func() error { return err })
		}
	}
	return t.again(ctx)
}

// toldAttempts are the failures of a check that are told one by one.
const toldAttempts = 5

func (t *trial) again(ctx context.Context) (err error) {
	attempts := max(t.check.Attempts, 1)
	for n := range attempts {
		if n > 0 {
			if err := sleep(ctx, t.check.Wait); err != nil {
				return err
			}
		}
		if err = t.once(ctx); err == nil {
			return nil
		}
		if n < toldAttempts && ctx.Err() == nil {
			t.tell("%s, check %s, attempt %d of %d: %v", t.instance.Name(), t.check.Name, n+1, attempts, err)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// once is one attempt within the check's timeout, without waiting for a port to open.
func (t *trial) once(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, t.check.Timeout)
	defer cancel()
	return t.attempt(func() error {
		err := t.platform.ask(within, t.want, t.instance, t.check)
		if err != nil && ctx.Err() == nil && errors.Is(within.Err(), context.DeadlineExceeded) {
			return fmt.Errorf("%s took longer than %s", t.check.What(), spellDuration(t.check.Timeout))
		}
		return err
	})
}

// attempt notes what comes of one.
func (t *trial) attempt(once func() error) error {
	begun := t.platform.Now()
	err := once()
	if !errors.Is(err, context.Canceled) {
		t.result.note(begun, t.platform.Now().Sub(begun), err)
	}
	return err
}

func (t *trial) tell(format string, args ...any) {
	if t.story != nil {
		t.story.Line("%s", clipped(printable(fmt.Sprintf(format, args...)), 2*maxAttempt))
	}
}

// ask does what the check says, once.
func (p *Platform) ask(ctx context.Context, w want, i Instance, c Check) error {
	switch {
	case c.Uptime > 0: // that it runs is all it asks
		return nil
	case c.Listening:
		return dial(ctx, c.addr(i))
	case len(c.Command) > 0:
		return p.command(ctx, i, c)
	}
	return p.get(ctx, w, c.addr(i), c)
}

const (
	afterFailureTime  = 10 * time.Second // for the command that is run when a check has failed
	afterFailureLines = 20               // of its output
)

// afterFailure runs the check's onFailure command inside the instance, for those who read the transcript.
func (t *trial) afterFailure(ctx context.Context) {
	if len(t.check.OnFailure) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, afterFailureTime)
	defer cancel()
	out := &tail{most: keptTail}
	if _, err := t.platform.Runner.Exec(ctx, t.instance.ID, t.check.OnFailure, out); err != nil {
		t.result.Output = []string{clipped("it could not be run: "+err.Error(), maxAttempt)}
		return
	}
	t.result.Output = out.lines(afterFailureLines)
	for _, line := range t.result.Output {
		t.tell("%s, on failure: %s", t.instance.Name(), line)
	}
}

// tail keeps the end of what is written to it.
type tail struct {
	most int // bytes
	buf  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p[max(0, len(p)-t.most):]...)
	if len(t.buf) > 2*t.most {
		t.buf = bytes.Clone(t.buf[len(t.buf)-t.most:])
	}
	return len(p), nil
}

// lines are its last n that are not empty, each of bounded length.
func (t *tail) lines(n int) (list []string) {
	for line := range strings.SplitSeq(strings.ToValidUTF8(string(t.buf), "�"), "\n") {
		if line = strings.TrimSpace(printable(line)); line != "" {
			list = append(list, clipped(line, maxAttempt))
		}
	}
	return list[max(0, len(list)-n):]
}
