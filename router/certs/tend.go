package certs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"

	"paas/platform"
)

// attemptTime bounds one attempt: the authority's time, and what DNS takes to spread a record.
const attemptTime = 5 * time.Minute

// failure is what is known of attempts that failed since the last success. It is in the vault, so that a
// daemon that starts over and over does not ask over and over.
type failure struct {
	Count int       `json:"count"`
	Next  time.Time `json:"next"`
	Text  string    `json:"text"`
}

func failureKey(host string) string { return "failures/" + certmagic.StorageKeys.Safe(host) }

// tend sees to it that the name has its certificate in memory: from the vault, or else from the authority.
// From then on certmagic renews it. It blocks until that is so, or ctx ends, or there is nothing to wait for
// but a change of settings, which begins anew.
func (m *Manager) tend(ctx context.Context, n *name) {
	m.recall(ctx, n)
	for {
		wait, over := m.step(ctx, n)
		if over {
			return
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// step makes one attempt if it is time for it.
func (m *Manager) step(ctx context.Context, n *name) (wait time.Duration, over bool) {
	switch err := m.load(ctx, n); {
	case err == nil || ctx.Err() != nil:
		return 0, true
	case !errors.Is(err, fs.ErrNotExist):
		m.failed(ctx, n, fmt.Errorf("load the certificate of %s: %w", n.host, err), false)
		return n.wait(m.Now()), false
	}
	if reason := m.idle(n); reason != "" {
		n.is("waiting", reason)
		return 0, true
	}
	if wait := n.wait(m.Now()); wait > 0 {
		return wait, false
	}
	select {
	case m.slots <- struct{}{}:
	case <-ctx.Done():
		return 0, true
	}
	defer func() { <-m.slots }()
	err := m.obtain(ctx, n, false)
	if ctx.Err() != nil {
		return 0, true
	}
	if err == nil {
		m.succeeded(n, false)
		return 0, true
	}
	m.failed(ctx, n, err, false)
	return n.wait(m.Now()), false
}

// idle says why nothing is asked of an authority at present.
func (m *Manager) idle(n *name) string {
	switch {
	case m.HTTPSPort == 0:
		return "HTTPS is not served here: paas serve --https :443"
	case m.covered(n):
		return "covered by " + m.above(n.host).host
	case !m.asked.Load().spec.Agreed:
		return "no certificate authority was agreed to: paas certs:set --global email=you@example.com"
	case m.configFor(n) == nil:
		return "a wildcard needs a DNS provider: paas certs:set --global dns-provider=…"
	case n.wish.Lazy:
		return "obtained when the first client asks for it"
	}
	return ""
}

// covered tells whether a wildcard's certificate serves the name as well.
func (m *Manager) covered(n *name) bool {
	wide := m.above(n.host)
	return wide != nil && wide != n && wide.source == fromACME && !wide.wish.Lazy && m.asked.Load().provider != nil &&
		(n.wish.Solve == solveAuto || n.wish.Solve == solveDNS || n.wish.Solve == "")
}

// load puts the name's certificate from the vault into memory, in the place of what is there.
func (m *Manager) load(ctx context.Context, n *name) error {
	config := m.configFor(n)
	if config == nil || m.HTTPSPort == 0 || m.covered(n) {
		return fs.ErrNotExist
	}
	select {
	case m.loads <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-m.loads }()
	before := m.cached(n.host)
	c, err := config.CacheManagedCertificate(ctx, n.host)
	if err != nil {
		return err
	}
	var old []string
	for _, b := range before {
		if b.Hash() != c.Hash() {
			old = append(old, b.Hash())
		}
	}
	m.cache.Remove(old)
	n.ready.Store(true)
	return nil
}

// attempt is what an attempt's events know about it.
type attempt struct {
	end context.CancelFunc
	err error
}

type attemptKey struct{}

// obtain makes one attempt. certmagic would go on by itself for a month; the first failure ends that.
func (m *Manager) obtain(ctx context.Context, n *name, anew bool) error {
	config := m.configFor(n)
	if config == nil {
		return platform.Errorf(platform.Failed, "%s", m.idle(n))
	}
	a := &attempt{}
	trying, end := context.WithTimeout(context.WithValue(ctx, attemptKey{}, a), attemptTime)
	defer end()
	a.end = end
	var err error
	if anew && config.Storage.Exists(ctx, m.siteKey(n)) {
		err = config.RenewCertAsync(trying, n.host, true)
	} else {
		err = config.ObtainCertAsync(trying, n.host)
	}
	if a.err != nil {
		err = a.err
	}
	if err != nil {
		return err
	}
	return m.load(ctx, n)
}

func (m *Manager) siteKey(n *name) string {
	return certmagic.StorageKeys.SiteCert(m.asked.Load().issuers[0].IssuerKey(), n.host)
}

// event implements certmagic.Config.OnEvent.
func (m *Manager) event(ctx context.Context, event string, data map[string]any) error {
	host, _ := data["identifier"].(string)
	renewal, _ := data["renewal"].(bool)
	a, _ := ctx.Value(attemptKey{}).(*attempt)
	switch event {
	case "cert_obtaining":
		return m.permit(ctx, host, a)
	case "cert_failed":
		err, _ := data["error"].(error)
		m.ended(ctx, host, a, err)
	case "cert_obtained":
		if n := m.find(host); n != nil && a == nil && renewal {
			m.succeeded(n, true)
		}
	}
	return nil
}

// permit is asked before anything is said to an authority.
func (m *Manager) permit(ctx context.Context, host string, a *attempt) error {
	n := m.find(host)
	var err error
	switch {
	case n == nil || n.source != fromACME:
		err = fmt.Errorf("nobody wants a certificate for %s any more", host)
	case !m.asked.Load().spec.Agreed:
		err = errors.New("no certificate authority was agreed to")
	case n.wish.Lazy && host != n.host:
		err = m.takeQuota(n.app)
	}
	if err == nil && n.solve() != solveDNS && !n.wish.Blind {
		err = m.pointsHere(ctx, host)
	}
	if err == nil {
		return nil
	}
	m.ended(ctx, host, a, err)
	return certmagic.ErrNoRetry{Err: err}
}

// ended notes that an attempt failed: for who makes it, or, when certmagic itself makes it to renew, here.
func (m *Manager) ended(ctx context.Context, host string, a *attempt, err error) {
	if a != nil {
		a.err = err
		a.end()
		return
	}
	if n := m.find(host); n != nil && ctx.Err() == nil {
		m.failed(ctx, n, err, true)
	}
}

func (n *name) is(phase, text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.phase = phase
	if n.failure.Count == 0 {
		n.failure.Text = text
	}
}

// wait is how long it takes to the next attempt.
func (n *name) wait(now time.Time) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.failure.Count == 0 {
		return 0
	}
	return n.failure.Next.Sub(now)
}

// failed notes a failure and when to try again.
func (m *Manager) failed(ctx context.Context, n *name, err error, renewal bool) {
	n.mu.Lock()
	f := &n.failure
	f.Count++
	f.Text = describe(err)
	f.Next = m.Now().Add(m.pause(f.Count, err)).UTC()
	n.phase = "failing"
	record := *f
	n.mu.Unlock()
	if text, err := json.Marshal(record); err == nil {
		if err := m.storage.Store(context.WithoutCancel(ctx), failureKey(n.host), text); err != nil {
			m.Log.Error("note a failed certificate", "host", n.host, "err", err)
		}
	}
	m.tell(platform.CertificateNews{App: n.app, Host: n.host, Renewal: renewal, Next: record.Next, Err: errors.New(record.Text)})
}

// pauseLimited is the least number of steps of the back-off that a rate limit costs.
const pauseLimited = 5

func (m *Manager) pause(failures int, err error) time.Duration {
	var p acme.Problem
	if errors.As(err, &p) && p.Type == acme.ProblemTypeRateLimited {
		failures = max(failures, pauseLimited)
	}
	return m.Backoff[min(failures, len(m.Backoff))-1]
}

// succeeded forgets failures.
func (m *Manager) succeeded(n *name, renewal bool) {
	n.mu.Lock()
	had := n.failure.Count > 0
	n.failure = failure{}
	n.mu.Unlock()
	if had {
		if err := m.storage.Delete(context.WithoutCancel(m.life), failureKey(n.host)); err != nil {
			m.Log.Error("forget a failed certificate", "host", n.host, "err", err)
		}
	}
	m.tell(platform.CertificateNews{App: n.app, Host: n.host, Renewal: renewal})
}

// recall reads what a predecessor noted.
func (m *Manager) recall(ctx context.Context, n *name) {
	text, err := m.storage.Load(ctx, failureKey(n.host))
	if err != nil {
		return // mostly there is none; and without it an attempt comes early at worst
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := json.Unmarshal(text, &n.failure); err != nil {
		n.failure = failure{}
	}
	if n.failure.Count > 0 {
		n.phase = "failing"
	}
}

// describe is an error for people: what the authority said, without what certmagic wraps around it.
func describe(err error) string {
	var p acme.Problem
	var e *platform.Error
	switch {
	case errors.As(err, &e):
		return e.Message
	case errors.As(err, &p):
		kind := p.Type
		if len(kind) > len(acme.ProblemTypeNamespace) {
			kind = kind[len(acme.ProblemTypeNamespace):]
		}
		return fmt.Sprintf("the authority refused (%s): %s", kind, p.Detail)
	default:
		return err.Error()
	}
}

// Obtain implements platform.Certificates.
func (m *Manager) Obtain(ctx context.Context, host string, anew bool) error {
	n, err := m.wanted(host)
	if err != nil {
		return err
	}
	if reason := m.idle(n); reason != "" && !n.wish.Lazy {
		return platform.Errorf(platform.Failed, "nothing can be obtained for %s: %s", host, reason)
	}
	m.mu.Lock()
	if n.end != nil {
		n.end() // who tends it would wait for its time
	}
	m.mu.Unlock()
	n.mu.Lock()
	n.failure = failure{}
	n.mu.Unlock()
	err = m.obtain(ctx, n, anew)
	if err == nil {
		m.succeeded(n, anew)
		return nil
	}
	m.failed(ctx, n, err, anew)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.begin(n)
	return platform.Errorf(platform.Failed, "no certificate for %s: %s", host, describe(err)).Because(err)
}

// wanted is the name if an authority is asked about it.
func (m *Manager) wanted(host string) (*name, error) {
	v, ok := m.names.Load(host)
	if !ok {
		return nil, platform.Errorf(platform.NotFound, "no app has the domain %s", host)
	}
	n := v.(*name)
	if n.source != fromACME {
		return nil, platform.Errorf(platform.Conflict, "the certificate of %s comes from elsewhere (%s)", host, n.source)
	}
	return n, nil
}

// Revoke implements platform.Certificates.
func (m *Manager) Revoke(ctx context.Context, host string, reason int) error {
	n, err := m.wanted(host)
	if err != nil {
		return err
	}
	config := m.asked.Load().configs[solveAuto]
	err = config.RevokeCert(ctx, host, reason, false)
	if errors.Is(err, fs.ErrNotExist) {
		return platform.Errorf(platform.NotFound, "%s has no certificate of this authority", host)
	}
	if err != nil {
		return platform.Errorf(platform.Failed, "the certificate of %s was not revoked: %s", host, describe(err)).Because(err)
	}
	m.unload(n)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.begin(n)
	return nil
}
