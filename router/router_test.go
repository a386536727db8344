package router_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"paas/platform"
	"paas/router"
)

// served is a router that listens.
type served struct {
	*router.Router
	t   *testing.T
	url string
}

func newServed(t *testing.T, access io.Writer) *served {
	t.Helper()
	var o router.Options
	if access != nil {
		o.Access = func(app platform.AppName, lines []platform.AccessLine) {
			for _, l := range lines {
				_, _ = fmt.Fprintf(access, "%s %s\n", app, l.Text)
			}
		}
	}
	return serveWith(t, o)
}

// serveWith configures the router before it serves: what is set later holds for the next listener only.
func serveWith(t *testing.T, o router.Options, in ...platform.Intake) *served {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &served{Router: router.New(o), t: t, url: "http://" + l.Addr().String()}
	for _, in := range in {
		r.Configure(in)
	}
	done := make(chan error, 1)
	go func() { done <- r.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = r.Shutdown(ctx)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r
}

// instance is an HTTP server that can die like a killed process: listener and connections at once.
type instance struct {
	platform.Backend
	server *http.Server
}

var instances atomic.Int64

func newInstance(t *testing.T, h http.HandlerFunc) *instance {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	i := &instance{server: &http.Server{Handler: h}} //nolint:gosec // a test's
	i.ID = platform.InstanceID(fmt.Sprint("i", instances.Add(1)))
	i.Addr = netip.MustParseAddrPort(l.Addr().String())
	go func() { _ = i.server.Serve(l) }()
	t.Cleanup(i.die)
	return i
}

func (i *instance) die() { _ = i.server.Close() }

func (r *served) swap(list ...*instance) func(context.Context) {
	to := platform.Route{App: "hello", Hosts: []string{"hello.test"}}
	for _, i := range list {
		to.Backends = append(to.Backends, i.Backend)
	}
	return r.Swap(to)
}

func (r *served) request(method, path string, change func(*http.Request)) (*http.Response, string, error) {
	req, err := http.NewRequest(method, r.url+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Host = "hello.test"
	if change != nil {
		change(req)
	}
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	return res, string(body), err
}

func (r *served) get(path string, change func(*http.Request)) (*http.Response, string) {
	r.t.Helper()
	res, body, err := r.request(http.MethodGet, path, change)
	if err != nil {
		r.t.Fatal(err)
	}
	return res, body
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

func TestPagesHaveTheRightStatus(t *testing.T) {
	r := newServed(t, nil)
	dead := newInstance(t, says("x"))
	dead.die()
	broken := newInstance(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, _ := http.NewResponseController(w).Hijack()
		_, _ = io.WriteString(conn, "nonsense\r\n\r\n")
		_ = conn.Close()
	})
	r.Swap(platform.Route{App: "empty", Hosts: []string{"empty.test"}})
	r.Swap(platform.Route{App: "off", Hosts: []string{"off.test"}, Stopped: true})
	r.Swap(platform.Route{App: "dead", Hosts: []string{"dead.test"}, Backends: []platform.Backend{dead.Backend}})
	r.Swap(platform.Route{App: "broken", Hosts: []string{"broken.test"}, Backends: []platform.Backend{broken.Backend}})
	for host, status := range map[string]int{
		"nobody.test": 404, "empty.test": 503, "off.test": 503, "dead.test": 503, "broken.test": 502,
		"EMPTY.test:80": 503, "empty.test.": 503,
	} {
		for _, accept := range []string{"text/html", "*/*"} {
			res, body := r.get("/", func(req *http.Request) { req.Host = host; req.Header.Set("Accept", accept) })
			if res.StatusCode != status || accept == "text/html" != strings.Contains(body, "<html") {
				t.Errorf("%s: %s, want %d\n%s", host, res.Status, status, body)
			}
		}
	}
	if res, _, err := r.request(http.MethodConnect, "/", nil); err != nil || res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("CONNECT: %v %v", res, err)
	}
}

func TestRoundRobinAndDeadInstances(t *testing.T) {
	r := newServed(t, nil)
	a, b, c := newInstance(t, says("a")), newInstance(t, says("b")), newInstance(t, says("c"))
	r.swap(a, b, c)
	seen := map[string]int{}
	for range 30 {
		_, body := r.get("/", nil)
		seen[body]++
	}
	if seen["a"] != 10 || seen["b"] != 10 || seen["c"] != 10 {
		t.Fatalf("not in turn: %v", seen)
	}
	b.die() // its idle connections too; nobody told the router
	for range 30 {
		if res, body, err := r.request(http.MethodPost, "/", nil); err != nil || res.StatusCode != http.StatusOK || body == "b" {
			t.Fatalf("a request for a dead instance: %v %v %q", res, err, body)
		}
	}
}

func TestWhatTheInstanceSees(t *testing.T) {
	r := newServed(t, nil)
	r.swap(newInstance(t, func(w http.ResponseWriter, req *http.Request) {
		_, _ = fmt.Fprintf(w, "%s %s\n", req.Host, req.RequestURI)
		_ = req.Header.Write(w)
	}))
	_, body := r.get("/a%2Fb/../c?x=1;y=%zz", func(req *http.Request) {
		req.URL.RawQuery = "x=1;y=%zz"
		for name, value := range map[string]string{
			"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https", "Forwarded": "for=6.6.6.6", "X-Real-IP": "6.6.6.6",
			"X_Forwarded_For": "6.6.6.6", "Upgrade": "h2c", "Connection": "Upgrade, X-Hop", "X-Hop": "1", "X-Keep": "kept",
			"X-Request-Id": "mine-6.6.6.6", "X-Request-Start": "6.6.6.6",
		} {
			req.Header.Set(name, value)
		}
	})
	for _, want := range []string{
		"hello.test /a%2Fb/../c?x=1;y=%zz\n", "X-Forwarded-For: 127.0.0.1\r", "X-Forwarded-Proto: http\r",
		"X-Forwarded-Host: hello.test\r", "X-Forwarded-Port: 80\r", "X-Request-Id: ", "X-Request-Start: ", "X-Keep: kept",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
	for _, never := range []string{"6.6.6.6", "h2c", "X-Hop", "X_Forwarded"} {
		if strings.Contains(body, never) {
			t.Errorf("%q reached the instance:\n%s", never, body)
		}
	}
}

// What could be read in two ways is refused, not passed on.
func TestSmuggling(t *testing.T) {
	r := newServed(t, nil)
	var reached atomic.Int64
	r.swap(newInstance(t, func(_ http.ResponseWriter, req *http.Request) {
		if _, err := io.Copy(io.Discard, req.Body); err == nil {
			reached.Add(1)
		}
	}))
	for name, head := range map[string]string{
		"two lengths":        "POST / HTTP/1.1\r\nHost: hello.test\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
		"bad chunk size":     "POST / HTTP/1.1\r\nHost: hello.test\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
		"unknown encoding":   "POST / HTTP/1.1\r\nHost: hello.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"two hosts":          "GET / HTTP/1.1\r\nHost: hello.test\r\nHost: other.test\r\n\r\n",
		"no host":            "GET / HTTP/1.1\r\n\r\n",
		"space before colon": "GET / HTTP/1.1\r\nHost : hello.test\r\n\r\n",
		"negative length":    "POST / HTTP/1.1\r\nHost: hello.test\r\nContent-Length: -1\r\n\r\n",
		"newline in target":  "GET /\n HTTP/1.1\r\nHost: hello.test\r\n\r\n",
		"huge head":          "GET / HTTP/1.1\r\nHost: hello.test\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, head)
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		line, _ := bufio.NewReader(conn).ReadString('\n')
		_ = conn.Close()
		if !strings.HasPrefix(line, "HTTP/1.1 4") && !strings.HasPrefix(line, "HTTP/1.1 50") {
			t.Errorf("%s: answered %q", name, line)
		}
	}
	if reached.Load() > 0 {
		t.Errorf("%d of them reached the instance whole", reached.Load())
	}
}

func TestStreamingIsNotBuffered(t *testing.T) {
	r := newServed(t, nil)
	next := make(chan string)
	r.swap(newInstance(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for text := range next {
			_, _ = io.WriteString(w, text)
			_ = http.NewResponseController(w).Flush()
		}
	}))
	req, _ := http.NewRequest(http.MethodGet, r.url, nil)
	req.Host = "hello.test"
	go func() { next <- "data: one\n\n" }()
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	lines := bufio.NewReader(res.Body)
	for _, want := range []string{"one", "two"} {
		line, err := lines.ReadString('\n')
		if err != nil || !strings.Contains(line, want) {
			t.Fatalf("read %q, %v", line, err)
		}
		_, _ = lines.ReadString('\n')
		if want == "one" {
			next <- "data: two\n\n"
		}
	}
	close(next)
}

func echo(w http.ResponseWriter, req *http.Request) {
	conn, err := websocket.Accept(w, req, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	for {
		typ, message, err := conn.Read(req.Context())
		if err != nil {
			return
		}
		_ = conn.Write(req.Context(), typ, message)
	}
}

func (r *served) webSocket(ctx context.Context) (*websocket.Conn, error) {
	conn, _, err := websocket.Dial(ctx, r.url, &websocket.DialOptions{Host: "hello.test"})
	return conn, err
}

func TestWebSocketLivesUntilDrainingIsOver(t *testing.T) {
	r := newServed(t, nil)
	r.swap(newInstance(t, echo))
	ctx := context.Background()
	conn, err := r.webSocket(ctx)
	if err != nil {
		t.Fatal(err)
	}
	drained := r.swap(newInstance(t, echo))
	for _, text := range []string{"before", "after the swap"} {
		if err := conn.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := conn.Read(ctx); err != nil || string(got) != text {
			t.Fatalf("echo %q, %v", got, err)
		}
	}
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	drained(short)
	if short.Err() == nil {
		t.Fatal("draining did not wait for the WebSocket")
	}
	limited, cancelRead := context.WithTimeout(ctx, 5*time.Second)
	defer cancelRead()
	if _, _, err := conn.Read(limited); err == nil || limited.Err() != nil {
		t.Fatalf("the WebSocket outlived its drain: %v", err)
	}
}

// When draining is over, a stream of events ends as one that is complete, and a body that lacks its end does not.
func TestEventsEndCleanlyWithTheirDrain(t *testing.T) {
	for kind, whole := range map[string]bool{"text/event-stream": true, "text/plain": false} {
		r := newServed(t, nil)
		r.swap(newInstance(t, func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Type", kind)
			_, _ = io.WriteString(w, "data: one\n\n")
			_ = http.NewResponseController(w).Flush()
			<-req.Context().Done()
		}))
		req, _ := http.NewRequest(http.MethodGet, r.url, nil)
		req.Host = "hello.test"
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		over, cancel := context.WithCancel(context.Background())
		cancel()
		r.swap(newInstance(t, echo))(over)
		text, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if string(text) != "data: one\n\n" || (err == nil) != whole {
			t.Errorf("%s: %q, %v", kind, text, err)
		}
	}
}

func TestDrainWaitsForRequestsInFlight(t *testing.T) {
	r := newServed(t, nil)
	arrived, finish := make(chan struct{}), make(chan struct{})
	r.swap(newInstance(t, func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-finish
		_, _ = io.WriteString(w, "old")
	}))
	answer := make(chan string)
	go func() { _, body := r.get("/", nil); answer <- body }()
	<-arrived
	drained := r.swap(newInstance(t, says("new")))
	waited := make(chan struct{})
	go func() { drained(context.Background()); close(waited) }()
	if _, body := r.get("/", nil); body != "new" {
		t.Fatalf("after the swap: %q", body)
	}
	select {
	case <-waited:
		t.Fatal("drained with a request in flight")
	case <-time.After(50 * time.Millisecond):
	}
	close(finish)
	if body := <-answer; body != "old" {
		t.Fatalf("the request in flight got %q", body)
	}
	<-waited
}

