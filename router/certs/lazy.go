package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"paas/platform"
)

// A wildcard without a DNS provider is obtained name by name, when a client asks. Clients choose the names, so
// an app gets this many new ones an hour: authorities count them.
const (
	lazyQuota  = 50
	lazyPeriod = time.Hour
)

// quota counts what was obtained in the current period.
type quota struct {
	since time.Time
	taken int
}

func (m *Manager) takeQuota(app platform.AppName) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	q := m.lazies[app]
	if q == nil || m.Now().Sub(q.since) >= lazyPeriod {
		q = &quota{since: m.Now()}
		m.lazies[app] = q
	}
	if q.taken >= lazyQuota {
		return fmt.Errorf("%s has had %d new names since %s: no more this hour", app, q.taken, q.since.UTC().Format(time.RFC3339))
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
	case n.wait(m.Now()) > 0:
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
		m.failed(m.life, n, a.err, false)
	}
	if err != nil || a.err != nil {
		return nil
	}
	n.ready.Store(n.host == hello.ServerName || n.ready.Load())
	return c
}
