package http2

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	x2 "golang.org/x/net/http2"

	"paas/router/wire"
)

// goClient is net/http's, on HTTP/2 and one connection.
func goClient(t testing.TB) *http.Client {
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true, MaxConnsPerHost: 1}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: time.Minute}
}

// program names a client, which .ci/run installs.
func program(t testing.TB, name, pkg string) string {
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("this test needs %s: apt-get install %s", name, pkg)
	}
	return path
}

// TestGoClient echoes bodies of many sizes through net/http's client, with trailers, many at a time.
func TestGoClient(t *testing.T) {
	addr := listen(t, &Server{Handler: echo{}}, true)
	client := goClient(t)
	var all sync.WaitGroup
	defer all.Wait()
	for _, size := range []int{1, 100, 16383, 16384, 16385, 65535, 65536, 300_000, 5_000_000} {
		for known := range 2 {
			all.Go(func() { roundTrip(t, client, addr, size, known == 1) })
		}
	}
}

func roundTrip(t *testing.T, client *http.Client, addr net.Addr, size int, known bool) {
	body := make([]byte, size)
	for i := range body {
		body[i] = byte(rand.Uint32())
	}
	req, err := http.NewRequest(http.MethodPost, "https://"+addr.String()+"/", bytes.NewReader(body))
	if err != nil {
		t.Error(err)
		return
	}
	if !known {
		req.ContentLength = -1
		req.Trailer = http.Header{"Sum": nil}
		req.Trailer.Set("Sum", fmt.Sprint(size))
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Errorf("%d bytes: %v", size, err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.Equal(got, body) || resp.ProtoMajor != 2 {
		t.Errorf("%d bytes: got %d by %s, %v", size, len(got), resp.Proto, err)
	}
	if sum := resp.Trailer.Get("Sum"); !known && sum != fmt.Sprint(size) {
		t.Errorf("%d bytes: trailer %q", size, sum)
	}
}

// file answers with as many bytes as the path says.
type file struct{}

func (file) Serve(x wire.Exchange) {
	var size int64
	_, _ = fmt.Sscanf(string(x.Request().Target), "/%d", &size)
	_ = x.Head(200, []wire.Field{{Name: []byte("Content-Type"), Value: []byte("application/octet-stream")}}, size)
	part := pattern()
	for size > 0 {
		n, err := x.Write(part[:min(int64(len(part)), size)])
		if size -= int64(n); err != nil {
			return
		}
	}
	_ = x.End(nil)
}

func pattern() []byte {
	part := make([]byte, 32<<10)
	for i := range part {
		part[i] = byte(i * 7)
	}
	return part
}

// sumOf is what file's answer hashes to.
func sumOf(size int) string {
	h := sha256.New()
	for part := pattern(); size > 0; size -= len(part) {
		h.Write(part[:min(size, len(part))])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// TestCurl has curl download and upload (apt: curl).
func TestCurl(t *testing.T) {
	curl := program(t, "curl", "curl")
	addr := listen(t, &Server{Handler: calls(func(x wire.Exchange) {
		if string(x.Request().Method) == "POST" {
			echo{}.Serve(x)
			return
		}
		file{}.Serve(x)
	})}, true)
	for _, size := range []int{0, 1, 16384, 200_000, 20_000_000} {
		cmd := fmt.Sprintf("%s -skf --http2 https://%s/%d | sha256sum", curl, addr, size)
		out, err := exec.Command("sh", "-c", cmd).CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), sumOf(size)) {
			t.Errorf("%s: %s, %v", cmd, out, err)
		}
	}
	cmd := fmt.Sprintf("head -c 20000000 /dev/zero | tr '\\0' x | %s -skf --http2 -w '%%{stderr}%%{http_version}' --data-binary @- https://%s/ | cksum", curl, addr)
	out, err := exec.Command("sh", "-c", cmd+"; head -c 20000000 /dev/zero | tr '\\0' x | cksum").CombinedOutput()
	lines := strings.Fields(strings.TrimPrefix(string(out), "2"))
	if err != nil || len(lines) != 4 || lines[0] != lines[2] || out[0] != '2' {
		t.Errorf("%s: %s, %v", cmd, out, err)
	}
	head, err := exec.Command(curl, "-skI", "--http2", fmt.Sprintf("https://%s/1000", addr)).CombinedOutput()
	if err != nil || !strings.Contains(string(head), "content-length: 1000") || !strings.HasPrefix(string(head), "HTTP/2 200") {
		t.Errorf("HEAD: %s, %v", head, err)
	}
}

// TestNghttp has nghttp2's clients ask, in the clear, with priorities, padding and many streams (apt: nghttp2-client).
func TestNghttp(t *testing.T) {
	nghttp, h2load := program(t, "nghttp", "nghttp2-client"), program(t, "h2load", "nghttp2-client")
	addr := listen(t, &Server{Handler: file{}}, false)
	out, err := exec.Command(nghttp, "-b100", "-ns", "-H", "cookie: a=b; c=d", fmt.Sprintf("http://%s/100000", addr)).CombinedOutput()
	if err != nil || !strings.Contains(string(out), " 200 ") {
		t.Errorf("nghttp: %s, %v", out, err)
	}
	data := filepath.Join(t.TempDir(), "data")
	if err := exec.Command("sh", "-c", "head -c 300000 /dev/zero > "+data).Run(); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"-n2000", "-c10", "-m1", "/1024"}, {"-n2000", "-c10", "-m50", "/1024"}, {"-n100", "-c4", "-m50", "/100000"},
		{"-n50", "-c2", "-m20", "-w16", "-W16", "/1000000"}, {"-n100", "-c4", "-m10", "-d", data, "/10"},
	} {
		args[len(args)-1] = "http://" + addr.String() + args[len(args)-1]
		out, err := exec.Command(h2load, args...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), " 0 failed, 0 errored, 0 timeout") {
			t.Errorf("h2load %v: %s, %v", args, out, err)
		}
	}
}

