package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"paas/platform"
)

// source is where a name's certificate comes from.
type source string

const (
	fromOwner    source = "own"
	fromInternal source = "internal"
	fromACME     source = "acme"
	fromNobody   source = "off"
)

// name is a hostname that is wanted, "*.example.com" among them. All but what is behind mu and the atomics
// stays as it was made.
type name struct {
	host   string
	app    platform.AppName
	wish   *platform.Wish
	source source
	own    *tls.Certificate
	staple *staple                         // of own; nil: its authority is not asked
	leaf   atomic.Pointer[tls.Certificate] // of the internal authority, made when it is asked for
	ready  atomic.Bool                     // its ACME certificate is in certmagic's cache
	end    context.CancelFunc              // of who tends it; guarded by Manager.mu

	mu      sync.Mutex
	phase   string // as platform.CertificateStatus.State has it, while there is no certificate
	failure failure
	below   map[string]failure // of names below a wildcard that clients asked for
}

func (n *name) wildcard() bool { return strings.HasPrefix(n.host, "*.") }

// find is the name that a host is served by: itself, or the wildcard above it.
func (m *Manager) find(host string) *name {
	if n, ok := m.names.Load(host); ok {
		return n.(*name)
	}
	if n := m.above(host); n != nil {
		return n
	}
	for _, rest, ok := strings.Cut(host, "."); ok; _, rest, ok = strings.Cut(rest, ".") {
		if n := m.above(rest); n != nil && n.wish.Lazy { // each name has its own, however deep
			return n
		}
	}
	return nil
}

// above is the wildcard that covers a host.
func (m *Manager) above(host string) *name {
	_, rest, ok := strings.Cut(host, ".")
	if !ok {
		return nil
	}
	if n, ok := m.names.Load("*." + rest); ok {
		return n.(*name)
	}
	return nil
}

// Want implements platform.Certificates.
func (m *Manager) Want(app platform.AppName, w platform.Wish) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before, known := m.wishes[app]
	if known && reflect.DeepEqual(before, w) {
		return
	}
	m.wishes[app] = w
	own := m.readOwn(w.Own)
	for _, host := range w.Hosts {
		m.place(app, host, &w, own)
	}
	m.dropAll(app, before.Hosts, w.Hosts)
}

// Forget implements platform.Certificates.
func (m *Manager) Forget(app platform.AppName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.wishes[app]
	delete(m.wishes, app)
	delete(m.lazies, app)
	m.dropAll(app, before.Hosts, nil)
}

// place makes a host known, in the place of what it was before.
func (m *Manager) place(app platform.AppName, host string, w *platform.Wish, own []*tls.Certificate) {
	n := &name{host: host, app: app, wish: w, phase: "pending", own: cover(own, host)}
	switch {
	case n.own != nil:
		n.source, n.staple = fromOwner, m.stapleOf(n.own)
	case w.Issuer == platform.IssuerNone:
		n.source = fromNobody
	case w.Issuer == platform.IssuerInternal, w.Issuer != platform.IssuerACME && private(host):
		n.source = fromInternal
	default:
		n.source = fromACME
	}
	if old, ok := m.names.Load(host); ok {
		m.succeed(n, old.(*name))
	}
	m.names.Store(host, n)
	m.begin(n)
}

// succeed ends the work for the name that n replaces. Its certificate goes on being served.
func (m *Manager) succeed(n, old *name) {
	if old.end != nil {
		old.end()
	}
	if n.source == fromACME && old.source == fromACME {
		n.ready.Store(old.ready.Load())
	} else if old.source == fromACME {
		m.unload(old)
	}
}

// begin lets somebody tend a name. The caller holds mu.
func (m *Manager) begin(n *name) {
	if n.end != nil {
		n.end()
	}
	if n.source != fromACME || m.life.Err() != nil {
		return
	}
	var ctx context.Context
	ctx, n.end = context.WithCancel(m.life)
	m.tasks.Go(func() { m.tend(ctx, n) })
}

// beginAll begins anew for every name that an authority is asked about: whom to ask, or how, has changed.
// The caller holds mu.
func (m *Manager) beginAll() {
	m.names.Range(func(_, n any) bool {
		m.begin(n.(*name))
		return true
	})
}

// dropAll forgets the app's hosts that are not kept. The caller holds mu.
func (m *Manager) dropAll(app platform.AppName, hosts, keep []string) {
	wide := false
	for _, host := range hosts {
		v, ok := m.names.Load(host)
		if !ok || v.(*name).app != app || slices.Contains(keep, host) {
			continue
		}
		n := v.(*name)
		m.names.Delete(host)
		if n.end != nil {
			n.end()
		}
		m.unload(n)
		wide = wide || n.wildcard()
	}
	if wide {
		m.beginAll() // some of the others may have been covered by it
	}
}

// readOwn parses what owners brought. The platform has checked it; what cannot be read is left out.
func (m *Manager) readOwn(pairs []platform.KeyPair) (list []*tls.Certificate) {
	for _, p := range pairs {
		c, err := tls.X509KeyPair(p.Chain, p.Key)
		if err != nil {
			m.Log.Error("a stored certificate cannot be read", "err", err)
			continue
		}
		list = append(list, &c)
	}
	return list
}

// cover chooses the certificate for a host, of a list with the newest first: one that names it before one with a
// wildcard, and the newest of those.
func cover(list []*tls.Certificate, host string) (best *tls.Certificate) {
	for _, c := range list {
		if covers(c.Leaf, host) && (best == nil || named(c, host) && !named(best, host)) {
			best = c
		}
	}
	return best
}

func named(c *tls.Certificate, host string) bool { return slices.Contains(c.Leaf.DNSNames, host) }

// covers tells whether a certificate is for a host, which may be a wildcard itself.
func covers(leaf *x509.Certificate, host string) bool {
	return slices.Contains(leaf.DNSNames, host) || leaf.VerifyHostname(host) == nil
}

// unload takes a name's certificates out of certmagic's cache, so that nobody renews them.
func (m *Manager) unload(n *name) {
	var hashes []string
	for _, c := range m.cached(n.host) {
		hashes = append(hashes, c.Hash())
	}
	n.ready.Store(false)
	m.cache.Remove(hashes)
}
