package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	"paas/platform"
)

// A wildcard without a DNS provider is obtained name by name, when a client asks. Clients choose the names, so
// an app gets this many new ones an hour, those that fail among them: authorities count them.
const (
	lazyQuota  = 50
	lazyPeriod = time.Hour
	// lazyFailures is how many names below one wildcard are known to have failed; a flood of others does not make it
	// forget them before their time.
	lazyFailures = 1000
)

// errQuota is a name too many.
var errQuota = errors.New("no more this hour")

// quota counts what was obtained in the current period.
type quota struct {
	since time.Time
	taken int
	told  bool // that it is used up
}

func (m *Manager) takeQuota(app platform.AppName) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	q := m.lazies[app]
	if q == nil || m.Now().Sub(q.since) >= lazyPeriod {
		q = &quota{since: m.Now()}
		m.lazies[app] = q
	}
	if q.taken >= m.LazyQuota {
		return fmt.Errorf("%s has had %d new names since %s: %w", app, q.taken, q.since.UTC().Format(time.RFC3339), errQuota)
	}
	q.taken++
	return nil
}

// mayObtain implements certmagic.OnDemandConfig.DecisionFunc. It looks at what is in memory only.
func (m *Manager) mayObtain(_ context.Context, host string) error {
	n := m.find(host)
	switch {
	case n == nil || n.source != fromACME || !n.wish.Lazy:
		return errors.New("no app wants that")
	case !m.asked.Load().spec.Agreed:
		return errors.New("no certificate authority was agreed to")
	case n.waitBelow(host, m.Now()) > 0:
		return errors.New("it failed a moment ago")
	}
	return nil
}

// atHandshake is a certificate that is obtained when the first client asks.
func (m *Manager) atHandshake(n *name, hello *tls.ClientHelloInfo) *tls.Certificate {
	a := &attempt{}
	ctx, end := context.WithTimeout(context.WithValue(hello.Context(), attemptKey{}, a), attemptTime)
	defer end()
	a.end = end
	config := m.configFor(n)
	if config == nil {
		return nil
	}
	c, err := config.GetCertificateWithContext(ctx, hello)
	if a.err != nil {
		m.failedBelow(n, strings.TrimSuffix(strings.ToLower(hello.ServerName), "."), a.err)
	}
	if err != nil || a.err != nil {
		return nil
	}
	n.ready.Store(n.host == hello.ServerName || n.ready.Load())
	return c
}

// waitBelow is how long it takes to the next attempt for a name: the one that was asked for, which may be below n.
func (n *name) waitBelow(host string, now time.Time) time.Duration {
	if host == n.host {
		return n.wait(now)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.below[host].Next.Sub(now)
}

// failedBelow notes a failure of the name that was asked for only: clients choose what is asked for below a wildcard, and
// one that fails must not keep the others from theirs.
func (m *Manager) failedBelow(n *name, host string, err error) {
	switch {
	case errors.Is(err, errQuota):
		m.usedUp(n, err)
		return
	case host == n.host:
		m.failed(m.life, n, err, false)
		return
	}
	now := m.Now()
	n.mu.Lock()
	f := n.below[host]
	f.Count++
	f.Text, f.Next = describe(err), now.Add(m.pause(f.Count, err)).UTC()
	n.note(host, f, now)
	n.mu.Unlock()
	m.tell(platform.CertificateNews{App: n.app, Host: host, Next: f.Next, Err: errors.New(f.Text)})
}

// note makes room where it can. n.mu is held.
func (n *name) note(host string, f failure, now time.Time) {
	if n.below == nil {
		n.below = map[string]failure{}
	}
	if len(n.below) >= lazyFailures {
		for old, was := range n.below {
			if was.Next.Before(now) {
				delete(n.below, old)
			}
		}
	}
	if len(n.below) < lazyFailures {
		n.below[host] = f
	}
}

// usedUp tells once an hour that an app gets no more names.
func (m *Manager) usedUp(n *name, err error) {
	n.is("waiting", err.Error())
	m.mu.Lock()
	q := m.lazies[n.app]
	tell := q != nil && !q.told
	if tell {
		q.told = true
	}
	m.mu.Unlock()
	if tell {
		m.tell(platform.CertificateNews{App: n.app, Host: n.host, Next: m.Now().Add(lazyPeriod), Err: err})
	}
}
