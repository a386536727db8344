package certs_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"paas/platform"
	"paas/router/certs"
	"paas/router/certs/acmetest"
)

func withDNS(s *site) func(*platform.Authority) {
	return func(a *platform.Authority) {
		a.Provider = "rfc2136"
		a.Credentials = map[string]string{"server": s.ca.DNS.Addr, "key_name": acmetest.KeyName, "key_alg": "hmac-sha256", "key": acmetest.KeySecret}
	}
}

// A wildcard is obtained by DNS and serves the names below it, which are not asked for on their own. Without a
// provider it says what it lacks, and a provider without credentials is refused.
func TestWildcardByDNS(t *testing.T) {
	s := newSite(t, acmetest.Options{})
	s.agree()
	s.Want("", wish("*.example.com"))
	if st := s.state("*.example.com", "waiting"); !strings.Contains(st.Error, "DNS provider") {
		t.Errorf("without a provider: %+v", st)
	}
	for _, a := range []platform.Authority{
		{Provider: "rfc2136"}, {Provider: "nobody"},
		{Provider: "hetzner", Credentials: map[string]string{"api_token": "x", "tokn": "y"}}, {Roots: "no PEM"},
	} {
		if err := s.Configure(a); platform.KindOf(err) != platform.Usage {
			t.Errorf("%+v: %v", a, err)
		}
	}
	s.agree(withDNS(s))
	s.Want("blog", wish("blog.example.com"))
	leaf := s.served("blog.example.com")
	if leaf.DNSNames[0] != "*.example.com" || s.ca.Orders() != 1 || s.ca.DNS.Updates() < 2 {
		t.Errorf("%v, %d orders, %d updates", leaf.DNSNames, s.ca.Orders(), s.ca.DNS.Updates())
	}
	if !s.Secured("blog.example.com", true) {
		t.Error("a name below a wildcard is not secured")
	}
	s.Forget("") // now it needs one of its own
	if leaf := s.servedBy("blog.example.com"); leaf != "blog.example.com" {
		t.Errorf("served by %s", leaf)
	}
}

// servedBy waits until the host's own name is in its certificate.
func (s *site) servedBy(host string) string {
	s.t.Helper()
	name := ""
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end) && name != host; time.Sleep(50 * time.Millisecond) {
		if state, err := s.handshake(host); err == nil {
			name = state.PeerCertificates[0].DNSNames[0]
		}
	}
	return name
}

// What fails for one name is told, backs off, is remembered over a restart, and holds up no other.
func TestFailureStaysWithItsName(t *testing.T) {
	s := newSite(t, acmetest.Options{Refuses: []string{"bad.example.com"}})
	s.o.Backoff = []time.Duration{time.Hour}
	s.stop()
	s.listen()
	s.open()
	s.ca.DNS.Point("elsewhere.example.com", "192.0.2.1")
	s.ca.DNS.Point("nowhere.example.com", "")
	s.agree()
	s.Want("blog", wish("bad.example.com", "elsewhere.example.com", "nowhere.example.com"))
	s.Want("shop", wish("good.example.com"))
	s.served("good.example.com")
	for host, why := range map[string]string{
		"bad.example.com": "refused", "elsewhere.example.com": "points to 192.0.2.1", "nowhere.example.com": "no address",
	} {
		if st := s.state(host, "failing"); !strings.Contains(st.Error, why) || st.Failures != 1 || st.Next == nil {
			t.Errorf("%+v", st)
		}
	}
	failed := 0
	for len(s.News()) > 0 {
		if n := <-s.News(); n.Err != nil && n.App == "blog" {
			failed++
		}
	}
	if failed != 3 {
		t.Errorf("%d failures were told", failed)
	}
	s.stop()
	s.listen()
	s.open()
	s.agree()
	s.Want("blog", wish("bad.example.com"))
	st := s.state("bad.example.com", "failing")
	time.Sleep(300 * time.Millisecond)
	if again := s.state("bad.example.com", "failing"); again.Failures != 1 || !again.Next.Equal(*st.Next) {
		t.Errorf("a restart tried again: %+v", again)
	}
	blind := wish("elsewhere.example.com")
	blind.Blind = true
	s.ca.DNS.Point("elsewhere.example.com", "127.0.0.1")
	s.Want("blog", blind)
	if err := s.Obtain(context.Background(), "elsewhere.example.com", false); err != nil {
		t.Errorf("by hand: %v", err)
	}
	s.served("elsewhere.example.com")
}

