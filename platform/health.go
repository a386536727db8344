package platform

import (
	"cmp"
	"context"
	"crypto/tls"
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

// healthy waits until the instance passes every check of its process type, all in parallel, or explains
// why it does not. The end of the instance fails at once.
func (p *Platform) healthy(ctx context.Context, w want, i Instance, story *Story) error {
	rules, err := p.rules(ctx, w, i.Type)
	if err != nil {
		return err
	}
	var checks []Check
	if rules.Mode == checksEnabled {
		checks = w.startupChecks(i.Type, rules, p.Settings.StartWait)
	}
	if err := p.passes(ctx, w, i, checks, story); err != nil || story == nil {
		return err
	}
	if rules.Mode != checksEnabled {
		story.Line("%s is not checked: checks of %s are %s", i.Name(), i.Type, rules.Mode)
		return nil
	}
	p.tellDeaf(ctx, w, i, story)
	return nil
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
	err := p.tryAll(ctx, cancel, w, i, checks, story)
	select {
	case <-ended:
		err = errEnded
	default:
	}
	if err != nil {
		return p.explain(ctx, w, i, err)
	}
	if story != nil && len(checks) > 0 {
		story.Line("%s is healthy", i.Name())
	}
	return nil
}

var errEnded = errors.New("it ended")

// tryAll runs checks beside each other. The first that fails ends the others. What came of all is kept.
func (p *Platform) tryAll(ctx context.Context, cancel context.CancelCauseFunc, w want, i Instance, checks []Check, story *Story) (failed error) {
	trials := make([]*trial, len(checks))
	results := make(chan error, len(checks))
	for n, c := range checks {
		t := p.trial(w, i, c, story)
		trials[n] = t
		go func() { results <- t.run(ctx) }()
	}
	for range checks {
		if err := <-results; err != nil && failed == nil {
			failed = err
			cancel(nil)
		}
	}
	for _, t := range trials {
		if t.result.Passed || len(t.result.Attempts) > 0 { // not one that another's failure ended
			p.checked.keep(t.result)
		}
	}
	return failed
}

// tellDeaf warns of a process whose checks are fine and that cannot get requests.
func (p *Platform) tellDeaf(ctx context.Context, w want, i Instance, story *Story) {
	if (i.Type == Web || w.routed[i.Type]) && dial(ctx, i.Addr) != nil {
		story.Warn("%s passes its checks, but does not listen on PORT (%d): requests to it will fail", i.Name(), i.Addr.Port())
	}
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
	out := &tail{most: maxAttempt}
	exit, err := p.Runner.Exec(ctx, i.ID, slices.Clone(c.Command), out)
	if err != nil {
		return err
	}
	if exit.Code == 0 {
		return nil
	}
	err = fmt.Errorf("`%s` exited with %d", strings.Join(c.Command, " "), exit.Code)
	if last := out.lines(1); len(last) > 0 {
		err = fmt.Errorf("%w: %s", err, last[0])
	}
	return err
}

const (
	maxCheckBody = 1 << 20 // bytes of an answer that are searched for the check's content
	maxExcerpt   = 120     // bytes of it that a failure shows
)

// get asks the instance as the router would for a visitor. No redirects are followed: only 2xx passes.
func (p *Platform) get(ctx context.Context, w want, addr netip.AddrPort, c Check) error {
	req, err := p.checkRequest(ctx, w, addr, c)
	if err != nil {
		return err
	}
	transport := http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true, ServerName: req.Host}, //nolint:gosec // it is the instance's own, at its own address
	}
	answer, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("GET %s: %w", c.Path, err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxCheckBody))
	switch {
	case answer.StatusCode < 200 || answer.StatusCode > 299:
		return fmt.Errorf("GET %s answered %s%s", c.Path, answer.Status, excerpt(answer, body))
	case err != nil:
		return fmt.Errorf("GET %s: %w", c.Path, err)
	case !strings.Contains(string(body), c.Content):
		return fmt.Errorf("GET %s answered without %q%s", c.Path, c.Content, excerpt(answer, body))
	}
	return nil
}

// excerpt is what an answer says that was not the expected one: where it leads, or how its text begins.
func excerpt(answer *http.Response, body []byte) string {
	if to := answer.Header.Get("Location"); to != "" {
		return " to " + clipped(printable(to), maxExcerpt)
	}
	text := strings.Join(strings.Fields(printable(strings.ToValidUTF8(string(body[:min(len(body), 4*maxExcerpt)]), ""))), " ")
	if text == "" {
		return ""
	}
	return ": " + clipped(text, maxExcerpt)
}

func (p *Platform) checkRequest(ctx context.Context, w want, addr netip.AddrPort, c Check) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, cmp.Or(c.Scheme, "http")+"://"+addr.String()+c.Path, nil)
	if err != nil {
		return nil, err
	}
	hosts, err := p.hosts(ctx, w.app.Name)
	if err != nil {
		return nil, err
	}
	req.Host = hosts[0]
	for _, host := range hosts {
		if !strings.HasPrefix(host, "*.") {
			req.Host = host // an own domain if there is one
		}
	}
	if p.https(ctx, w.app.Name).Port != 0 { // an app that insists on HTTPS would answer with a redirect
		req.Header.Set("X-Forwarded-Proto", "https")
	}
	for name, value := range c.Headers {
		if strings.EqualFold(name, "Host") { // net/http takes it from here alone
			req.Host = value
		}
		req.Header.Set(name, value)
	}
	return req, nil
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
