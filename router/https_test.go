package router_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"paas/platform"
	"paas/router"
	"paas/router/certs"
	"paas/store"
)

// secured is a router over plain and TLS listeners with an app in front of a server that says what it sees.
type secured struct {
	*router.Router
	m           *certs.Manager
	route       platform.Route
	http, https net.Listener
	roots       *x509.CertPool
}

func newSecured(t *testing.T) *secured {
	t.Helper()
	db, err := store.Open(context.Background(), filepath.Join(t.TempDir(), "paas.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	s := &secured{roots: x509.NewCertPool()}
	for _, l := range []*net.Listener{&s.http, &s.https} {
		if *l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	if s.m, err = certs.Open(context.Background(), certs.Options{Vault: db.Vault(), HTTPSPort: 443}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.m.Close)
	s.roots.AppendCertsFromPEM(s.m.Root())
	s.Router = router.New(router.Options{Challenge: func(host, path string) (string, bool) {
		return "answer for " + host, strings.HasSuffix(path, "/token")
	}, Secured: s.m.Secured, Covers: s.m.Covers})
	go func() { _ = s.Serve(s.http) }()
	go func() { _ = s.Serve(tls.NewListener(s.https, s.m.TLSConfig("h2", "http/1.1"))) }()
	t.Cleanup(func() { _ = s.Shutdown(context.Background()) })
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Strict-Transport-Security", "max-age=1")
		_, _ = io.WriteString(w, r.Header.Get("X-Forwarded-Proto")+" "+r.Header.Get("X-Forwarded-Port")+" "+r.Host)
	}))
	t.Cleanup(app.Close)
	s.route = platform.Route{App: "blog", Hosts: []string{"blog.internal", "*.wide.internal"}, Backends: []platform.Backend{
		{ID: "i1", Name: "web.1", Addr: netip.MustParseAddrPort(app.Listener.Addr().String())},
	}}
	s.m.Want("blog", platform.Wish{Hosts: s.route.Hosts, Issuer: platform.IssuerAuto})
	return s
}

func (s *secured) policy(p platform.HTTPS) {
	s.route.HTTPS = p
	s.Swap(s.route)(context.Background())
}

// plain asks over HTTP.
func (s *secured) plain(t *testing.T, method, host, path string) *http.Response {
	t.Helper()
	req, _ := http.NewRequestWithContext(t.Context(), method, "http://"+s.http.Addr().String()+path, nil)
	req.Host = host
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	res.Body = io.NopCloser(strings.NewReader(string(body)))
	return res
}

// Plain requests are sent to HTTPS as the app's policy says; authorities' questions never are.
func TestRedirectToHTTPS(t *testing.T) {
	s := newSecured(t)
	for _, try := range []struct {
		policy platform.HTTPS
		method string
		target string
		status int
		to     string
	}{
		{platform.HTTPS{}, "GET", "/", 200, ""},
		{platform.HTTPS{Port: 443, Redirect: platform.RedirectNever}, "GET", "/", 200, ""},
		{platform.HTTPS{Port: 443, Redirect: platform.RedirectAuto}, "GET", "/", 200, ""}, // browsers do not trust it
		{platform.HTTPS{Port: 443, Redirect: platform.RedirectAlways}, "GET", "/a?b=c", 308, "https://blog.internal/a?b=c"},
		{platform.HTTPS{Port: 8443, Redirect: platform.RedirectAlways}, "POST", "//evil.example/%2e", 308, "https://blog.internal:8443//evil.example/%2e"},
		{platform.HTTPS{Port: 443, Redirect: platform.RedirectAlways}, "GET", "/.well-known/acme-challenge/token", 200, ""},
		{platform.HTTPS{Port: 443, Redirect: platform.RedirectAlways}, "POST", "/.well-known/acme-challenge/token", 308, "https://blog.internal/.well-known/acme-challenge/token"},
	} {
		s.policy(try.policy)
		res := s.plain(t, try.method, "Blog.Internal:80", try.target)
		if res.StatusCode != try.status || res.Header.Get("Location") != try.to {
			t.Errorf("%+v: %s to %q", try, res.Status, res.Header.Get("Location"))
		}
	}
	if res := s.plain(t, "GET", "nobody.example.com", "/.well-known/acme-challenge/token"); res.StatusCode != http.StatusOK {
		t.Errorf("a challenge for a name without a route: %s", res.Status)
	}
}

// HSTS is said over TLS only, in the place of what the app says; apps see by which way their visitors came.
func TestHSTS(t *testing.T) {
	s := newSecured(t)
	s.policy(platform.HTTPS{Port: 443, Redirect: platform.RedirectAuto, HSTS: "max-age=99"})
	if got := s.plain(t, "GET", "blog.internal", "/").Header.Values("Strict-Transport-Security"); len(got) != 1 || got[0] != "max-age=1" {
		t.Errorf("plain: %q", got)
	}
	for _, protocol := range []string{"http/1.1", "h2"} {
		for _, host := range []string{"blog.internal", "any.wide.internal"} {
			res, body := s.overTLS(t, protocol, host, host)
			if got := res.Header.Values("Strict-Transport-Security"); len(got) != 1 || got[0] != "max-age=99" {
				t.Errorf("%s %s: %q", protocol, host, got)
			}
			if body != "https 443 "+host {
				t.Errorf("%s %s: the app saw %q", protocol, host, body)
			}
		}
	}
}

// A connection of HTTP/2 serves other names only when its certificate is for them, too.
func TestMisdirected(t *testing.T) {
	s := newSecured(t)
	s.policy(platform.HTTPS{})
	for host, status := range map[string]int{"b.wide.internal": 200, "blog.internal": 421, "a.wide.internal": 200} {
		if res, _ := s.overTLS(t, "h2", "a.wide.internal", host); res.StatusCode != status {
			t.Errorf("%s over a connection to a.wide.internal: %s", host, res.Status)
		}
	}
}

func (s *secured) overTLS(t *testing.T, protocol, sni, host string) (*http.Response, string) {
	t.Helper()
	c := &tls.Config{ServerName: sni, RootCAs: s.roots, NextProtos: []string{protocol}}
	var tr http.RoundTripper
	if protocol == "h2" {
		h2 := &http.Transport{TLSClientConfig: c, ForceAttemptHTTP2: true, DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
			return tls.Dial("tcp", s.https.Addr().String(), c)
		}}
		defer h2.CloseIdleConnections()
		tr = h2
	} else {
		tr = roundTrip(func(req *http.Request) (*http.Response, error) {
			conn, err := tls.Dial("tcp", s.https.Addr().String(), c)
			if err != nil {
				return nil, err
			}
			t.Cleanup(func() { _ = conn.Close() })
			if err := req.Write(conn); err != nil {
				return nil, err
			}
			return http.ReadResponse(bufio.NewReader(conn), req)
		})
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+host+"/", nil)
	res, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
