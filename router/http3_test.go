package router_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"paas/platform"
	"paas/router"
)

// Over HTTP/3 requests, bodies and streams go through as over the others, and answers over TLS say where it is.
func TestHTTP3(t *testing.T) {
	r := serveWith(t, router.Options{AltSvc: `h3=":443"`})
	app := newInstance(t, func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		w.Header().Set("X-Seen", req.Header.Get("X-Forwarded-Proto")+" "+req.Host+" "+req.Method)
		_, _ = w.Write(bytes.ToUpper(body))
	})
	r.swap(app)
	address := quicOf(t, r)
	client := &http3.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: "hello.test"}} //nolint:gosec // a test's
	t.Cleanup(func() { _ = client.Close() })
	sent := strings.Repeat("streams ", 100_000)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+address+"/", strings.NewReader(sent))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "hello.test"
	res, err := client.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(res.Body)
	if err != nil || string(got) != strings.ToUpper(sent) {
		t.Errorf("%d bytes came back, %v", len(got), err)
	}
	if seen := res.Header.Get("X-Seen"); seen != "https hello.test POST" || res.ProtoMajor != 3 || res.Header.Get("Alt-Svc") != `h3=":443"` {
		t.Errorf("the app saw %q; %s, %v", seen, res.Proto, res.Header)
	}
	if res, _ := r.get("/", nil); res.Header.Get("Alt-Svc") != "" {
		t.Error("a plain answer tells of HTTP/3")
	}
}

// Strangers' hosts get the page that they get everywhere.
func TestHTTP3OfNobody(t *testing.T) {
	r := serveWith(t, router.Options{})
	r.Swap(platform.Route{App: "off", Hosts: []string{"off.test"}, Stopped: true})
	address := quicOf(t, r)
	client := &http3.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: "hello.test"}} //nolint:gosec // a test's
	t.Cleanup(func() { _ = client.Close() })
	for host, want := range map[string]int{"nobody.test": 404, "off.test": 503} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		res, err := client.RoundTrip(req)
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: %d, want %d", host, res.StatusCode, want)
		}
	}
}

// quicOf has the router serve HTTP/3, and gives the address.
func quicOf(t *testing.T, r *served) string {
	t.Helper()
	pair := httptest.NewUnstartedServer(nil)
	pair.StartTLS()
	config := &tls.Config{Certificates: pair.TLS.Certificates, MinVersion: tls.VersionTLS13}
	pair.Close()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan error, 1)
	go func() { over <- r.ServeHTTP3(c, config) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = r.Shutdown(ctx)
		if err := <-over; err != nil {
			t.Error(err)
		}
		_ = c.Close()
	})
	return c.LocalAddr().String()
}
