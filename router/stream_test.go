package router_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/netip"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"paas/platform"
	"paas/router"
)

// digest answers with the hash of the request's body, and its trailers.
func digest(w http.ResponseWriter, req *http.Request) {
	h := sha256.New()
	n, err := io.Copy(h, req.Body)
	if err != nil {
		return
	}
	_, _ = fmt.Fprintf(w, "%d %s %s", n, hex.EncodeToString(h.Sum(nil)), req.Trailer.Get("X-After"))
}

func TestBodiesOfAllSizesArriveWhole(t *testing.T) {
	for _, reference := range []bool{false, true} {
		r := serveWith(t, router.Options{Reference: reference})
		r.swap(newInstance(t, func(w http.ResponseWriter, req *http.Request) {
			if req.Method == http.MethodPost {
				digest(w, req)
				return
			}
			var size, chunked int
			_, _ = fmt.Sscanf(req.URL.Path, "/%d/%d", &size, &chunked)
			if chunked == 0 {
				w.Header().Set("Content-Length", fmt.Sprint(size))
			}
			_, _ = w.Write(pattern(size))
		}))
		for _, size := range []int{0, 1, 1000, 16 << 10, 16<<10 + 1, 64 << 10, 1<<20 + 7, 5 << 20} {
			for _, length := range []int64{int64(size), -1} {
				body := pattern(size)
				sum := sha256.Sum256(body)
				_, got := r.post(body, length)
				if want := fmt.Sprintf("%d %s ", size, hex.EncodeToString(sum[:])); got != want {
					t.Errorf("upload of %d (%d): %q", size, length, got)
				}
			}
			for chunked := range 2 {
				if _, got := r.get(fmt.Sprintf("/%d/%d", size, chunked), nil); !bytes.Equal([]byte(got), pattern(size)) {
					t.Errorf("download of %d (%d): %d bytes", size, chunked, len(got))
				}
			}
		}
	}
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7 >> 3)
	}
	return b
}

func (r *served) post(body []byte, length int64) (*http.Response, string) {
	r.t.Helper()
	res, text, err := r.request(http.MethodPost, "/", func(req *http.Request) {
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), length
		if length < 0 {
			req.Trailer = http.Header{"X-After": nil}
		}
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return res, text
}

func TestEarlyHintsAndTrailersPass(t *testing.T) {
	r := newServed(t, nil)
	r.swap(newInstance(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Trailer", "X-Sum")
		_, _ = io.WriteString(w, "body")
		w.Header().Set("X-Sum", "42")
	}))
	hints := 0
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		if code == 103 && h.Get("Link") != "" {
			hints++
		}
		return nil
	}}
	res, body := r.get("/", func(req *http.Request) {
		*req = *req.WithContext(httptrace.WithClientTrace(req.Context(), trace))
		req.Header.Set("Te", "trailers")
	})
	if hints != 1 || body != "body" || res.Trailer.Get("X-Sum") != "42" {
		t.Errorf("%d hints, %q, %v", hints, body, res.Trailer)
	}
}

// The answer comes before the upload's end; the client gets it.
func TestAnAnswerBeforeTheEndOfTheUpload(t *testing.T) {
	r := newServed(t, nil)
	r.swap(newInstance(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
	}))
	c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: hello.test\r\nContent-Length: 1000000\r\n\r\nsome")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Fatal(res, err)
	}
}

func TestTheInstanceDecidesAbout100Continue(t *testing.T) {
	r := newServed(t, nil)
	r.swap(newInstance(t, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/no" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		digest(w, req)
	}))
	for path, want := range map[string]string{"/no": "403", "/yes": "100"} {
		c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(c, "POST "+path+" HTTP/1.1\r\nHost: hello.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
		in := bufio.NewReader(c)
		if line, err := in.ReadString('\n'); err != nil || !strings.Contains(line, want) {
			t.Errorf("%s: %q %v", path, line, err)
		}
		if path == "/yes" {
			_, _ = in.ReadString('\n')
			_, _ = io.WriteString(c, "12345")
			if res, err := http.ReadResponse(in, nil); err != nil || res.StatusCode != http.StatusOK {
				t.Error(res, err)
			}
		}
		_ = c.Close()
	}
}

