// Package certs gives hostnames their certificates: those that owners brought, those of an ACME authority
// (RFC 8555, by certmagic), and, for names that no public authority signs, those of an authority of its own.
//
//	Want ─► names ─┬─ own       ─────────────────────────► handshake
//	               ├─ internal  ─► leaf, made in memory ──► handshake
//	               └─ acme      ─► tend ─► certmagic ─────► handshake
//	                                        │  ▲
//	     the router's plain port ◄─ HTTP-01 ┘  └─ TLS-ALPN-01: the handshake itself
//
// Each name is tended by itself: what fails for one, or waits, holds up no other.
package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
	"golang.org/x/net/idna"

	"paas/platform"
)

// Options are what a Manager needs. Zero values mean the defaults.
type Options struct {
	Vault Vault
	Log   *slog.Logger
	Now   func() time.Time // for our own certificates and schedules; certmagic has the system's clock

	HTTPPort  int // of the router's plain listener, where HTTP-01 challenges are answered
	HTTPSPort int // of its TLS listener, where TLS-ALPN-01 challenges are; 0: there is none, and nothing is obtained
	// ProbePort is where the world finds HTTPPort: 80 unless a test says otherwise.
	ProbePort int

	RenewEvery      time.Duration   // how often certificates are looked at; 10 min
	Backoff         []time.Duration // waits after failures, the last one for good
	KeepTicket      time.Duration   // how long new sessions use one ticket key; 12 h
	StapleEvery     time.Duration   // how often OCSP answers about owners' certificates are looked at; 1 min
	LocalResponders bool            // OCSP is asked for at addresses that are not public, too: for tests
	LazyQuota       int             // names an app gets in an hour because clients ask for them; 50
	LockLease       time.Duration   // how long a process that was killed holds up others over the same vault; 30 s
}

func (o Options) defaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.ProbePort == 0 {
		o.ProbePort = certmagic.HTTPChallengePort
	}
	if o.RenewEvery == 0 {
		o.RenewEvery = certmagic.DefaultRenewCheckInterval
	}
	if o.Backoff == nil {
		o.Backoff = backoff()
	}
	if o.LockLease == 0 {
		o.LockLease = 30 * time.Second
	}
	if o.StapleEvery == 0 {
		o.StapleEvery = stapleLook
	}
	if o.LazyQuota == 0 {
		o.LazyQuota = lazyQuota
	}
	if o.KeepTicket == 0 {
		o.KeepTicket = 12 * time.Hour
	}
	return o
}

// backoff keeps within what Let's Encrypt allows: five failed validations of a name an hour
// (letsencrypt.org/docs/rate-limits).
func backoff() []time.Duration {
	return []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 6 * time.Hour}
}

// Limits of work that goes on at once.
const (
	obtaining  = 100  // attempts; each may wait minutes for an authority or a DNS provider
	loading    = 8    // reads of certificates from the vault
	newsBuffer = 1024 // news that nobody has read yet; later ones are only logged
)

// Manager implements platform.Certificates.
type Manager struct {
	Options
	storage  *storage
	cache    *certmagic.Cache
	internal *internalCA
	secret   []byte // proves to ourselves that an address is ours

	names  sync.Map // of *name by host
	nobody name     // what unknown names get
	asked  atomic.Pointer[authority]
	news   chan platform.CertificateNews

	mu      sync.Mutex // of changes
	wishes  map[platform.AppName]platform.Wish
	lazies  map[platform.AppName]*quota // of names obtained at a handshake
	staples map[string]*staple          // of owners' certificates

	stapleKick chan struct{} // there is a new one

	tickets tickets
	slots   chan struct{}
	loads   chan struct{}

	life  context.Context // ends with Close
	end   context.CancelFunc
	tasks sync.WaitGroup
}

// Open makes a Manager over what the vault holds. It blocks on the vault, and on another process that makes
// the same things at the same moment.
func Open(ctx context.Context, o Options) (*Manager, error) {
	m := &Manager{
		nobody:  name{host: "paas.internal"},
		Options: o.defaults(), news: make(chan platform.CertificateNews, newsBuffer),
		wishes: map[platform.AppName]platform.Wish{}, lazies: map[platform.AppName]*quota{},
		staples: map[string]*staple{}, stapleKick: make(chan struct{}, 1),
		slots: make(chan struct{}, obtaining), loads: make(chan struct{}, loading),
	}
	m.storage = newStorage(o.Vault, m.LockLease)
	var err error
	if m.internal, err = openInternal(ctx, m.storage, m.Now); err != nil {
		return nil, fmt.Errorf("open internal authority: %w", err)
	}
	if m.secret, err = m.sharedSecret(ctx); err != nil {
		return nil, fmt.Errorf("open certificates: %w", err)
	}
	if err := m.rotateTickets(ctx); err != nil {
		return nil, fmt.Errorf("open session tickets: %w", err)
	}
	m.life, m.end = context.WithCancel(context.Background())
	m.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: m.configOf, RenewCheckInterval: m.RenewEvery, Logger: bridged(m.Log),
	})
	if err := m.Configure(platform.Authority{}); err != nil {
		m.end()
		m.cache.Stop()
		return nil, err
	}
	m.tasks.Go(m.keepTickets)
	m.tasks.Go(m.tidy)
	m.tasks.Go(m.keepStaples)
	return m, nil
}

