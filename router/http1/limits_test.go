package http1_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"paas/router/http1"
	"paas/router/wire"
)

// short are limits that a test can wait for.
var short = http1.Limits{Header: 200 * time.Millisecond, Idle: 400 * time.Millisecond, Window: 300 * time.Millisecond, Rate: 10000}

// ended is how long it took until the server closed c, and what it said.
func ended(t *testing.T, c net.Conn) (time.Duration, string) {
	t.Helper()
	start := time.Now()
	got, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is still open")
	}
	return time.Since(start), string(got)
}

// drip sends text over and over, a byte each few milliseconds, until the other side has had enough.
func drip(c net.Conn, text string) {
	for i := 0; ; i++ {
		if _, err := c.Write([]byte{text[i%len(text)]}); err != nil {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestSlowClients(t *testing.T) {
	s := serve(t, &http1.Server{Handler: handle(hello), Limits: short})
	for _, c := range []struct {
		name, first, drip, want string
		least                   time.Duration
	}{
		{"silent", "", "", "", short.Header},
		{"head", "GET / HTTP/1.1\r\nHost: a\r\n", "A: b\r\n", "408", short.Header},
		{"half a line", "GET /", "", "408", short.Header},
		{"idle", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "", "200", short.Idle},
		{"second head", "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET", "", "200 408", short.Header},
		{"body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n", "x", "200", short.Window},
		{"silent body", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "", "200", short.Window},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			conn := s.dial()
			_, _ = io.WriteString(conn, c.first)
			if c.drip != "" {
				go drip(conn, c.drip)
			}
			took, got := ended(t, conn)
			if statuses(got) != c.want || took < c.least*3/4 || took > c.least*4+time.Second {
				t.Errorf("after %v: %s", took, got)
			}
		})
	}
}

// flood answers with a megabyte at a time until the client is not served any more.
func flood(done chan<- error) handle {
	return func(x wire.Exchange) {
		piece := make([]byte, 1<<20)
		err := x.Head(200, nil, -1)
		for err == nil {
			_, err = x.Write(piece)
		}
		done <- err
	}
}

func TestSlowReader(t *testing.T) {
	done := make(chan error, 1)
	s := serve(t, &http1.Server{Handler: flood(done), Limits: short})
	c := s.dial()
	_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	stop := make(chan struct{})
	go func() { // a little now and then must not help
		defer close(stop)
		for {
			if _, err := c.Read(make([]byte, 10)); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	select {
	case err := <-done:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("the slow reader is served for ever")
	}
	_ = c.Close()
	<-stop
}

func TestSteadyReader(t *testing.T) {
	s := serve(t, &http1.Server{Limits: short, Handler: handle(func(x wire.Exchange) {
		_ = x.Head(200, nil, 64<<10)
		for range 64 { // the instance is slow, and the client is not to blame
			time.Sleep(15 * time.Millisecond)
			_, _ = x.Write(make([]byte, 1<<10))
			_ = x.Flush()
		}
		_ = x.End(nil)
	})})
	if got := s.say("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); len(got) < 64<<10 {
		t.Error(len(got))
	}
}

func TestLimitsOfAHead(t *testing.T) {
	s := serve(t, &http1.Server{Handler: handle(hello)})
	long := strings.Repeat("x", 16<<10)
	for want, text := range map[string]string{
		"200":                     "GET / HTTP/1.1\r\nHost: a\r\nA: " + long + "\r\n",
		"414":                     "GET /" + long + " HTTP/1.1\r\nHost: a\r\n",
		"431":                     "GET / HTTP/1.1\r\nHost: a\r\nA: " + long + "\r\nB: " + long + "\r\n",
		"431 Request":             "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("A: b\r\n", 99),
		"414 Request":             "GET /" + long + long + long,
		"431 Request Header":      "GET / HTTP/1.1\r\nA: " + long + long,
		"200 OK":                  "GET /" + long[1:] + " HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("A: b\r\n", 98),
		"431 Request Header F":    "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("Connection: b\r\n", 200),
		"431 ":                    "GET / HTTP/1.1\r\nHost: a\r\nConnection: " + strings.Repeat("a,", 1000) + "\r\n",
		"431 Request Header Fiel": "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("A_B: b\r\nTE: b\r\n", 100),
	} {
		if got := s.say(text + "Connection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 "+want[:3]) {
			t.Errorf("%.60q: %.200s", text, got)
		}
	}
}

func TestLimitsOfAnExchange(t *testing.T) {
	errs := make(chan error, 1)
	s := serve(t, &http1.Server{Handler: handle(func(x wire.Exchange) {
		l, _ := x.(wire.Limited)
		l.SetMaxBody(10)
		l.SetReadTimeout(100 * time.Millisecond)
		_, err := io.ReadAll(x)
		errs <- err
		_ = x.Head(413, nil, 0)
		_ = x.End(nil)
	}), Limits: http1.Limits{Header: 400 * time.Millisecond}})
	for body, want := range map[string]error{
		"Content-Length: 10\r\n\r\n0123456789":                                        nil,
		"Content-Length: 11\r\n\r\n":                                                  wire.ErrTooLarge,
		"Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n6\r\n012345\r\n0\r\n\r\n":    wire.ErrTooLarge,
		"Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n01234\r\n0\r\n\r\n":     nil,
		"Content-Length: 10\r\n\r\n0123":                                              os.ErrDeadlineExceeded,
		"Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("5;a\r\n01234\r\n", 20): wire.ErrTooLarge,
	} {
		c := s.dial()
		_, _ = fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n", body)
		if _, got := ended(t, c); statuses(got) != "413" {
			t.Errorf("%q: %q", body, got)
		}
		if err := <-errs; !errors.Is(err, want) {
			t.Errorf("%q: %v", body, err)
		}
	}
}

// TestBytewise sends every byte alone: no boundary of a read means anything.
func TestBytewise(t *testing.T) {
	s := serve(t, &http1.Server{Handler: handle(hello)})
	c := s.dial()
	go func() {
		for _, b := range []byte("\r\nPOST http://A/1?x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: u\r\n\r\n" +
			"GET / HTTP/1.1\r\nHost: [::1]:80\r\nConnection: close\r\n\r\n") {
			_, _ = c.Write([]byte{b})
		}
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Contains(got, []byte(`POST A /1?x "abcde" <nil>`)) || !bytes.HasSuffix(got, []byte(`GET [::1]:80 / "" <nil>`)) {
		t.Errorf("%s %v", got, err)
	}
}
