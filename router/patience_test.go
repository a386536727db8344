package router_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"paas/platform"
	"paas/router"
)

// An app's own limits for heads are so short that a test can wait for them; the listener's are not.
const (
	quickly = 300 * time.Millisecond
	notSoon = 5 * time.Minute
	surely  = 4 * time.Second // many times quickly, and the sweep's second
)

// patient is a router with an app in a hurry, quick.test, and one that is not, calm.test.
type patient struct {
	*served
	tls string // the address of its TLS listener
}

func newPatient(t *testing.T) patient {
	r := serveWith(t, router.Options{})
	r.Configure(platform.Intake{HeaderTimeout: notSoon, KeepAlive: notSoon})
	app := newInstance(t, func(w http.ResponseWriter, req *http.Request) { _, _ = io.WriteString(w, req.Host) })
	for name, traffic := range map[platform.AppName]platform.Traffic{"quick": {HeadWait: quickly, KeepAlive: 2 * quickly}, "calm": {}} {
		r.Swap(platform.Route{App: name, Hosts: []string{string(name) + ".test"}, Backends: []platform.Backend{app.Backend}, Traffic: traffic})
	}
	pair := httptest.NewUnstartedServer(nil)
	pair.StartTLS()
	config := &tls.Config{Certificates: pair.TLS.Certificates, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12}
	pair.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = r.Serve(tls.NewListener(l, config)) }() // the router's end is its end
	return patient{r, l.Addr().String()}
}

func (p patient) dial() net.Conn {
	return p.opened(net.Dial("tcp", strings.TrimPrefix(p.url, "http://")))
}

func (p patient) dialTLS(name, protocol string) net.Conn {
	c := &tls.Config{ServerName: name, NextProtos: []string{protocol}, InsecureSkipVerify: true} //nolint:gosec // a test's
	conn, err := tls.Dial("tcp", p.tls, c)
	return p.opened(conn, err)
}

func (p patient) opened(c net.Conn, err error) net.Conn {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = c.Close() })
	return c
}

// asked has one request answered over c.
func (p patient) asked(c net.Conn, host string) {
	p.t.Helper()
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err == nil {
		_, err = io.Copy(io.Discard, res.Body)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// rest is what the server still says until it closes c.
func rest(t *testing.T, c net.Conn) string {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	text, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is still open")
	}
	return string(text)
}

// stays tells whether c is still waited for after surely, in silence.
func stays(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(surely))
	if n, err := c.Read(make([]byte, 1)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d bytes, %v: it was cut", n, err)
	}
}

// The time for a request's head is an app's own where the app is known: by the name in the TLS handshake, or by the
// request before.
func TestHeaderTimeoutOfAnApp(t *testing.T) {
	p := newPatient(t)
	for name, cut := range map[string]func(*testing.T) string{
		"second head": func(t *testing.T) string {
			c := p.dial()
			p.asked(c, "quick.test")
			_, _ = io.WriteString(c, "GET / HT")
			return rest(t, c)
		},
		"first head over TLS": func(t *testing.T) string {
			c := p.dialTLS("quick.test", "http/1.1")
			_, _ = io.WriteString(c, "GET / HT")
			return rest(t, c)
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := cut(t); !strings.HasPrefix(got, "HTTP/1.1 408 ") {
				t.Errorf("it said %q", got)
			}
		})
	}
	t.Run("idle", func(t *testing.T) {
		c := p.dial()
		p.asked(c, "quick.test")
		if got := rest(t, c); got != "" {
			t.Errorf("an idle connection was told %q", got)
		}
	})
	t.Run("HTTP/2", func(t *testing.T) {
		c := p.dialTLS("quick.test", "h2")
		_, _ = io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"+"\x00\x00\x20\x01\x05") // half a frame of HEADERS
		rest(t, c)
	})
}

// Where the app is not known, or has no own limit, the listener's holds.
func TestHeaderTimeoutOfTheListener(t *testing.T) {
	p := newPatient(t)
	first, other, unknown := p.dial(), p.dial(), p.dialTLS("calm.test", "http/1.1")
	_, _ = io.WriteString(first, "GET / HTTP/1.1\r\nHost: quick.test\r\n")
	p.asked(other, "quick.test")
	p.asked(other, "calm.test")
	_, _ = io.WriteString(unknown, "GET / HT")
	for name, c := range map[string]net.Conn{"first head": first, "another app's": other, "over TLS": unknown} {
		t.Run(name, func(t *testing.T) { t.Parallel(); stays(t, c) })
	}
}