func TestTrustedProxiesAreBelieved(t *testing.T) {
	r := serveWith(t, router.Options{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	r.swap(newInstance(t, func(w http.ResponseWriter, req *http.Request) { _ = req.Header.Write(w) }))
	_, body := r.get("/", func(req *http.Request) {
		for name, value := range map[string]string{
			"X-Forwarded-For": "6.6.6.6, 7.7.7.7", "X-Forwarded-Proto": "https", "X-Request-Id": "theirs", "Forwarded": "for=7.7.7.7",
		} {
			req.Header.Set(name, value)
		}
	})
	for _, want := range []string{
		"X-Forwarded-For: 6.6.6.6, 7.7.7.7, 127.0.0.1\r", "X-Forwarded-Proto: https\r", "X-Forwarded-Port: 443\r", "X-Request-Id: theirs\r",
		`Forwarded: for=7.7.7.7, for=127.0.0.1;host="hello.test";proto=http` + "\r",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
}

// secured is a router behind TLS, which speaks HTTP/2.
func (r *served) secured() (url string, client *http.Client) {
	own := httptest.NewUnstartedServer(nil)
	own.StartTLS()
	cert := own.TLS.Certificates
	own.Close()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: cert, NextProtos: []string{"h2", "http/1.1"}}) //nolint:gosec // a test's
	if err != nil {
		r.t.Fatal(err)
	}
	go func() { _ = r.Serve(l) }()
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // our own
	r.t.Cleanup(transport.CloseIdleConnections)
	return "https://" + l.Addr().String(), &http.Client{Transport: transport}
}

// gRPC's shape: HTTP/2 on both sides, streams both ways at once, and a status in the trailers.
func TestGRPC(t *testing.T) {
	r := newServed(t, nil)
	instance := newInstance(t, nil)
	var plain http.Protocols
	plain.SetUnencryptedHTTP2(true)
	plain.SetHTTP1(true)
	server := &http.Server{Protocols: &plain, Handler: http.HandlerFunc(grpcEcho)} //nolint:gosec // a test's
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(l) }()
	defer func() { _ = server.Close() }()
	instance.Addr = netip.MustParseAddrPort(l.Addr().String())
	r.swap(instance)
	url, client := r.secured()
	in, out := io.Pipe()
	req, _ := http.NewRequest(http.MethodPost, url+"/echo.Echo/Talk?x=%zz", in)
	req.Host = "hello.test"
	req.Header.Set("Content-Type", "application/grpc+proto")
	req.Header.Set("Te", "trailers")
	go func() { _, _ = out.Write([]byte("one")) }()
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	buf := make([]byte, 16)
	for _, text := range []string{"one", "two", "three"} {
		if text != "one" {
			_, _ = out.Write([]byte(text))
		}
		n, err := io.ReadAtLeast(res.Body, buf, len(text))
		if string(buf[:n]) != text || err != nil {
			t.Fatalf("%q, %v", buf[:n], err)
		}
	}
	_ = out.Close()
	if _, err := io.ReadAll(res.Body); err != nil || res.Trailer.Get("Grpc-Status") != "7" {
		t.Errorf("%v, trailers %v", err, res.Trailer)
	}
	if got := res.Header.Get("X-Seen"); got != "HTTP/2.0 /echo.Echo/Talk?x=%zz https" {
		t.Errorf("the instance saw %q", got)
	}
}

func grpcEcho(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("X-Seen", req.Proto+" "+req.RequestURI+" "+req.Header.Get("X-Forwarded-Proto"))
	w.Header().Set("Content-Type", "application/grpc+proto")
	w.Header().Set("Trailer", "Grpc-Status")
	rc := http.NewResponseController(w)
	buf := make([]byte, 16)
	for {
		n, err := req.Body.Read(buf)
		_, _ = w.Write(buf[:n])
		_ = rc.Flush()
		if err != nil {
			break
		}
	}
	w.Header().Set("Grpc-Status", "7")
}

// When draining is over a WebSocket is told so, between two frames.
func TestAWebSocketIsToldGoodbye(t *testing.T) {
	r := newServed(t, nil)
	r.swap(newInstance(t, echo))
	conn, err := r.webSocket(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	drained := r.swap(newInstance(t, echo))
	now, cancel := context.WithCancel(context.Background())
	cancel()
	go drained(now)
	_, _, err = conn.Read(context.Background())
	if err == nil || !strings.Contains(err.Error(), "StatusGoingAway") {
		t.Errorf("ended with %v", err)
	}
}

func TestACallerOfASleepingRouteLeaves(t *testing.T) {
	r := newServed(t, nil)
	r.Swap(platform.Route{App: "hello", Hosts: []string{"hello.test"}, Asleep: true})
	c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: hello.test\r\n\r\n")
	inflight := func(want int) {
		t.Helper()
		n := -1
		for deadline := time.Now().Add(5 * time.Second); n != want && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
			_, n = r.Idle("hello")
		}
		if n != want {
			t.Fatalf("%d in flight, want %d", n, want)
		}
	}
	inflight(1)
	_ = c.Close()
	inflight(0)
}

// An event stream that was silent for a while goes on, and so does its end.
func TestAStreamThatPauses(t *testing.T) {
	r := newServed(t, nil)
	r.swap(newInstance(t, func(w http.ResponseWriter, _ *http.Request) {
		for _, text := range []string{"one\n", "two\n"} {
			_, _ = io.WriteString(w, text)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(1700 * time.Millisecond) // longer than what is no wait
		}
	}))
	if _, body := r.get("/", nil); body != "one\ntwo\n" {
		t.Fatalf("%q", body)
	}
}
