package router_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"paas/platform"
)

// raw is an instance that speaks as the test wants it: serve gets each request that comes, and whether the
// connection goes on is its answer.
func raw(t *testing.T, serve func(c net.Conn, n int, req *http.Request) bool) *instance {
	t.Helper()
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
			go func() {
				defer func() { _ = c.Close() }()
				in := bufio.NewReader(c)
				for n := 1; ; n++ {
					req, err := http.ReadRequest(in)
					if err != nil || !serve(c, n, req) {
						return
					}
				}
			}()
		}
	}()
	i := &instance{server: &http.Server{}} //nolint:gosec // never serves
	i.ID, i.Addr = platform.InstanceID("raw"), netip.MustParseAddrPort(l.Addr().String())
	return i
}

const hello200 = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

func TestOnlyWhatMayBeRepeatedIsAskedAgain(t *testing.T) {
	r := newServed(t, nil)
	var asked atomic.Int32
	broken := raw(t, func(net.Conn, int, *http.Request) bool { asked.Add(1); return false })
	r.route(platform.Traffic{SlowStart: -1}, broken)
	if res, _, _ := r.request(http.MethodGet, "/", nil); res.StatusCode != 502 || asked.Load() != 2 {
		t.Errorf("alone: %s after %d attempts", res.Status, asked.Load())
	}
	asked.Store(0)
	r.route(platform.Traffic{Balance: platform.RoundRobin, SlowStart: -1}, broken, newInstance(t, says("good")))
	for range 6 {
		if res, body, _ := r.request(http.MethodPut, "/", nil); body != "good" {
			t.Errorf("PUT: %v %q", res.Status, body)
		}
	}
	if asked.Load() == 0 {
		t.Error("the broken one was never asked")
	}
}

func TestAPostIsNeverSentTwice(t *testing.T) {
	r := newServed(t, nil)
	var asked atomic.Int32
	r.swap(raw(t, func(c net.Conn, n int, _ *http.Request) bool {
		asked.Add(1)
		if n == 3 {
			return false
		}
		_, _ = io.WriteString(c, hello200)
		return true
	}))
	r.get("/", nil)
	r.get("/", nil)
	if res, _, _ := r.request(http.MethodPost, "/", nil); res.StatusCode != 502 || asked.Load() != 3 {
		t.Errorf("POST over a connection that died: %s after %d requests", res.Status, asked.Load())
	}
	asked.Store(0)
	r.get("/", nil)
	r.get("/", nil)
	if _, body := r.get("/", nil); body != "hello" || asked.Load() != 4 {
		t.Errorf("GET over a connection that died: %q after %d requests", body, asked.Load())
	}
}

// An instance that closes idle connections gets no request on one of them, POST or not.
func TestIdleConnectionsThatWereClosedAreNotUsed(t *testing.T) {
	r := newServed(t, nil)
	r.swap(raw(t, func(c net.Conn, _ int, _ *http.Request) bool {
		_, _ = io.WriteString(c, hello200)
		return false
	}))
	for range 20 {
		if res, body, err := r.request(http.MethodPost, "/", nil); err != nil || body != "hello" {
			t.Fatal(res, body, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// What an instance says beside HTTP, or in two ways, does not reach a client.
func TestAnswersThatAreNone(t *testing.T) {
	for name, answer := range map[string]string{
		"unasked switch":    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		"two lengths":       "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
		"garbage":           "hello\r\n\r\n",
		"status of letters": "HTTP/1.1 abc OK\r\n\r\n",
		"bare CR in field":  "HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
		"nothing":           "",
		"half a head":       "HTTP/1.1 200 OK\r\nContent-",
		"endless interim":   strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 1000),
	} {
		r := newServed(t, nil)
		r.swap(raw(t, func(c net.Conn, _ int, _ *http.Request) bool {
			_, _ = io.WriteString(c, answer)
			return false
		}))
		if res, body, err := r.request(http.MethodPost, "/", nil); err != nil || res.StatusCode != 502 {
			t.Errorf("%s: %v %q %v", name, res, body, err)
		}
	}
}

// Bytes behind an answer belong to nobody: the next client must not get them as its answer.
func TestLeftOverBytesAreNobodysAnswer(t *testing.T) {
	r := newServed(t, nil)
	r.swap(raw(t, func(c net.Conn, _ int, _ *http.Request) bool {
		_, _ = io.WriteString(c, hello200+"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
		return true
	}))
	for range 10 {
		if _, body := r.get("/", nil); body != "hello" {
			t.Fatalf("%q", body)
		}
	}
}

func TestAnAnswerThatBreaksOffIsNotWhole(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	} {
		r := newServed(t, nil)
		r.swap(raw(t, func(c net.Conn, _ int, _ *http.Request) bool {
			_, _ = io.WriteString(c, answer)
			return false
		}))
		if _, body, err := r.request(http.MethodGet, "/", nil); err == nil {
			t.Errorf("%q was passed on as whole", body)
		}
	}
}

func TestAnInstanceThatIsSilent(t *testing.T) {
	r := newServed(t, nil)
	one := newHeld(t, "x")
	defer close(one.finish)
	r.route(platform.Traffic{FirstByte: 50 * time.Millisecond}, one.instance)
	if res, _ := r.get("/", nil); res.StatusCode != http.StatusGatewayTimeout {
		t.Fatal(res.Status)
	}
}
