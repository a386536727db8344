package http1_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"paas/router/http1"
	"paas/router/wire"
)

// handle is a handler.
type handle func(wire.Exchange)

func (h handle) Serve(x wire.Exchange) { h(x) }

// hello answers with what was asked.
func hello(x wire.Exchange) {
	r := x.Request()
	body, err := io.ReadAll(x)
	text := fmt.Sprintf("%s %s %s %q %v", r.Method, r.Authority, r.Target, body, err)
	_ = x.Head(200, []wire.Field{{Name: []byte("X-A"), Value: []byte("b")}}, int64(len(text)))
	_, _ = io.WriteString(x, text)
	_ = x.End(nil)
}

type served struct {
	*http1.Server
	t    testing.TB
	addr string
}

func serve(t testing.TB, s *http1.Server) *served {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, s, l)
}

func serveOn(t testing.TB, s *http1.Server, l net.Listener) *served {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- s.ServeListener(l) }()
	t.Cleanup(func() {
		_ = s.Close()
		if err := <-done; !errors.Is(err, http1.ErrClosed) {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Wait(ctx); err != nil {
			t.Errorf("connections are left: %v", err)
		}
	})
	return &served{Server: s, t: t, addr: l.Addr().String()}
}

func (s *served) dial() net.Conn {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

// say sends text and returns all that comes until the connection ends.
func (s *served) say(text string) string {
	s.t.Helper()
	c := s.dial()
	if _, err := io.WriteString(c, text); err != nil {
		s.t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil {
		s.t.Errorf("%.60q: %v after %q", text, err, got)
	}
	return string(got)
}

func statuses(answers string) string {
	var list []string
	for _, answer := range strings.Split(answers, "HTTP/1.1 ")[1:] {
		list = append(list, answer[:3])
	}
	return strings.Join(list, " ")
}

func TestPipelined(t *testing.T) {
	s := serve(t, &http1.Server{Handler: handle(hello)})
	got := s.say("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" +
		"POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" +
		"HEAD /4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /5 HTTP/1.1\r\nHost: a\r\n\r\n")
	if statuses(got) != "200 200 200 200" || !strings.Contains(got, `POST a /3 "abc" <nil>`) || strings.Contains(got, "/4 ") {
		t.Error(got)
	}
}

func TestOldClient(t *testing.T) {
	s := serve(t, &http1.Server{Handler: handle(func(x wire.Exchange) {
		_ = x.Head(200, nil, -1)
		_, _ = io.WriteString(x, "abc")
		_ = x.End(nil)
	})})
	got := s.say("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
	if !strings.HasSuffix(got, "Connection: close\r\n\r\nabc") {
		t.Errorf("%q", got)
	}
}

func TestStreams(t *testing.T) {
	s := serve(t, &http1.Server{Handler: handle(func(x wire.Exchange) {
		_ = x.Interim(103, []wire.Field{{Name: []byte("Link"), Value: []byte("</a>")}})
		_ = x.Head(200, nil, -1)
		for range 3 {
			_, _ = x.Write(bytes.Repeat([]byte("x"), 40000))
			_, _ = io.WriteString(x, "y")
			_ = x.Flush()
		}
		_ = x.End([]wire.Field{{Name: []byte("X-Sum"), Value: []byte("1")}, {Name: []byte("Content-Length"), Value: []byte("1")}})
	})})
	req, _ := http.NewRequest(http.MethodGet, "http://"+s.addr, nil)
	req.Header.Set("TE", "trailers")
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil || len(body) != 3*40001 || res.Trailer.Get("X-Sum") != "1" || len(res.Trailer) != 1 || res.Header.Get("Date") == "" {
		t.Error(len(body), err, res.Trailer, res.Header)
	}
}

func TestContinue(t *testing.T) {
	s := serve(t, &http1.Server{Handler: handle(func(x wire.Exchange) {
		if string(x.Request().Target) == "/no" {
			_ = x.Head(403, nil, 0)
			_ = x.End(nil)
			return
		}
		hello(x)
	})})
	c := s.dial()
	_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 3\r\n\r\n")
	in := bufio.NewReader(c)
	if line, err := in.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatal(line, err)
	}
	_, _ = io.WriteString(c, "abcPOST /no HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
	rest, _ := io.ReadAll(in)
	if statuses(string(rest)) != "200 403" || !strings.Contains(string(rest), `"abc"`) || !strings.Contains(string(rest), "Connection: close") {
		t.Error(string(rest))
	}
}

func TestUnreadBody(t *testing.T) {
	s := serve(t, &http1.Server{Handler: handle(func(x wire.Exchange) {
		_ = x.Head(200, nil, 0)
		_ = x.End(nil)
	}), Limits: http1.Limits{Unread: 100}})
	for size, want := range map[int]string{100: "200 200", 101: "200", 1 << 20: "200"} {
		c := s.dial()
		var got []byte
		var done sync.WaitGroup
		done.Go(func() { got, _ = io.ReadAll(c) })
		_, _ = fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%sGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
			size, strings.Repeat("G", size))
		done.Wait()
		if statuses(string(got)) != want {
			t.Errorf("%d: %s", size, got)
		}
	}
}

func TestGone(t *testing.T) {
	began, gone := make(chan bool), make(chan bool)
	s := serve(t, &http1.Server{Handler: handle(func(x wire.Exchange) {
		gone := gone
		watched := x.Gone()
		began <- true
		select {
		case <-watched:
			gone <- true
		case <-time.After(200 * time.Millisecond):
			hello(x)
			gone <- false
		}
	})})
	stays, leaves := s.dial(), s.dial()
	_, _ = io.WriteString(stays, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
	<-began
	if <-gone {
		t.Error("a pipelining client is taken for gone")
	}
	<-began
	<-gone
	_, _ = io.WriteString(leaves, "GET /3 HTTP/1.1\r\nHost: a\r\n\r\nGET /4 HTTP/1.1\r\n")
	<-began
	_ = leaves.Close()
	if !<-gone {
		t.Error("a client that closed is not noticed")
	}
	_ = stays.(*net.TCPConn).CloseWrite()
	if got, _ := io.ReadAll(stays); statuses(string(got)) != "200 200" {
		t.Error(string(got))
	}
}

func TestBrokenOff(t *testing.T) {
	s := serve(t, &http1.Server{Handler: handle(func(x wire.Exchange) {
		switch string(x.Request().Target) {
		case "/short":
			_ = x.Head(200, nil, 10)
			_, _ = io.WriteString(x, "abc")
			if x.End(nil) == nil {
				t.Error("a short answer ended well")
			}
		case "/long":
			_ = x.Head(200, nil, 1)
			if _, err := io.WriteString(x, "abc"); err == nil {
				t.Error("a long answer was written")
			}
		case "/abort":
			_ = x.Head(200, nil, -1)
			_, _ = io.WriteString(x, "abc")
			_ = x.Flush()
			x.Abort()
			if _, err := x.Write(make([]byte, 1<<20)); err == nil {
				t.Error("wrote after Abort")
			}
		case "/panic":
			panic("a handler's fault")
		}
	})})
	for path, want := range map[string]bool{"/short": false, "/long": false, "/abort": false, "/panic": false, "/none": true} {
		res, err := http.Get("http://" + s.addr + path)
		if err == nil {
			_, err = io.ReadAll(res.Body)
			_ = res.Body.Close()
		}
		if (err == nil) != want {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestTunnel(t *testing.T) {
	s := serve(t, &http1.Server{Handler: handle(func(x wire.Exchange) {
		if x.Request().Protocol == nil {
			hello(x)
			return
		}
		tunnel, err := x.Tunnel(nil)
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.Copy(tunnel, tunnel)
		_ = tunnel.Close()
	})})
	c := s.dial()
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\nearly")
	_, _ = io.WriteString(c, " and late")
	_ = c.(*net.TCPConn).CloseWrite()
	got, err := io.ReadAll(c)
	if err != nil || string(got) != "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly and late" {
		t.Errorf("%q %v", got, err)
	}
	got = []byte(s.say("GET / HTTP/1.1\r\nHost: a\r\nConnection: close, Upgrade\r\nUpgrade: h2c\r\n\r\n"))
	if statuses(string(got)) != "200" {
		t.Errorf("%q", got)
	}
}

// TestHalfClosed: a client that says in the same packet that it has no more to say is answered, and let go of soon,
// also when it had asked before.
func TestHalfClosed(t *testing.T) {
	s := serve(t, &http1.Server{Handler: handle(hello)})
	for asked := range 4 {
		c := s.dial()
		in := bufio.NewReader(c)
		for range asked {
			ask(t, c, in)
		}
		start := time.Now()
		_ = c.(*net.TCPConn).SetNoDelay(false)
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		_ = c.(*net.TCPConn).CloseWrite()
		if got, err := io.ReadAll(in); statuses(string(got)) != "200" || err != nil || time.Since(start) > 4*time.Second {
			t.Error(asked, time.Since(start), string(got), err)
		}
	}
}

// TestPipelinedWithoutPause sends more requests than a buffer holds at once, with and without bodies.
func TestPipelinedWithoutPause(t *testing.T) {
	s := serve(t, &http1.Server{Handler: handle(hello)})
	c := s.dial()
	const pairs = 1000
	go func() {
		for i := range pairs {
			_, _ = fmt.Fprintf(c, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", i)
		}
	}()
	in := bufio.NewReader(c)
	for i := range 2 * pairs {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(i, err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if i%2 == 0 && string(body) != fmt.Sprintf(`GET a /%d "" <nil>`, i/2) {
			t.Fatal(i, string(body))
		}
	}
}
