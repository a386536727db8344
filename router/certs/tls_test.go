package certs_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"paas/platform"
	"paas/router/certs/acmetest"
)

// dial makes a handshake as the configuration says, and a request, so that tickets arrive.
func (s *site) dial(c *tls.Config) (tls.ConnectionState, error) {
	conn, err := tls.Dial("tcp", s.https.Addr().String(), c)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer func() { _ = conn.Close() }()
	_, _ = conn.Write([]byte("GET / HTTP/1.1\r\nHost: blog.internal\r\nConnection: close\r\n\r\n"))
	_, _ = conn.Read(make([]byte, 512))
	return conn.ConnectionState(), nil
}

func (s *site) trusting() *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.Root())
	return &tls.Config{ServerName: "blog.internal", RootCAs: roots}
}

// Names that no public authority signs are the internal authority's; its root and the clients' sessions outlive
// the daemon.
func TestInternalNamesAndSessions(t *testing.T) {
	s := newSite(t, acmetest.Options{})
	s.Want("blog", wish("blog.internal", "blog.localhost", "*.test", "127.0.0.1", "blog.lan"))
	for _, host := range []string{"blog.internal", "blog.localhost", "blog.lan", "127.0.0.1"} {
		if _, err := s.handshake(host); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	if s.Secured("blog.internal", true) || !s.Secured("blog.internal", false) || s.ca.Orders() != 0 {
		t.Error("an internal certificate counts as one that browsers trust")
	}
	c := s.trusting()
	c.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	root := string(s.Root())
	if state, err := s.dial(c); err != nil || state.DidResume || state.Version != tls.VersionTLS13 || state.CurveID != tls.X25519MLKEM768 {
		t.Errorf("first handshake: %v, %+v", err, state.CurveID)
	}
	s.stop()
	s.listen()
	s.open()
	s.Want("blog", wish("blog.internal"))
	if state, err := s.dial(c); err != nil || !state.DidResume {
		t.Errorf("after a restart: %v, resumed %v", err, state.DidResume)
	}
	if string(s.Root()) != root {
		t.Error("the root has changed")
	}
}

// Versions, ciphers and protocols are modern ones.
func TestModernDefaults(t *testing.T) {
	s := newSite(t, acmetest.Options{})
	s.Want("blog", wish("blog.internal"))
	for name, try := range map[string]struct {
		change func(*tls.Config)
		ok     bool
	}{
		"TLS 1.2": {func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, true},
		"TLS 1.1": {func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, false},
		"CBC": {func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
		}, false},
		"h2":         {func(c *tls.Config) { c.NextProtos = []string{"h2"} }, true},
		"gopher":     {func(c *tls.Config) { c.NextProtos = []string{"gopher"} }, false},
		"acme-tls/1": {func(c *tls.Config) { c.NextProtos = []string{"acme-tls/1"} }, false}, // no challenge is under way
	} {
		c := s.trusting()
		try.change(c)
		if _, err := s.dial(c); (err == nil) != try.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.Configure(platform.Authority{Oldest: "1.3", Unknown: "own"}); err != nil {
		t.Fatal(err)
	}
	c := s.trusting()
	c.MaxVersion = tls.VersionTLS12
	if _, err := s.dial(c); err == nil {
		t.Error("TLS 1.2 although 1.3 is the oldest")
	}
	c = s.trusting()
	c.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	for range 2 {
		if _, err := s.dial(c); err != nil {
			t.Error(err)
		}
	}
	c = &tls.Config{ServerName: "unknown.example.com", InsecureSkipVerify: true}
	if state, err := s.dial(c); err != nil || state.PeerCertificates[0].Subject.CommonName != "paas.internal" {
		t.Errorf("an unknown name: %v", err)
	}
}

// openssl and curl take what we serve, by our root alone.
func TestOtherClients(t *testing.T) {
	s := newSite(t, acmetest.Options{})
	s.Want("blog", wish("blog.internal"))
	root := filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(root, s.Root(), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := s.https.Addr().String()
	for _, argv := range [][]string{
		{"curl", "-sS", "--cacert", root, "--connect-to", "blog.internal:443:" + addr, "https://blog.internal/"},
		{"openssl", "s_client", "-connect", addr, "-servername", "blog.internal", "-CAfile", root, "-verify_return_error", "-verify_hostname", "blog.internal"},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Stdin = strings.NewReader("")
		out, err := cmd.CombinedOutput()
		cancel()
		if err != nil {
			t.Errorf("%s (Debian's curl and openssl): %v\n%s", argv[0], err, out)
		}
	}
}

// Hostnames are told in DNS's form.
func TestASCII(t *testing.T) {
	s := newSite(t, acmetest.Options{})
	for in, want := range map[string]string{
		"Bücher.example": "xn--bcher-kva.example", "*.bücher.example": "*.xn--bcher-kva.example", "www.example.com.": "www.example.com", "例え.テスト": "xn--r8jz45g.xn--zckzah",
	} {
		if got, err := s.ASCII(in); got != want || err != nil {
			t.Errorf("%s: %q, %v", in, got, err)
		}
	}
	for _, bad := range []string{"a b", "xn--a", "a..b", "https://x"} {
		if got, err := s.ASCII(bad); err == nil {
			t.Errorf("%q became %q", bad, got)
		}
	}
}