// Twenty deploys under load; each old instance dies the moment it is drained. Nothing fails.
func TestSwapsUnderLoad(t *testing.T) {
	r := newServed(t, nil)
	version := func(n int) *instance {
		body := bytes.Repeat([]byte{byte('a' + n%26)}, 20_000)
		return newInstance(t, func(w http.ResponseWriter, req *http.Request) {
			if req.URL.Path == "/slow" {
				time.Sleep(30 * time.Millisecond)
			}
			_, _ = w.Write(body)
		})
	}
	current := version(0)
	r.swap(current)
	ctx, stop := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	var done atomic.Int64
	client := func(keepAlive bool, path string) {
		transport := &http.Transport{DisableKeepAlives: !keepAlive}
		defer transport.CloseIdleConnections()
		for ctx.Err() == nil {
			done.Add(1)
			if err := fetch(transport, r.url+path); err != nil {
				t.Error(err)
				return
			}
		}
	}
	for range 4 {
		clients.Go(func() { client(true, "/") })
		clients.Go(func() { client(false, "/") })
		clients.Go(func() { client(true, "/slow") })
	}
	for n := 1; n <= 20; n++ {
		time.Sleep(20 * time.Millisecond)
		old := current
		current = version(n)
		r.swap(current)(context.Background())
		old.die()
	}
	stop()
	clients.Wait()
	t.Logf("%d requests", done.Load())
}

