package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"paas/platform"
)

const (
	challengeProtocol = acmez.ACMETLS1Protocol
	challengePath     = "/.well-known/acme-challenge/"
)

// How challenges may be solved (platform.Wish.Solve).
const (
	solveAuto = "auto"
	solveHTTP = "http"
	solveALPN = "tls-alpn"
	solveDNS  = "dns"
)

// authority is whom certificates are asked of, and how.
type authority struct {
	spec     platform.Authority
	provider certmagic.DNSProvider
	resolver *net.Resolver
	configs  map[string]*certmagic.Config // by how challenges are solved; none for DNS without a provider
	lazies   map[string]*certmagic.Config // the same, at handshakes
	issuers  []*certmagic.ACMEIssuer      // one will do: they share account and challenges
}

// Configure implements platform.Certificates.
func (m *Manager) Configure(spec platform.Authority) error {
	a := &authority{spec: spec, configs: map[string]*certmagic.Config{}, lazies: map[string]*certmagic.Config{}, resolver: resolver(spec.Resolver)}
	var err error
	if a.provider, err = openProvider(spec.Provider, spec.Credentials); err != nil {
		return err
	}
	issuer, err := m.issuer(a)
	if err != nil {
		return err
	}
	for _, solve := range []string{solveAuto, solveHTTP, solveALPN, solveDNS} {
		if solve == solveDNS && a.provider == nil {
			continue
		}
		a.configs[solve] = m.config(a, issuer, solve, nil)
		a.lazies[solve] = m.config(a, issuer, solve, &certmagic.OnDemandConfig{DecisionFunc: m.mayObtain})
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked.Store(a)
	m.beginAll()
	return nil
}

// issuer is what all of an authority's configurations have in common.
func (m *Manager) issuer(a *authority) (certmagic.ACMEIssuer, error) {
	t := certmagic.ACMEIssuer{
		CA: a.spec.Directory, TestCA: a.spec.Directory, Email: a.spec.Email, Agreed: a.spec.Agreed, Profile: a.spec.Profile,
		AltHTTPPort: m.HTTPPort, AltTLSALPNPort: m.HTTPSPort, Resolver: a.spec.Resolver, Logger: bridged(m.Log),
		CertObtainTimeout: authorityTime,
	}
	if a.spec.KeyID != "" {
		t.ExternalAccount = &acme.EAB{KeyID: a.spec.KeyID, MACKey: a.spec.HMAC}
	}
	if a.spec.Roots != "" {
		t.TrustedRoots = x509.NewCertPool()
		if !t.TrustedRoots.AppendCertsFromPEM([]byte(a.spec.Roots)) {
			return t, platform.Errorf(platform.Usage, "the trusted roots hold no certificate in PEM")
		}
	}
	return t, nil
}

func (m *Manager) config(a *authority, issuer certmagic.ACMEIssuer, solve string, lazy *certmagic.OnDemandConfig) *certmagic.Config {
	issuer.DisableHTTPChallenge = solve == solveALPN
	issuer.DisableTLSALPNChallenge = solve == solveHTTP
	if solve == solveDNS {
		solver := &certmagic.DNS01Solver{}
		solver.DNSProvider, solver.Logger = a.provider, bridged(m.Log)
		if a.spec.Resolver != "" {
			solver.Resolvers = []string{a.spec.Resolver}
		}
		issuer.DNS01Solver = solver
	}
	c := certmagic.New(m.cache, certmagic.Config{
		Storage: m.storage, OnEvent: m.event, OnDemand: lazy, Logger: bridged(m.Log), DisableARI: !a.spec.Agreed,
		Issuers:        []certmagic.Issuer{nil}, // or New makes one
		ShouldEmitFunc: func(event string) bool { return event != "tls_get_certificate" },
	})
	acme := certmagic.NewACMEIssuer(c, issuer)
	c.Issuers = []certmagic.Issuer{acme}
	if solve == solveAuto && lazy == nil {
		a.issuers = append(a.issuers, acme)
	}
	return c
}

// resolver asks one server, or those of the system.
func resolver(server string) *net.Resolver {
	if server == "" {
		return net.DefaultResolver
	}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: lookupTime}).DialContext(ctx, network, server)
	}}
}

