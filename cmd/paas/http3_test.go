package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// overHTTP3 are the flags of a daemon that serves HTTP/3.
func overHTTP3(p *platformUnderTest) []string {
	return []string{"--https", fmt.Sprintf("127.0.0.1:%d", p.https), "--http3"}
}

// client3 asks over HTTP/3 only, and trusts the platform's own authority.
func (p *platformUnderTest) client3(t *testing.T) *http3.Transport {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(p.run(t, p.home, "paas", "certs:ca"))) {
		t.Fatal("certs:ca prints no certificate")
	}
	c := &http3.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: doorsHost, MinVersion: tls.VersionTLS13},
		QUICConfig:      &quic.Config{HandshakeIdleTimeout: 20 * time.Second, MaxIdleTimeout: 30 * time.Second},
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// ask3 has a request of the doors app answered, and checks the answer to its last byte.
func (p *platformUnderTest) ask3(c *http3.Transport, method, path string, body []byte) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, fmt.Sprintf("https://127.0.0.1:%d%s", p.https, path), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Host = doorsHost
	res, err := c.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	text, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s %s: after %d bytes: %w", method, path, len(text), err)
	case res.StatusCode != http.StatusOK || path == "/stream" && !bytes.HasSuffix(text, []byte("data: 30\n\n")) ||
		path != "/stream" && !bytes.Contains(text, fmt.Appendf(nil, " %d %s", len(body), doorsHost)):
		return nil, fmt.Errorf("%s %s: status %d, body %q", method, path, res.StatusCode, text)
	}
	return res, nil
}

// Over HTTP/3, against the real daemon: requests, bodies and streams, releases, and handovers to another process, which
// finishes what is in flight, lose nothing.
func TestHTTP3OfTheDaemon(t *testing.T) {
	p, dir := newDoorsPlatform(t, overHTTP3)
	c := p.client3(t)
	res, err := p.ask3(c, "POST", "/upload", bytes.Repeat([]byte("x"), 3<<20))
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf(`h3=":%d"`, p.https); res.ProtoMajor != 3 || !strings.HasPrefix(res.Header.Get("Alt-Svc"), want) {
		t.Errorf("%s, Alt-Svc %q", res.Proto, res.Header.Get("Alt-Svc"))
	}
	var l load
	stop := p.load3(t, &l)
	for n := range 3 {
		switch n {
		case 0:
			p.run(t, dir, "git", "commit", "-q", "--allow-empty", "-m", fmt.Sprint("release ", n))
			p.run(t, dir, "git", "push", "paas", "main")
		default:
			copyProgram(t, p.binary, p.binary)
			if err := p.handOver(); err != nil {
				t.Error(err)
			}
		}
	}
	stop()
	t.Logf("%d requests", l.done.Load())
	if l.failed.Load() > 0 || l.done.Load() < 50 {
		t.Errorf("%d of %d requests failed, the first with: %v", l.failed.Load(), l.done.Load(), l.first)
	}
	p.oneDaemon(t)
	if _, err := p.ask3(p.client3(t), "GET", "/", nil); err != nil {
		t.Error(err)
	}
}

// load3 asks over some connections until stop is called.
func (p *platformUnderTest) load3(t *testing.T, l *load) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	upload := bytes.Repeat([]byte("x"), 256<<10)
	start := func(c *http3.Transport, method, path string, body []byte) {
		clients.Go(func() {
			for ; ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
				_, err := p.ask3(c, method, path, body)
				l.count(err)
			}
		})
	}
	for range 2 {
		c := p.client3(t)
		start(c, "GET", "/", nil)
		start(c, "GET", "/slow", nil)
		start(c, "GET", "/stream", nil)
		start(p.client3(t), "POST", "/upload", upload)
	}
	return func() { cancel(); clients.Wait() }
}
