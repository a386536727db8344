package certs

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"paas/platform"
)

// Lives of what the internal authority signs. Leaves are made anew when a third of their life is left; those
// that people ask for live as long as browsers take (398 days).
const (
	rootLife  = 10 * 365 * 24 * time.Hour
	leafLife  = 30 * 24 * time.Hour
	askedLife = 397 * 24 * time.Hour
	backdate  = time.Hour // clients' clocks are not all right
)

const rootKey = "internal/root.pem" // certificate and key

// internalCA signs for names that no public authority would.
type internalCA struct {
	cert *x509.Certificate
	pem  []byte
	key  *ecdsa.PrivateKey
	now  func() time.Time
}

// openInternal finds the root in the vault or makes it.
func openInternal(ctx context.Context, s *storage, now func() time.Time) (ca *internalCA, err error) {
	err = s.locked(ctx, "internal", func() error {
		text, err := s.Load(ctx, rootKey)
		if errors.Is(err, fs.ErrNotExist) {
			if text, err = makeRoot(now()); err == nil {
				err = s.Store(ctx, rootKey, text)
			}
		}
		if err != nil {
			return err
		}
		ca, err = readInternal(text, now)
		return err
	})
	return ca, err
}

func readInternal(text []byte, now func() time.Time) (*internalCA, error) {
	first, rest := pem.Decode(text)
	if first == nil {
		return nil, fmt.Errorf("read %s: it is no PEM", rootKey)
	}
	second, _ := pem.Decode(rest)
	if second == nil {
		return nil, fmt.Errorf("read %s: its key is missing", rootKey)
	}
	cert, err := x509.ParseCertificate(first.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", rootKey, err)
	}
	key, err := x509.ParseECPrivateKey(second.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read key of %s: %w", rootKey, err)
	}
	return &internalCA{cert: cert, key: key, now: now, pem: pem.EncodeToMemory(first)}, nil
}

func makeRoot(now time.Time) ([]byte, error) {
	host, _ := os.Hostname() // only for people who look at a list of roots
	t, err := template("paas internal authority of "+host, now, rootLife)
	if err != nil {
		return nil, err
	}
	t.IsCA, t.BasicConstraintsValid, t.MaxPathLenZero = true, true, true
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret})...), nil
}

func template(name string, now time.Time, life time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)) // RFC 5280, 4.1.2.2: positive, at most 20 bytes
	if err != nil {
		return nil, err
	}
	if len(name) > 64 { // ub-common-name of RFC 5280
		name = name[:64]
	}
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(life),
	}, nil
}

// sign makes a certificate for hostnames and addresses.
func (ca *internalCA) sign(names []string, key *ecdsa.PrivateKey, life time.Duration) (*tls.Certificate, error) {
	t, err := template(names[0], ca.now(), life)
	if err != nil {
		return nil, err
	}
	t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	t.DNSNames, t.IPAddresses = divide(names)
	der, err := x509.CreateCertificate(rand.Reader, t, ca.cert, key.Public(), ca.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return &tls.Certificate{Certificate: [][]byte{der, ca.cert.Raw}, PrivateKey: key, Leaf: leaf}, err
}

func divide(names []string) (hosts []string, addrs []net.IP) {
	for _, name := range names {
		if a, err := netip.ParseAddr(name); err == nil {
			addrs = append(addrs, a.AsSlice())
		} else {
			hosts = append(hosts, name)
		}
	}
	return hosts, addrs
}

// leaf makes a certificate with a key of its own.
func (ca *internalCA) leaf(name string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return ca.sign([]string{name}, key, leafLife)
}

// stale tells whether it is time for another.
func (ca *internalCA) stale(c *tls.Certificate) bool {
	return c == nil || c.Leaf.NotAfter.Sub(ca.now()) < leafLife/3
}

// Root implements platform.Certificates.
func (m *Manager) Root() []byte { return slices.Clone(m.internal.pem) }

// Generate implements platform.Certificates.
func (m *Manager) Generate(hosts []string) (pair platform.KeyPair, request []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair, nil, err
	}
	cert, err := m.internal.sign(hosts, key, askedLife)
	if err != nil {
		return pair, nil, fmt.Errorf("sign for %s: %w", hosts[0], err)
	}
	for _, der := range cert.Certificate {
		pair.Chain = append(pair.Chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return pair, nil, err
	}
	pair.Key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	csr := &x509.CertificateRequest{Subject: pkix.Name{CommonName: cert.Leaf.Subject.CommonName}}
	csr.DNSNames, csr.IPAddresses = divide(hosts)
	der, err := x509.CreateCertificateRequest(rand.Reader, csr, key)
	return pair, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), err
}

// private tells names and addresses that no public authority signs: special-use names (RFC 6761, 6762, 8375,
// 9476), ICANN's .internal, names without a dot, and private addresses.
func private(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast()
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	special := []string{"localhost", "test", "internal", "local", "alt", "invalid", "example", "onion", "lan"}
	return !strings.Contains(host, ".") || slices.Contains(special, last) || strings.HasSuffix(host, ".home.arpa")
}
