package certs_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"paas/platform"
	"paas/router/certs"
	"paas/router/certs/acmetest"
	"paas/store"
)

// site is a Manager behind real listeners, an authority that validates against them, and what clients see.
type site struct {
	*certs.Manager
	t     *testing.T
	ca    *acmetest.Authority
	store *store.Store
	path  string
	http  net.Listener
	https net.Listener
	o     certs.Options
	stop  func()
}

var patience = []time.Duration{200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond}

func newSite(t *testing.T, o acmetest.Options) *site {
	t.Helper()
	s := &site{t: t, path: filepath.Join(t.TempDir(), "paas.db"), o: certs.Options{RenewEvery: 300 * time.Millisecond, Backoff: patience}}
	s.listen()
	o.HTTPPort, o.TLSPort = s.http.Addr().(*net.TCPAddr).Port, s.https.Addr().(*net.TCPAddr).Port
	var err error
	if s.ca, err = acmetest.Start(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.ca.Close)
	s.o.HTTPPort, s.o.HTTPSPort = o.HTTPPort, o.TLSPort
	s.open()
	t.Cleanup(func() { s.stop() })
	return s
}

// listen opens the listeners: the same ones as before, if there were any.
func (s *site) listen() {
	for _, l := range []*net.Listener{&s.http, &s.https} {
		addr := "127.0.0.1:0"
		if *l != nil {
			addr = (*l).Addr().String()
		}
		var err error
		if *l, err = net.Listen("tcp", addr); err != nil {
			s.t.Fatal(err)
		}
	}
}

// open makes a Manager and serves with it on the listeners, as a daemon does when it starts.
func (s *site) open() {
	s.t.Helper()
	var err error
	if s.store, err = store.Open(context.Background(), s.path); err != nil {
		s.t.Fatal(err)
	}
	s.o.Vault = s.store.Vault()
	if s.Manager, err = certs.Open(context.Background(), s.o); err != nil {
		s.t.Fatal(err)
	}
	m, db := s.Manager, s.store
	plain := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := strings.Cut(r.Host, ":")
		if answer, ok := m.Challenge(host, r.URL.Path); ok {
			_, _ = io.WriteString(w, answer)
			return
		}
		http.NotFound(w, r)
	})}
	secure := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, r.Host)
	}), ErrorLog: nil}
	secure.ErrorLog = discard()
	https := tls.NewListener(s.https, m.TLSConfig("h2", "http/1.1"))
	var wg sync.WaitGroup
	wg.Go(func() { _ = plain.Serve(s.http) })
	wg.Go(func() { _ = secure.Serve(https) })
	var once sync.Once
	s.stop = func() {
		once.Do(func() {
			m.Close()
			_ = plain.Close()
			_ = secure.Close()
			wg.Wait()
			_ = db.Close()
		})
	}
}

// agree makes the authority the one that is asked.
func (s *site) agree(change ...func(*platform.Authority)) {
	s.t.Helper()
	a := platform.Authority{Directory: s.ca.Directory, Roots: s.ca.Roots, Agreed: true, Email: "admin@example.com", Resolver: s.ca.DNS.Addr}
	for _, f := range change {
		f(&a)
	}
	if err := s.Configure(a); err != nil {
		s.t.Fatal(err)
	}
}

func wish(hosts ...string) platform.Wish {
	return platform.Wish{Hosts: hosts, Issuer: platform.IssuerAuto, Solve: "auto"}
}

// handshake is a client's that trusts only the authority, and with it the internal one.
func (s *site) handshake(host string) (tls.ConnectionState, error) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(s.ca.Issuers))
	roots.AppendCertsFromPEM(s.Root())
	d := tls.Dialer{Config: &tls.Config{ServerName: host, RootCAs: roots, NextProtos: []string{"h2", "http/1.1"}}}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c, err := d.DialContext(ctx, "tcp", s.https.Addr().String())
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer func() { _ = c.Close() }()
	return c.(*tls.Conn).ConnectionState(), nil
}

// served waits until the host has its certificate.
func (s *site) served(host string) *x509.Certificate {
	s.t.Helper()
	var err error
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		var state tls.ConnectionState
		if state, err = s.handshake(host); err == nil {
			return state.PeerCertificates[0]
		}
	}
	s.t.Fatalf("%s is not served: %v; %+v", host, err, s.Status([]string{host}))
	return nil
}

// state waits for a name's state.
func (s *site) state(host, want string) platform.CertificateStatus {
	s.t.Helper()
	var last platform.CertificateStatus
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if list := s.Status([]string{host}); len(list) == 1 {
			if last = list[0]; last.State == want {
				return last
			}
		}
	}
	s.t.Fatalf("%s is not %s: %+v", host, want, last)
	return last
}

func refusedName(err error) bool {
	return err != nil && strings.Contains(err.Error(), "unrecognized name")
}

// Nothing is said to an authority before somebody agrees; then HTTP-01 and TLS-ALPN-01 go through the
// listeners, what was obtained is loaded by the next daemon without an order, and others' names are refused.
func TestObtainAndRestart(t *testing.T) {
	s := newSite(t, acmetest.Options{})
	var asked atomic.Int64
	s.ca.Between(func(http.ResponseWriter, *http.Request) bool { asked.Add(1); return false })
	if err := s.Configure(platform.Authority{Directory: s.ca.Directory, Roots: s.ca.Roots, Resolver: s.ca.DNS.Addr}); err != nil {
		t.Fatal(err)
	}
	plain, alpn := wish("www.example.com"), wish("api.example.com")
	plain.Solve, alpn.Solve = "http", "tls-alpn"
	s.Want("blog", plain)
	s.Want("shop", alpn)
	if st := s.state("www.example.com", "waiting"); !strings.Contains(st.Error, "agreed") || asked.Load() != 0 {
		t.Fatalf("%d requests before agreement: %+v", asked.Load(), st)
	}
	if s.Secured("www.example.com", true) {
		t.Error("secured without a certificate")
	}
	s.agree()
	first := s.served("www.example.com")
	s.served("api.example.com")
	if _, err := s.handshake("other.example.com"); !refusedName(err) {
		t.Errorf("a name that nobody has: %v", err)
	}
	if !s.Secured("www.example.com", true) || s.ca.Orders() != 2 {
		t.Errorf("%d orders", s.ca.Orders())
	}
	s.stop()
	s.listen()
	s.open()
	s.Want("blog", plain)
	s.agree()
	if again := s.served("www.example.com"); again.SerialNumber.Cmp(first.SerialNumber) != 0 || s.ca.Orders() != 2 {
		t.Errorf("after a restart: another certificate, %d orders", s.ca.Orders())
	}
}