// limited answers as an authority does that has had enough.
func limited(w http.ResponseWriter, r *http.Request) bool {
	if !acmetest.IsOrder(r) {
		return false
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(http.StatusTooManyRequests)
	_ = json.NewEncoder(w).Encode(map[string]any{"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many", "status": 429})
	return true
}

// Outages, rate limits and bad nonces delay a certificate and lose none.
func TestAuthorityInTrouble(t *testing.T) {
	s := newSite(t, acmetest.Options{BadNonces: 40})
	s.ca.Down(true)
	s.agree()
	s.Want("blog", wish("www.example.com"))
	s.state("www.example.com", "failing")
	s.ca.Down(false)
	s.served("www.example.com")
	s.ca.Between(limited)
	s.Want("shop", wish("shop.example.com"))
	if st := s.state("shop.example.com", "failing"); !strings.Contains(st.Error, "rateLimited") || !strings.Contains(st.Error, "too many") {
		t.Errorf("%+v", st)
	}
	if _, err := s.handshake("www.example.com"); err != nil {
		t.Errorf("the other name: %v", err)
	}
	s.ca.Between(nil)
	s.served("shop.example.com")
}

// Certificates are renewed under clients that come all the time, and none of them fails.
func TestRenewalDuringHandshakes(t *testing.T) {
	s := newSite(t, acmetest.Options{Validity: 9})
	s.agree()
	s.Want("blog", wish("www.example.com"))
	s.served("www.example.com")
	serials, tried := map[string]bool{}, 0
	for end := time.Now().Add(25 * time.Second); len(serials) < 3 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		state, err := s.handshake("www.example.com")
		if tried++; err != nil {
			t.Fatalf("handshake %d, certificate %d: %v", tried, len(serials), err)
		}
		serials[state.PeerCertificates[0].SerialNumber.String()] = true
	}
	if len(serials) < 3 {
		t.Errorf("%d certificates in %d handshakes: %+v", len(serials), tried, s.Status([]string{"www.example.com"}))
	}
}

// A revoked certificate is void at its authority, and another one is obtained.
func TestRevoke(t *testing.T) {
	s := newSite(t, acmetest.Options{})
	s.agree()
	s.Want("blog", wish("www.example.com", "blog.internal"))
	old := s.served("www.example.com")
	if err := s.Revoke(context.Background(), "www.example.com", 4); err != nil {
		t.Fatal(err)
	}
	if status := s.ca.Status(old.SerialNumber.Text(16)); !strings.Contains(status, "Revoked") {
		t.Errorf("the authority says %s", status)
	}
	if next := s.served("www.example.com"); next.SerialNumber.Cmp(old.SerialNumber) == 0 {
		t.Error("the revoked one is served")
	}
	for host, kind := range map[string]platform.Kind{"blog.internal": platform.Conflict, "no.example.com": platform.NotFound} {
		if err := s.Revoke(context.Background(), host, 0); platform.KindOf(err) != kind {
			t.Errorf("%s: %v", host, err)
		}
	}
}

// An authority may ask for an account that is known to it otherwise.
func TestExternalAccount(t *testing.T) {
	s := newSite(t, acmetest.Options{EAB: map[string]string{"kid-1": "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"}})
	s.agree()
	s.Want("blog", wish("www.example.com"))
	if st := s.state("www.example.com", "failing"); !strings.Contains(st.Error, "xternal") {
		t.Errorf("%+v", st)
	}
	s.agree(func(a *platform.Authority) {
		a.KeyID, a.HMAC = "kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
	})
	s.served("www.example.com")
}