// Close ends everything that goes on, and gives locks back. Handshakes still find what is in memory.
func (m *Manager) Close() {
	m.end()
	m.tasks.Wait()
	m.cache.Stop()
	certmagic.CleanUpOwnLocks(context.Background(), bridged(m.Log))
}

// TLSConfig is for a listener that serves the protocols ("h2", "http/1.1"), best first. The listener must use
// the value itself and no clone: session ticket keys change in it.
func (m *Manager) TLSConfig(protocols ...string) *tls.Config {
	c := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		CipherSuites:   suites(),
		NextProtos:     append(protocols[:len(protocols):len(protocols)], challengeProtocol),
		GetCertificate: m.certificate,
	}
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		if m.asked.Load().spec.Oldest == "1.3" {
			return m.tickets.strict(c), nil
		}
		return nil, nil // c itself
	}
	m.tickets.join(c)
	return c
}

// suites are those of TLS 1.2 with forward secrecy and authenticated encryption; TLS 1.3 has no others. The
// order, and of groups that X25519MLKEM768 comes first, is crypto/tls's.
func suites() []uint16 {
	return []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}
}

// Challenge answers an ACME server's plain request (RFC 8555, 8.3), and our own whether an address is ours.
// host is the request's, without port. It is for GET, before any routing; ok is false for all other requests.
func (m *Manager) Challenge(host, path string) (answer string, ok bool) {
	token, found := strings.CutPrefix(path, challengePath)
	if !found {
		return "", false
	}
	if answer, ok := m.probeAnswer(token); ok {
		return answer, true
	}
	if c, ok := certmagic.GetACMEChallenge(host); ok {
		return c.KeyAuthorization, c.HTTP01ResourcePath() == path
	}
	if m.find(host) == nil {
		return "", false
	}
	return m.sharedChallenge(host, path)
}

// sharedChallenge answers for another process over the same vault.
func (m *Manager) sharedChallenge(host, path string) (string, bool) {
	req, err := http.NewRequestWithContext(m.life, http.MethodGet, "http://"+host+path, nil)
	if err != nil {
		return "", false
	}
	var page answerPage
	for _, acme := range m.asked.Load().issuers {
		if acme.HandleHTTPChallenge(&page, req) {
			return page.String(), true
		}
	}
	return "", false
}

// answerPage is an http.ResponseWriter that keeps the body.
type answerPage struct{ strings.Builder }

// Header implements http.ResponseWriter.
func (*answerPage) Header() http.Header { return http.Header{} }

// WriteHeader implements http.ResponseWriter.
func (*answerPage) WriteHeader(int) {}

// ASCII implements platform.Certificates.
func (*Manager) ASCII(host string) (string, error) {
	star := ""
	if rest, ok := strings.CutPrefix(host, "*."); ok {
		star, host = "*.", rest
	}
	profile := idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(true), idna.ValidateForRegistration(), idna.MapForLookup())
	name, err := profile.ToASCII(strings.TrimSuffix(host, "."))
	return star + name, err
}

// News implements platform.Certificates.
func (m *Manager) News() <-chan platform.CertificateNews { return m.news }

func (m *Manager) tell(n platform.CertificateNews) {
	select {
	case m.news <- n:
	default:
		m.Log.Warn("news of a certificate that nobody reads", "host", n.Host, "err", n.Err)
	}
}

// tidyEvery is how often expired certificates are looked for in the vault; they stay for another month.
const (
	tidyEvery = 24 * time.Hour
	keepAfter = 30 * 24 * time.Hour
)

// tidy removes what is of no use any more.
func (m *Manager) tidy() {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-m.life.Done():
			return
		}
		err := certmagic.CleanStorage(m.life, m.storage, certmagic.CleanStorageOptions{
			Logger: bridged(m.Log), Interval: tidyEvery, OCSPStaples: true, ExpiredCerts: true, ExpiredCertGracePeriod: keepAfter,
		})
		if err != nil && !errors.Is(err, context.Canceled) {
			m.Log.Warn("remove expired certificates", "err", err)
		}
	}
}
