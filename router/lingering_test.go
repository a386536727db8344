package router_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"paas/platform"
	"paas/router"
)

// Clients that send all of a body before they look for the answer lost it when the app had answered at once: the
// connection was reset after a second, or a quarter of a megabyte.
func TestAnswersToUnreadUploadsArrive(t *testing.T) {
	r := serveWith(t, router.Options{})
	dial := map[string]func() (net.Conn, error){
		"plain": func() (net.Conn, error) { return net.Dial("tcp", strings.TrimPrefix(r.url, "http://")) },
		"TLS":   alsoOverTLS(t, r),
	}
	r.swap(newInstance(t, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/close" {
			w.Header().Set("Connection", "close")
		}
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "not for you")
	}))
	for name, dial := range dial {
		var all sync.WaitGroup
		for i := range 16 {
			path, framing := []string{"/", "/close"}[i%2], []string{"Content-Length: 3000000", "Transfer-Encoding: chunked"}[i/2%2]
			all.Go(func() {
				if got, err := sendFirst(dial, path, framing); got != "403 not for you" {
					t.Errorf("%s, %s, %s: %q, %v", name, path, framing, got, err)
				}
			})
		}
		all.Wait()
	}
}

// A client that goes on sending is cut off when it has had its bytes.
func TestLingeringEnds(t *testing.T) {
	r := serveWith(t, router.Options{}, platform.Intake{MaxLinger: 64 << 10, Linger: time.Hour})
	r.swap(newInstance(t, func(http.ResponseWriter, *http.Request) {}))
	c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: hello.test\r\nContent-Length: 1000000000000\r\n\r\n")
	for piece := make([]byte, 64<<10); err == nil; {
		_, err = c.Write(piece) // the test's own limit is that of go test
	}
}

// alsoOverTLS has r serve HTTP/1 over TLS, too.
func alsoOverTLS(t *testing.T, r *served) func() (net.Conn, error) {
	t.Helper()
	pair := httptest.NewUnstartedServer(nil)
	pair.StartTLS()
	config := &tls.Config{Certificates: pair.TLS.Certificates, MinVersion: tls.VersionTLS12}
	pair.Close()
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = r.Serve(l) }()
	t.Cleanup(func() { _ = l.Close() })
	return func() (net.Conn, error) {
		return tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // a test's
	}
}

// sendFirst sends a body of 3 MB, and then reads the answer.
func sendFirst(dial func() (net.Conn, error), path, framing string) (string, error) {
	c, err := dial()
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	if _, err := fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: hello.test\r\n%s\r\n\r\n", path, framing); err != nil {
		return "", err
	}
	piece, before := strings.Repeat("x", 30_000), ""
	if framing == "Transfer-Encoding: chunked" {
		before = "7530\r\n"
		piece += "\r\n"
	}
	for range 100 {
		if _, err := io.WriteString(c, before+piece); err != nil {
			return "", err
		}
	}
	if before != "" {
		_, _ = io.WriteString(c, "0\r\n\r\n")
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(res.Body)
	return fmt.Sprint(res.StatusCode, " ", string(body)), err
}