// On demand, a name is obtained when a client asks for it: those of an app, those below its wildcard, no others.
func TestOnDemand(t *testing.T) {
	s := newSite(t, acmetest.Options{Refuses: []string{"bad.shop.example.com"}})
	s.agree()
	w := wish("www.example.com", "*.shop.example.com")
	w.Lazy = true
	s.Want("shop", w)
	s.state("www.example.com", "waiting")
	if s.ca.Orders() != 0 {
		t.Errorf("%d orders in advance", s.ca.Orders())
	}
	for _, host := range []string{"www.example.com", "alice.shop.example.com", "alice.shop.example.com"} {
		if state, err := s.handshake(host); err != nil || state.PeerCertificates[0].DNSNames[0] != host {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, host := range []string{"other.example.com", "bad.shop.example.com"} {
		if _, err := s.handshake(host); !refusedName(err) {
			t.Errorf("%s: %v", host, err)
		}
	}
	if s.ca.Orders() != 2 {
		t.Errorf("%d orders for 2 names", s.ca.Orders())
	}
	if _, err := s.handshake("alice.shop.example.com"); err != nil {
		t.Errorf("after another one's failure: %v", err)
	}
}

// Below a wildcard clients choose the names: one that fails keeps no other from its certificate, an hour has so many of
// them, and nothing is asked of the authority for names of no app.
func TestOnDemandAbuse(t *testing.T) {
	s := newSite(t, acmetest.Options{Refuses: []string{"bad.shop.example.com"}})
	s.stop()
	s.o.LazyQuota, s.o.Backoff = 3, []time.Duration{time.Hour}
	s.listen()
	s.open()
	s.agree()
	w := wish("*.shop.example.com")
	w.Lazy = true
	s.Want("shop", w)
	for range 3 {
		if _, err := s.handshake("bad.shop.example.com"); !refusedName(err) {
			t.Errorf("a name that fails: %v", err)
		}
	}
	for _, host := range []string{"alice.shop.example.com", "bob.shop.example.com"} {
		if _, err := s.handshake(host); err != nil {
			t.Errorf("%s, after another one's failure: %v", host, err)
		}
	}
	orders := s.ca.Orders()
	for _, host := range []string{"carol.shop.example.com", "dave.shop.example.com", "shop.example.org", "alice.shop.example.com.evil.test"} {
		if _, err := s.handshake(host); !refusedName(err) {
			t.Errorf("%s: %v", host, err)
		}
	}
	if got := s.ca.Orders(); got != orders {
		t.Errorf("%d orders, then %d", orders, got)
	}
	if _, err := s.handshake("bob.shop.example.com"); err != nil {
		t.Errorf("what there is, beyond the quota: %v", err)
	}
}

// Another authority is asked for everything, and what the former signed is served until then.
func TestAnotherAuthority(t *testing.T) {
	s := newSite(t, acmetest.Options{})
	s.agree()
	s.Want("blog", wish("www.example.com"))
	first := s.served("www.example.com")
	other, err := acmetest.Start(acmetest.Options{HTTPPort: s.o.HTTPPort, TLSPort: s.o.HTTPSPort})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	other.Down(true)
	s.ca.Issuers += other.Issuers
	s.agree(func(a *platform.Authority) {
		a.Directory, a.Roots, a.Resolver = other.Directory, other.Roots, other.DNS.Addr
	})
	s.state("www.example.com", "valid")
	if leaf := s.served("www.example.com"); leaf.SerialNumber.Cmp(first.SerialNumber) != 0 {
		t.Error("the first one's certificate is gone")
	}
	other.Down(false)
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if leaf := s.served("www.example.com"); leaf.SerialNumber.Cmp(first.SerialNumber) != 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the second authority's certificate is not served")
		}
	}
}

// Two daemons over one store want the same at the same time: one order is made.
func TestTwoDaemonsShareAStore(t *testing.T) {
	s := newSite(t, acmetest.Options{})
	if err := s.Configure(platform.Authority{Directory: s.ca.Directory, Resolver: s.ca.DNS.Addr}); err != nil { // it asks nobody
		t.Fatal(err)
	}
	s.Want("blog", wish("www.example.com"))
	for i := range 2 {
		m, err := certs.Open(context.Background(), s.o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(m.Close)
		front := &site{Manager: m, t: t, ca: s.ca, https: s.https}
		front.agree()
		m.Want("blog", wish("www.example.com"))
		defer func() {
			if st := front.state("www.example.com", "valid"); st.Expires == nil {
				t.Errorf("daemon %d: %+v", i, st)
			}
			if s.ca.Orders() != 1 {
				t.Errorf("%d orders for one name", s.ca.Orders())
			}
		}()
	}
}

// Ten thousand names cost a handshake what one costs.
func TestManyNames(t *testing.T) {
	s := newSite(t, acmetest.Options{})
	get := s.TLSConfig().GetCertificate
	for i := range 10_000 {
		s.Want(platform.AppName(fmt.Sprint("app", i)), wish(fmt.Sprintf("app%d.internal", i)))
	}
	hello := &tls.ClientHelloInfo{ServerName: "app9999.internal"}
	if c, err := get(hello); err != nil || c == nil {
		t.Fatal(c, err)
	}
	took := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			_, _ = get(hello)
		}
	}).NsPerOp()
	if took > 20_000 {
		t.Errorf("a look-up takes %d ns", took)
	}
	t.Logf("a look-up among 10,000 takes %d ns", took)
}
