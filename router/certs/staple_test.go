package certs_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"paas/platform"
	"paas/router/certs/acmetest"
)

// responder is an authority with a responder of OCSP, which says status until it is down.
type responder struct {
	*httptest.Server
	t      *testing.T
	key    *ecdsa.PrivateKey
	cert   *x509.Certificate
	status atomic.Int64
	down   atomic.Bool
	life   time.Duration // of an answer
	asked  atomic.Int64
	leaf   *x509.Certificate
}

func newResponder(t *testing.T) *responder {
	t.Helper()
	r := &responder{t: t, life: time.Hour}
	r.Server = httptest.NewServer(http.HandlerFunc(r.answer))
	t.Cleanup(r.Close)
	r.key = newKey(t)
	r.cert = r.signed(&x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "an authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotAfter: time.Now().Add(48 * time.Hour),
	}, nil, r.key)
	return r
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (r *responder) signed(c, by *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	r.t.Helper()
	if by == nil {
		by = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by, key.Public(), r.key)
	if err != nil {
		r.t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		r.t.Fatal(err)
	}
	return made
}

// pair is a certificate for host, with must-staple or without.
func (r *responder) pair(host string, must bool) platform.KeyPair {
	r.t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{host}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		OCSPServer: []string{r.URL}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if must {
		value, _ := asn1.Marshal([]int{5})
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}, Value: value}}
	}
	key := newKey(r.t)
	r.leaf = r.signed(c, r.cert, key)
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		r.t.Fatal(err)
	}
	block := func(kind string, b []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}) }
	chain := append(block("CERTIFICATE", r.leaf.Raw), block("CERTIFICATE", r.cert.Raw)...)
	return platform.KeyPair{Chain: chain, Key: block("EC PRIVATE KEY", der)}
}

func (r *responder) answer(w http.ResponseWriter, req *http.Request) {
	r.asked.Add(1)
	body, _ := io.ReadAll(req.Body)
	question, err := ocsp.ParseRequest(body)
	if err != nil || r.down.Load() {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	text, err := ocsp.CreateResponse(r.cert, r.cert, ocsp.Response{
		Status: int(r.status.Load()), SerialNumber: question.SerialNumber, ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(r.life),
		RevokedAt: time.Now().Add(-time.Minute),
	}, r.key)
	if err != nil {
		r.t.Error(err)
	}
	_, _ = w.Write(text)
}

// staple is what a client gets with the certificate of host.
func (s *site) staple(r *responder, host string) []byte {
	s.t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(r.cert)
	state, err := s.dial(&tls.Config{ServerName: host, RootCAs: roots})
	if err != nil {
		s.t.Fatal(err)
	}
	return state.OCSPResponse
}

// becomes waits until the host comes with an answer, or without.
func (s *site) becomes(r *responder, host string, stapled bool) {
	s.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if (len(s.staple(r, host)) > 0) == stapled {
			return
		}
	}
	s.t.Errorf("%s: stapled is not %v", host, stapled)
}

func newStapled(t *testing.T) (*site, *responder) {
	s := newSite(t, acmetest.Options{})
	s.stop()
	s.o.LocalResponders, s.o.StapleEvery = true, 50*time.Millisecond
	s.listen()
	s.open()
	return s, newResponder(t)
}

func own(host string, p platform.KeyPair) platform.Wish {
	w := wish(host)
	w.Own = []platform.KeyPair{p}
	return w
}

// A certificate that its owner brought comes with its authority's answer about it, also while the responder is out and
// over a restart; openssl takes it.
func TestOwnCertificateIsStapled(t *testing.T) {
	s, r := newStapled(t)
	w := own("shop.example.com", r.pair("shop.example.com", false))
	s.Want("shop", w)
	s.becomes(r, "shop.example.com", true)
	if answer, err := ocsp.ParseResponseForCert(s.staple(r, "shop.example.com"), r.leaf, r.cert); err != nil || answer.Status != ocsp.Good {
		t.Errorf("%+v, %v", answer, err)
	}
	asked := r.asked.Load()
	r.down.Store(true)
	s.stop()
	s.listen()
	s.open()
	s.Want("shop", w)
	s.becomes(r, "shop.example.com", true)
	if r.asked.Load() != asked {
		t.Errorf("the responder was asked %d times for one answer", r.asked.Load())
	}
	root := filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(root, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.cert.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("openssl", "s_client", "-connect", s.https.Addr().String(), "-servername", "shop.example.com", "-CAfile", root, "-status")
	cmd.Stdin = strings.NewReader("")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "OCSP Response Status: successful") || !strings.Contains(string(out), "Cert Status: good") {
		t.Errorf("openssl s_client -status (Debian's openssl): %v\n%s", err, out)
	}
}

// A client that insists on an answer (must-staple) has it with the first handshake. An answer whose time is over, one of
// somebody else's, and one that says revoked are not passed on, and the report says what clients will find.
func TestMustStaple(t *testing.T) {
	s, r := newStapled(t)
	s.Want("shop", own("shop.example.com", r.pair("shop.example.com", true)))
	if len(s.staple(r, "shop.example.com")) == 0 {
		t.Error("the first handshake came without an answer")
	}
	r.down.Store(true)
	s.Want("shop", own("shop.example.com", r.pair("shop.example.com", true)))
	if len(s.staple(r, "shop.example.com")) > 0 {
		t.Error("another certificate's answer was passed on")
	}
	if got := s.Status([]string{"shop.example.com"})[0].Error; !strings.Contains(got, "clients want an OCSP answer") || !strings.Contains(got, "503") {
		t.Errorf("while the responder is out the report says %q", got)
	}
	r.down.Store(false)
	r.life = 6 * time.Second
	s.Want("shop", own("shop.example.com", r.pair("shop.example.com", true)))
	s.becomes(r, "shop.example.com", true)
	s.becomes(r, "shop.example.com", false) // its time is over, and the next attempt is in a minute
	r.status.Store(ocsp.Revoked)
	s.Want("shop", own("shop.example.com", r.pair("shop.example.com", false)))
	for end := time.Now().Add(20 * time.Second); s.Status([]string{"shop.example.com"})[0].Error == "" && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
	}
	if got := s.Status([]string{"shop.example.com"})[0].Error; !strings.Contains(got, "revoked") || len(s.staple(r, "shop.example.com")) > 0 {
		t.Errorf("of a revoked one the report says %q", got)
	}
}

// Whoever brings a certificate does not have the daemon ask addresses of the host or its network.
func TestResponderOfAnOwnAddress(t *testing.T) {
	s, r := newStapled(t)
	s.stop()
	s.o.LocalResponders = false
	s.listen()
	s.open()
	s.Want("shop", own("shop.example.com", r.pair("shop.example.com", true)))
	s.staple(r, "shop.example.com")
	if got := s.Status([]string{"shop.example.com"})[0].Error; !strings.Contains(got, "not a public one") || r.asked.Load() > 0 {
		t.Errorf("it was asked %d times; the report says %q", r.asked.Load(), got)
	}
}
