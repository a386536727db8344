package platform

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// explain turns a failed check into a sentence, with the instance's last output as evidence.
func (p *Platform) explain(ctx context.Context, w want, i Instance, cause error) error {
	if errors.Is(cause, context.Canceled) {
		return cause
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if errors.Is(cause, errEnded) {
		i = p.asItEnded(ctx, i)
	}
	t := p.diagnose(ctx, w, i, cause)
	e := Errorf(Unhealthy, "%s", t.Text).because(t, cause)
	e.Output = t.Output
	return e.WithHint("%s", t.Fix)
}

// diagnose finds out why an instance is not healthy.
func (p *Platform) diagnose(ctx context.Context, w want, i Instance, cause error) Trouble {
	output := p.lastLines(ctx, i, newMask(w.release.Config))
	var t Trouble
	switch {
	case errors.Is(cause, errEnded):
		t = w.ending(i, output).trouble()
	case errors.Is(cause, errDeaf):
		t = p.deaf(i)
	default:
		t = Trouble{Code: TroubleCheck, Text: fmt.Sprintf("%s is not healthy: %v", i.Name(), cause), Fix: fmt.Sprintf("see all of it: ssh paas logs %s", i.App)}
	}
	t.Process, t.Release, t.Instance, t.Output = i.Name(), i.Release, i.ID, output
	if t.Code == TroubleCheck {
		t.Check = p.transcriptOf(i)
	}
	return t
}

// notStarted gives a start that the Runner refused with a sentence its code, unless it has one.
func (w want) notStarted(s slot, err error) error {
	var e *Error
	var known *troubled
	if !errors.As(err, &e) || errors.As(err, &known) {
		return err
	}
	t := Trouble{Code: TroubleStart, Process: s.String(), Release: w.release.Number}
	return e.because(t, err)
}

// sayNotStarted tells that an instance could not be started, unless nobody wanted it any more. A cause without a
// sentence for people is the server's log's.
func (p *Platform) sayNotStarted(ctx context.Context, w want, s slot, err error) {
	if ctx.Err() != nil {
		return
	}
	text := fmt.Sprintf("%s of v%d could not be started", s, w.release.Number)
	if e := new(Error); errors.As(err, &e) && e.Kind != Internal {
		text += ": " + strings.TrimSuffix(e.Message, ".")
	}
	p.say(Event{Kind: EventStartFailed, App: w.app.Name, Process: s.String(), Release: w.release.Number, Text: text})
}

// mostChecked is how many lines of a failed check's transcript are shown: its name and the last attempts.
const mostChecked = 8

// transcriptOf is what the instance's failed checks came to.
func (p *Platform) transcriptOf(i Instance) (lines []string) {
	for _, r := range p.Transcripts(i.App) {
		if r.Passed || r.Instance != i.ID {
			continue
		}
		all := r.Lines()
		lines = append(lines, all[0])
		lines = append(lines, all[max(1, len(all)-mostChecked+1):]...)
	}
	return lines
}

func (w want) ending(i Instance, output []string) ending {
	image := w.release.Image
	command := image.Processes[i.Type]
	if argv := image.Commands[i.Type]; argv != nil {
		command = strings.Join(argv, " ")
	}
	return ending{app: i.App, typ: i.Type, name: i.Name(), command: command, exit: i.Exit, output: output}
}

// asItEnded is the instance with its exit, if that is known.
func (p *Platform) asItEnded(ctx context.Context, i Instance) Instance {
	list, err := p.Runner.Instances(ctx)
	if err != nil {
		return i
	}
	for _, have := range list {
		if have.ID == i.ID {
			return have
		}
	}
	return i
}

func (i Instance) howItEnded() string {
	if i.Exit == nil {
		return "ended"
	}
	return i.Exit.String()
}

// String says it as the rest of a sentence about a process.
func (e Exit) String() string {
	switch {
	case e.OOM:
		return outOfMemory(e.MemoryPeak, e.MemoryLimit)
	case e.Lost:
		return "went down with the machine"
	case e.Signal != "":
		return "was ended by " + e.Signal
	default:
		return fmt.Sprintf("exited with status %d", e.Code)
	}
}

// deaf tells a process that listens nowhere from one that does so elsewhere.
func (p *Platform) deaf(i Instance) Trouble {
	port := int(i.Addr.Port())
	t := Trouble{Code: TroubleDeaf, Port: port, Text: fmt.Sprintf("%s does not listen on PORT (%d)", i.Name(), port)}
	t.Fix = fmt.Sprintf("let the web process listen on 0.0.0.0 and the port in the PORT environment variable (%d)", port)
	addrs, err := p.Runner.Listening(i.ID)
	if err != nil || len(addrs) == 0 {
		return t
	}
	t.Code = TroublePort
	t.Text = fmt.Sprintf("%s listens on %s; PORT is %d", i.Name(), joinAddrs(addrs), port)
	for _, a := range addrs {
		t.Listening = append(t.Listening, a.String())
		if a.Addr().IsLoopback() && int(a.Port()) == port {
			t.Code = TroubleLoopback
			t.Text = fmt.Sprintf("%s listens on %s only, where nobody but itself reaches it; PORT is %d", i.Name(), joinAddrs(addrs), port)
			t.Fix = fmt.Sprintf("bind 0.0.0.0:%d (or [::]:%d) instead of 127.0.0.1", port, port)
		}
	}
	return t
}

func joinAddrs(addrs []netip.AddrPort) string {
	var texts []string
	for _, a := range addrs {
		texts = append(texts, a.String())
	}
	return strings.Join(texts, ", ")
}