func fetch(transport *http.Transport, url string) error {
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader("body")) // never retried by anybody
	if err != nil {
		return err
	}
	req.Host = "hello.test"
	res, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err == nil && (res.StatusCode != http.StatusOK || len(body) != 20_000) {
		err = fmt.Errorf("%s with %d bytes", res.Status, len(body))
	}
	return err
}

func TestAccessLog(t *testing.T) {
	var log lockedBuffer
	r := newServed(t, &log)
	r.swap(newInstance(t, says("hello")))
	r.get("/page?secret=1", nil)
	for deadline := time.Now().Add(5 * time.Second); log.String() == "" && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond) // written at most a second later
	}
	line := log.String()
	for _, want := range []string{`hello at=info method=GET path="/page" host=hello.test`, "status=200 bytes=5", "dyno=i", "service="} {
		if !strings.Contains(line, want) {
			t.Errorf("no %q in %q", want, line)
		}
	}
	if strings.Contains(line, "secret") {
		t.Error("the query is in the log")
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestRemove(t *testing.T) {
	r := newServed(t, nil)
	r.swap(newInstance(t, says("x")))
	r.Remove("hello")
	r.Remove("hello")
	if res, _ := r.get("/", nil); res.StatusCode != http.StatusNotFound {
		t.Fatal(res.Status)
	}
}
