package platform

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// lastWords is how many lines of an instance's output a failure shows.
const lastWords = 20

// explain turns a failed check into a sentence, with the instance's last output as evidence.
func (p *Platform) explain(ctx context.Context, w want, i Instance, cause error) error {
	if errors.Is(cause, context.Canceled) {
		return cause
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	name := fmt.Sprintf("%s.%d", i.Type, i.Number)
	if errors.Is(cause, errEnded) {
		i = p.asItEnded(ctx, i)
	}
	e := Errorf(Unhealthy, "%s %s", name, p.reason(ctx, w, i, cause)).Because(cause)
	e.Output = p.lastLines(ctx, i)
	return e.WithHint("%s", hint(cause, i))
}

func (p *Platform) reason(ctx context.Context, w want, i Instance, cause error) string {
	switch {
	case errors.Is(cause, errEnded):
		return i.howItEnded()
	case errors.Is(cause, errDeaf):
		return p.whereItListens(i)
	default:
		return fmt.Sprintf("is not healthy: %v", cause)
	}
}

func hint(cause error, i Instance) string {
	if i.Exit != nil && i.Exit.OOM {
		return moreMemory(i.App, i.Type, i.Exit.MemoryLimit)
	}
	if errors.Is(cause, errDeaf) {
		return "let the web process listen on 0.0.0.0 and the port in the PORT environment variable"
	}
	return fmt.Sprintf("see all of it: ssh paas logs %s", i.App)
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

// whereItListens tells a process that is deaf from one that listens elsewhere.
func (p *Platform) whereItListens(i Instance) string {
	addrs, err := p.Runner.Listening(i.ID)
	if err != nil || len(addrs) == 0 {
		return fmt.Sprintf("does not listen on PORT (%d)", i.Addr.Port())
	}
	return fmt.Sprintf("listens on %s, not on PORT (%d) of every address", joinAddrs(addrs), i.Addr.Port())
}

func joinAddrs(addrs []netip.AddrPort) string {
	var texts []string
	for _, a := range addrs {
		texts = append(texts, a.String())
	}
	return strings.Join(texts, ", ")
}

func (p *Platform) lastLines(ctx context.Context, i Instance) (lines []string) {
	q := LogQuery{App: i.App, ID: i.ID, Lines: lastWords}
	err := p.Runner.Logs(ctx, q, func(l LogLine) error {
		lines = append(lines, l.Text)
		return nil
	})
	if err != nil {
		p.Log.Error("read last output", "instance", i.ID, "err", err)
	}
	return lines
}
