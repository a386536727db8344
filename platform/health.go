package platform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// defaultUptime is how long a process without checks that is not routed must survive.
const defaultUptime = time.Second

// healthy waits until the instance passes every check of its process type, all in parallel, or explains
// why it does not. The end of the instance fails at once.
func (p *Platform) healthy(ctx context.Context, w want, i Instance, story *Story) error {
	return p.passes(ctx, w, i, w.checks(i.Type, p.Settings.StartWait), story)
}

// passes is healthy with other checks.
func (p *Platform) passes(ctx context.Context, w want, i Instance, checks []Check, story *Story) error {
	ended, stopWatching := p.lane(w.app.Name).watchEnd(i.ID)
	defer stopWatching()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-ended:
			cancel(errEnded)
		case <-ctx.Done():
		}
	}()
	results := make(chan error, len(checks))
	for _, c := range checks {
		go func() { results <- p.check(ctx, w, i, c) }()
	}
	for range checks {
		if err := <-results; err != nil {
			cancel(nil)
			return p.explain(ctx, w, i, err)
		}
	}
	if story != nil {
		story.Line("%s.%d is healthy", i.Type, i.Number)
	}
	return nil
}

var errEnded = errors.New("it ended")

// checks are those that app.json declares, and without any: a routed process listens on its port,
// another one survives its first second.
func (w want) checks(typ ProcessType, startWait time.Duration) []Check {
	var list []Check
	for _, c := range w.release.Image.Checks[typ] {
		if c.Type == Startup {
			list = append(list, c)
		}
	}
	if len(list) > 0 {
		return list
	}
	if typ == Web || w.routed[typ] {
		return []Check{{Listening: true, Attempts: 1, Timeout: startWait}}
	}
	return []Check{{Uptime: defaultUptime, Attempts: 1}}
}

// check runs one check's attempts.
func (p *Platform) check(ctx context.Context, w want, i Instance, c Check) error {
	if err := sleep(ctx, c.InitialDelay); err != nil {
		return err
	}
	addr := c.addr(i)
	switch {
	case c.Uptime > 0:
		return sleep(ctx, c.Uptime-p.Now().Sub(i.StartedAt))
	case c.Listening:
		return listening(ctx, addr, c.patience())
	case len(c.Command) > 0:
		return attempt(ctx, c, func(ctx context.Context) error { return p.command(ctx, i, c) })
	}
	// An attempt that only finds a closed port would cost a whole wait: let it open first.
	if err := listening(ctx, addr, max(c.patience(), p.Settings.StartWait)); err != nil {
		return err
	}
	return attempt(ctx, c, func(ctx context.Context) error { return p.get(ctx, w, addr, c) })
}

// addr is where the check asks.
func (c Check) addr(i Instance) netip.AddrPort {
	if c.Port != 0 {
		return netip.AddrPortFrom(i.Addr.Addr(), uint16(c.Port))
	}
	return i.Addr
}

func dial(ctx context.Context, addr netip.AddrPort) error {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return err
	}
	return conn.Close()
}

// patience is how long all attempts may take together.
func (c Check) patience() time.Duration {
	return time.Duration(c.Attempts)*c.Timeout + time.Duration(max(c.Attempts-1, 0))*c.Wait
}

func attempt(ctx context.Context, c Check, once func(context.Context) error) (err error) {
	for n := range max(c.Attempts, 1) {
		if n > 0 {
			if err := sleep(ctx, c.Wait); err != nil {
				return err
			}
		}
		try, cancel := context.WithTimeout(ctx, c.Timeout)
		err = once(try)
		cancel()
		if err == nil {
			return nil
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// How often a port is tried: so that looking adds a fiftieth to a start, and never more than this.
const (
	shortestTry = time.Millisecond
	longestTry  = 20 * time.Millisecond
	tryPart     = 50
)

// listening dials until the port answers. Visitors of an app that is being woken wait for it.
func listening(ctx context.Context, addr netip.AddrPort, limit time.Duration) error {
	limited, cancel := context.WithTimeoutCause(ctx, limit, errDeaf)
	defer cancel()
	for begun := time.Now(); ; {
		if dial(limited, addr) == nil {
			return nil
		}
		pause := min(max(time.Since(begun)/tryPart, shortestTry), longestTry)
		if err := sleep(limited, pause); err != nil {
			return err
		}
	}
}

var errDeaf = errors.New("nothing listens")

func (p *Platform) command(ctx context.Context, i Instance, c Check) error {
	exit, err := p.Runner.Exec(ctx, i.ID, slices.Clone(c.Command), io.Discard)
	if err != nil {
		return err
	}
	if exit.Code != 0 {
		return fmt.Errorf("`%s` exited with %d", strings.Join(c.Command, " "), exit.Code)
	}
	return nil
}

const maxCheckBody = 1 << 20 // bytes of an answer that are searched for the check's content

func (p *Platform) get(ctx context.Context, w want, addr netip.AddrPort, c Check) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr.String()+c.Path, nil)
	if err != nil {
		return err
	}
	hosts, err := p.hosts(ctx, w.app.Name)
	if err != nil {
		return err
	}
	req.Host = hosts[0]
	for _, host := range hosts {
		if !strings.HasPrefix(host, "*.") {
			req.Host = host // an own domain if there is one
		}
	}
	for name, value := range c.Headers {
		req.Header.Set(name, value)
	}
	transport := http.Transport{DisableKeepAlives: true}
	answer, err := transport.RoundTrip(req) // no redirects: only 2xx passes
	if err != nil {
		return fmt.Errorf("GET %s: %w", c.Path, err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxCheckBody))
	switch {
	case answer.StatusCode < 200 || answer.StatusCode > 299:
		return fmt.Errorf("GET %s answered %s", c.Path, answer.Status)
	case err != nil:
		return fmt.Errorf("GET %s: %w", c.Path, err)
	case !strings.Contains(string(body), c.Content):
		return fmt.Errorf("GET %s answered without %q", c.Path, c.Content)
	}
	return nil
}

// sleep waits, or returns why ctx ended.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