// solve is how a name's challenges are solved: a wildcard's only by DNS (RFC 8555, 7.1.3).
func (n *name) solve() string {
	if n.wildcard() && !n.wish.Lazy || n.wish.Solve == solveDNS {
		return solveDNS
	}
	if n.wish.Solve == solveHTTP || n.wish.Solve == solveALPN {
		return n.wish.Solve
	}
	return solveAuto
}

// configFor is how the name is obtained and renewed; nil when it needs a DNS provider and none is set.
func (m *Manager) configFor(n *name) *certmagic.Config {
	a := m.asked.Load()
	if n.wish.Lazy {
		return a.lazies[n.solve()]
	}
	return a.configs[n.solve()]
}

// configOf implements certmagic.ConfigGetter for what is in the cache.
func (m *Manager) configOf(c certmagic.Certificate) (*certmagic.Config, error) {
	if len(c.Names) > 0 {
		if n := m.find(c.Names[0]); n != nil && n.source == fromACME {
			if config := m.configFor(n); config != nil {
				return config, nil
			}
		}
	}
	return m.asked.Load().configs[solveAuto], nil
}

// cached are the certificates in memory that were obtained for exactly this name.
func (m *Manager) cached(host string) []certmagic.Certificate {
	return slices.DeleteFunc(m.cache.AllMatchingCertificates(host), func(c certmagic.Certificate) bool {
		return !slices.Contains(c.Names, host)
	})
}

// certificate implements tls.Config.GetCertificate. Neither a certificate nor an error is answered with
// unrecognized_name (RFC 6066, 3).
func (m *Manager) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	host := strings.TrimSuffix(strings.ToLower(hello.ServerName), ".")
	if len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == challengeProtocol {
		return m.challenged(host, hello)
	}
	if host == "" {
		host = localAddress(hello.Conn)
	}
	n := m.find(host)
	if n == nil {
		return m.stranger(hello)
	}
	switch n.source {
	case fromOwner:
		return m.stapled(n), nil
	case fromInternal:
		return m.internalLeaf(n)
	case fromACME:
		return m.obtained(n, hello), nil
	default:
		return nil, nil
	}
}

// challenged answers TLS-ALPN-01 (RFC 8737), for names that we know only.
func (m *Manager) challenged(host string, hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if _, ours := certmagic.GetACMEChallenge(host); !ours && m.find(host) == nil {
		return nil, nil
	}
	c, err := m.asked.Load().configs[solveAuto].GetCertificate(hello)
	if err != nil {
		return nil, nil
	}
	return c, nil
}

// obtained is an ACME certificate: from memory, or obtained now if the owner wants that.
func (m *Manager) obtained(n *name, hello *tls.ClientHelloInfo) *tls.Certificate {
	if n.wish.Lazy {
		return m.atHandshake(n, hello)
	}
	if wide := m.above(n.host); !n.ready.Load() && (wide == nil || !wide.ready.Load()) {
		return nil
	}
	c, err := m.asked.Load().configs[solveAuto].GetCertificate(hello)
	if err != nil {
		return nil
	}
	return c
}

func (m *Manager) internalLeaf(n *name) (*tls.Certificate, error) {
	if c := n.leaf.Load(); !m.internal.stale(c) {
		return c, nil
	}
	c, err := m.internal.leaf(n.host)
	if err == nil {
		n.leaf.Store(c)
	}
	return c, err
}

// stranger is what clients get that ask for a name that nobody has.
func (m *Manager) stranger(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if m.asked.Load().spec.Unknown != "own" {
		return nil, nil
	}
	return m.internalLeaf(&m.nobody)
}

func localAddress(c net.Conn) string {
	if c == nil {
		return ""
	}
	host, _, err := net.SplitHostPort(c.LocalAddr().String())
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(host, "::ffff:")
}

// authorityTime is how long an authority may take for one order.
const authorityTime = 90 * time.Second
