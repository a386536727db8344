package http1_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"paas/router/http1"
	"paas/router/wire"
)

func TestTLS(t *testing.T) {
	config := certificate(t)
	config.NextProtos = []string{"other", "unknown", "http/1.1"}
	s := serveTLS(t, &http1.Server{Limits: http1.Limits{Header: 300 * time.Millisecond}, Handler: handle(func(x wire.Exchange) {
		if x.Request().TLS.ServerName != "a" {
			t.Error(x.Request().TLS)
		}
		if _, ok := x.(wire.Splicer); ok {
			t.Error("the kernel cannot send to TLS")
		}
		_ = x.Head(200, nil, -1)
		_, _ = x.Write(bytes.Repeat([]byte("x"), 100000))
		_, _ = x.Write([]byte("y"))
		_ = x.End(nil)
	}), Protocols: map[string]func(*tls.Conn){"other": func(c *tls.Conn) { _, _ = io.WriteString(c, "other") }}}, config)
	dial := func(protocol string) *tls.Conn {
		return tls.Client(s.dial(), &tls.Config{InsecureSkipVerify: true, ServerName: "a", NextProtos: []string{protocol}}) //nolint:gosec // our own certificate
	}
	c := dial("http/1.1")
	in := bufio.NewReader(c)
	for range 2 {
		_, _ = io.WriteString(c, "G")
		_, _ = io.WriteString(c, "ET / HTTP/1.1\r\nHost: a\r\n\r\n")
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || len(body) != 100001 {
			t.Error(len(body), err)
		}
	}
	if got, _ := io.ReadAll(dial("other")); string(got) != "other" {
		t.Errorf("%q", got)
	}
	if got, _ := io.ReadAll(dial("unknown")); len(got) > 0 {
		t.Errorf("%q", got)
	}
	if got := s.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); !strings.Contains(got, "speaks HTTPS") {
		t.Errorf("%q", got)
	}
	if took, got := ended(t, s.dial()); got != "" || took < 200*time.Millisecond {
		t.Errorf("a silent handshake took %v: %q", took, got)
	}
}

// TestSplice has the kernel move bodies from one socket to another.
func TestSplice(t *testing.T) {
	const size = 3 << 20
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write(bytes.Repeat([]byte("x"), size))
			_ = c.Close()
		}
	}()
	s := serve(t, &http1.Server{Handler: handle(func(x wire.Exchange) {
		from, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = from.Close() }()
		length, want := int64(size), int64(size)
		switch string(x.Request().Target) {
		case "/chunked":
			length = -1
		case "/short":
			length, want = size+1, size+1
		}
		_ = x.Head(200, nil, length)
		if n, err := x.(wire.Splicer).Splice(from.(*net.TCPConn), want); n != size || (err == nil) != (want == size) {
			t.Error(n, err)
		}
		_ = x.End(nil)
	})})
	for path, want := range map[string]error{"/sized": nil, "/chunked": nil, "/short": io.ErrUnexpectedEOF} {
		res, err := http.Get("http://" + s.addr + path)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if n != size || err != want {
			t.Error(path, n, err)
		}
	}
}