// TestShutdown asks clients to go while they are asking: every request that was begun is answered, by this server
// or its successor, and net/http's client notices nothing.
func TestShutdown(t *testing.T) {
	first, second := &Server{Handler: file{}}, &Server{Handler: file{}}
	l, heir := twoListeners(t)
	var conns sync.WaitGroup
	config := &tls.Config{Certificates: []tls.Certificate{certificate(t)}, NextProtos: []string{"h2"}}
	serve := func(l net.Listener, s *Server) { conns.Go(func() { accept(tls.NewListener(l, config), s, &conns) }) }
	serve(l, first)
	client := goClient(t)
	stop := make(chan struct{})
	var asking sync.WaitGroup
	for i := range 8 {
		asking.Go(func() { ask(t, client, fmt.Sprintf("https://%s/%d", l.Addr(), 1000+i*30000), stop) })
	}
	time.Sleep(200 * time.Millisecond)
	serve(heir, second)
	_ = l.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := first.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	time.Sleep(200 * time.Millisecond)
	close(stop)
	asking.Wait()
	client.CloseIdleConnections()
	_ = heir.Close()
	if err := second.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	conns.Wait()
	noLeak(t)
}

// twoListeners are two ends of one socket, as a daemon and its successor have.
func twoListeners(t *testing.T) (l, heir net.Listener) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	heir, err = net.FileListener(file)
	if err != nil {
		t.Fatal(err)
	}
	return l, heir
}

func ask(t *testing.T, client *http.Client, url string, stop chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		resp, err := client.Get(url)
		if err != nil {
			t.Errorf("request %d: %v", n, err)
			return
		}
		got, err := io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if err != nil || got != resp.ContentLength {
			t.Errorf("request %d: %d of %d bytes, %v", n, got, resp.ContentLength, err)
		}
	}
}

// TestShutdownCuts waits no longer than it is told.
func TestShutdownCuts(t *testing.T) {
	h := &slow{free: make(chan struct{})}
	s := &Server{Handler: h}
	p := dial(t, listen(t, s, false))
	p.send(1, true, usual("GET")...)
	p.ok(p.f.WritePing(false, [8]byte{}))
	time.AfterFunc(400*time.Millisecond, func() { close(h.free) })
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); err != context.DeadlineExceeded {
		t.Errorf("Shutdown: %v", err)
	}
}

// TestMisdirected answers 421 for names the certificate does not stand for (RFC 9110, 15.5.20).
func TestMisdirected(t *testing.T) {
	covers := func(state *tls.ConnectionState, authority []byte) bool {
		return state != nil && string(authority) == "hello.test"
	}
	addr := listen(t, &Server{Handler: echo{}, Covers: covers}, true)
	for host, status := range map[string]int{"hello.test": 200, "other.test": 421} {
		req, err := http.NewRequest(http.MethodGet, "https://"+addr.String()+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := goClient(t).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("%s: %d, expected %d", host, resp.StatusCode, status)
		}
	}
}

// TestOldTLS refuses what RFC 9113, 9.2 forbids.
func TestOldTLS(t *testing.T) {
	addr := listen(t, &Server{Handler: never{t}}, true)
	c, err := tls.Dial("tcp", addr.String(), &tls.Config{
		InsecureSkipVerify: true, NextProtos: []string{"h2"}, MaxVersion: tls.VersionTLS12,
		CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	got, _ := io.ReadAll(c)
	if len(got) < 17 || got[3] != frameGoAway || code(got[16]) != codeInsecure {
		t.Errorf("got %x, expected GOAWAY", got)
	}
}

// TestCrew sends goroutines home that are not needed any more, and has them work again before.
func TestCrew(t *testing.T) {
	h := &slow{free: make(chan struct{})}
	s := &Server{Handler: h}
	p := dial(t, listen(t, s, false))
	for id := uint32(1); id < 100; id += 2 {
		p.send(id, true, usual("GET")...)
	}
	wait(t, func() bool { return h.now.Load() == 50 })
	close(h.free)
	idle := func() int {
		s.crew.mu.Lock()
		defer s.crew.mu.Unlock()
		return len(s.crew.idle)
	}
	wait(t, func() bool { return idle() == 50 })
	s.crew.thin()
	p.send(101, true, usual("GET")...)
	p.until(func(f x2.Frame) bool { return f.Header().StreamID == 101 })
	wait(t, func() bool { return h.freed.Load() == 51 && idle() == 50 })
	s.crew.thin()
	if n := idle(); n != 1 {
		t.Errorf("%d goroutines wait for work, expected the one that had some", n)
	}
}

func wait(t *testing.T, until func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !until(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not come to that")
		}
	}
}
