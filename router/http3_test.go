package router_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
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

// A GET over HTTP/3 has no length, and quic-go does not say that it has no body: it went to the instance with an empty
// one in chunks, whose end an instance that knows no chunks took for the next request.
func TestHTTP3GetHasNoBody(t *testing.T) {
	r := serveWith(t, router.Options{})
	app := newInstance(t, func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		_, _ = fmt.Fprintf(w, "%d %s %v", req.ContentLength, body, req.TransferEncoding)
	})
	r.swap(app)
	client := client3(t, quicOf(t, r))
	for method, want := range map[string]string{"GET": "0  []", "DELETE": "0  []", "POST": "5 hello []"} {
		var body io.Reader
		if method == "POST" {
			body = strings.NewReader("hello")
		}
		if _, got := client.ask(method, "/", body); got != want {
			t.Errorf("%s: %q, want %q", method, got, want)
		}
	}
}

// What clients may do over HTTP/3 is set as for the others.
func TestHTTP3Limits(t *testing.T) {
	r := serveWith(t, router.Options{}, platform.Intake{MaxHead: 8 << 10, MaxTarget: 300, MaxFields: 20, KeepAlive: time.Second, Handshakes: -1})
	app := newInstance(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		_, _ = io.WriteString(w, "served")
		w.Header().Set("X-Sum", "six")
	})
	r.swap(app)
	client := client3(t, quicOf(t, r)) // its address was asked for (Retry)
	res, got := client.ask("GET", "/", nil)
	if got != "served" || res.Trailer.Get("X-Sum") != "six" {
		t.Errorf("%q, trailers %v", got, res.Trailer)
	}
	for want, change := range map[int]func(*http.Request){
		http.StatusRequestURITooLong: func(req *http.Request) { req.URL.RawQuery = strings.Repeat("a", 400) },
		http.StatusRequestHeaderFieldsTooLarge: func(req *http.Request) {
			for n := range 30 {
				req.Header.Set(fmt.Sprint("X-", n), "1")
			}
		},
	} {
		if res, _ := client.ask("GET", "/", nil, change); res.StatusCode != want {
			t.Errorf("%d, want %d", res.StatusCode, want)
		}
	}
	long := func(req *http.Request) { req.Header.Set("X-Long", strings.Repeat("a", 20<<10)) }
	if res, _ := client.ask("GET", "/", nil, long); res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a long head: %d", res.StatusCode)
	}
	conn, err := quic.DialAddr(t.Context(), client.address, client.TLSClientConfig, nil)
	if err != nil {
		t.Fatal(err)
	}
	half, err := conn.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = half.Write([]byte{1, 0x40}) // HEADERS, and half of its length
	select {
	case <-conn.Context().Done(): // nothing of it was asked for too long
	case <-time.After(time.Minute):
		t.Error("a connection with half a head stays")
	}
}

// asker3 asks over HTTP/3 only.
type asker3 struct {
	*http3.Transport
	t       *testing.T
	address string
}

func client3(t *testing.T, address string) asker3 {
	config := &tls.Config{InsecureSkipVerify: true, ServerName: "hello.test", NextProtos: []string{http3.NextProtoH3}} //nolint:gosec // a test's
	c := asker3{&http3.Transport{TLSClientConfig: config}, t, address}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func (c asker3) ask(method, path string, body io.Reader, changes ...func(*http.Request)) (*http.Response, string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, "https://"+c.address+path, body)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Host = "hello.test"
	for _, change := range changes {
		change(req)
	}
	res, err := c.RoundTrip(req)
	if err != nil {
		c.t.Fatal(err)
	}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return res, string(text)
}
