package router_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"paas/platform"
	"paas/router"
)

// sleeper is a router with one app that sleeps, and an instance of it.
type sleeper struct {
	queue int // how many may wait; 0: the default
	*router.Router
	t     *testing.T
	wakes atomic.Int64
	open  atomic.Int64 // connections to the instance
	url   string
	back  platform.Backend
}

func newSleeper(t *testing.T, answer http.HandlerFunc) *sleeper {
	t.Helper()
	s := &sleeper{t: t}
	instance := httptest.NewUnstartedServer(answer)
	instance.Config.ConnState = func(_ net.Conn, to http.ConnState) {
		switch to {
		case http.StateNew:
			s.open.Add(1)
		case http.StateClosed, http.StateHijacked:
			s.open.Add(-1)
		}
	}
	instance.Start()
	t.Cleanup(instance.Close)
	s.Router = router.New(router.Options{Wake: func(app platform.AppName) {
		if app != "blog" {
			t.Errorf("%s was to be woken", app)
		}
		s.wakes.Add(1)
	}})
	s.back = platform.Backend{ID: "one", Addr: netip.MustParseAddrPort(instance.Listener.Addr().String())}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.url = "http://" + l.Addr().String()
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.Shutdown(ctx)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	s.turn(true)
	return s
}

// turn publishes the route: asleep, or not.
func (s *sleeper) turn(asleep bool) {
	s.Swap(platform.Route{
		App: "blog", Hosts: []string{"blog.test"}, Asleep: asleep, Backends: []platform.Backend{s.back},
		Traffic: platform.Traffic{WakeQueue: s.queue},
	})(context.Background())
}

func (s *sleeper) ask(ctx context.Context) (int, http.Header, string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return 0, nil, err.Error()
	}
	req.Host = "blog.test"
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return 0, nil, err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	body, _ := io.ReadAll(res.Body)
	return res.StatusCode, res.Header, string(body)
}

func (s *sleeper) eventually(what string, is func() bool) {
	s.t.Helper()
	for range 6000 {
		if is() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.t.Fatalf("never: %s", what)
}

func hello(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }

func TestRequestsOfASleeperWaitAndWakeItOnce(t *testing.T) {
	s := newSleeper(t, hello)
	for round := range int64(3) {
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				if code, _, body := s.ask(context.Background()); code != http.StatusOK || body != "hello" {
					t.Errorf("got %d %q", code, body)
				}
			})
		}
		s.eventually("it is asked for", func() bool { return s.wakes.Load() == round+1 })
		time.Sleep(50 * time.Millisecond)
		s.turn(false)
		group.Wait()
		if n := s.wakes.Load(); n != round+1 {
			t.Fatalf("it was asked for %d times", n-round)
		}
		s.turn(true)
	}
}

func TestTooManyForASleeper(t *testing.T) {
	s := newSleeper(t, hello)
	s.queue = 100
	s.turn(true)
	var answered, refused atomic.Int64
	var group sync.WaitGroup
	for range 150 {
		group.Go(func() {
			switch code, head, body := s.ask(context.Background()); {
			case code == http.StatusOK:
				answered.Add(1)
			case code == http.StatusServiceUnavailable && head.Get("Retry-After") != "":
				refused.Add(1)
			default:
				t.Errorf("got %d %q", code, body)
			}
		})
	}
	s.eventually("those beyond a hundred are refused", func() bool { return refused.Load() == 50 })
	s.turn(false)
	group.Wait()
	if answered.Load() != 100 {
		t.Errorf("%d were answered", answered.Load())
	}
}

// A hundred was the bound: of two hundred first visitors half were sent away.
func TestTwoHundredWaitForASleeper(t *testing.T) {
	s := newSleeper(t, hello)
	var asked sync.WaitGroup
	for range 200 {
		asked.Go(func() {
			if code, _, body := s.ask(context.Background()); code != http.StatusOK {
				t.Errorf("got %d %q", code, body)
			}
		})
	}
	s.eventually("all of them wait", func() bool { _, waiting := s.Idle("blog"); return s.wakes.Load() == 1 && waiting == 200 })
	s.turn(false)
	asked.Wait()
	if n := s.wakes.Load(); n != 1 {
		t.Errorf("it was woken %d times", n)
	}
}

// What the platform says when it could not wake the app ends the wait.
func TestSleeperThatDoesNotCome(t *testing.T) {
	s := newSleeper(t, hello)
	go func() {
		s.eventually("it is asked for", func() bool { return s.wakes.Load() == 1 })
		s.Swap(platform.Route{App: "blog", Hosts: []string{"blog.test"}})(context.Background())
	}()
	code, head, _ := s.ask(context.Background())
	if code != http.StatusServiceUnavailable || head.Get("Retry-After") == "" {
		t.Errorf("got %d, retry after %q", code, head.Get("Retry-After"))
	}
}

// Who goes away while it waits is not in flight any more.
func TestIdle(t *testing.T) {
	let := make(chan struct{})
	s := newSleeper(t, func(w http.ResponseWriter, r *http.Request) { <-let; hello(w, r) })
	if since, n := s.Idle("blog"); !since.IsZero() || n != 0 {
		t.Errorf("before any request: %v, %d", since, n)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	s.ask(ctx)
	cancel()
	s.eventually("nobody waits", func() bool { _, n := s.Idle("blog"); return n == 0 })
	s.turn(false)
	var group sync.WaitGroup
	group.Go(func() { s.ask(context.Background()) })
	s.eventually("one is in flight", func() bool { _, n := s.Idle("blog"); return n == 1 })
	before := time.Now()
	close(let)
	group.Wait()
	s.eventually("it is over", func() bool { since, n := s.Idle("blog"); return n == 0 && !since.Before(before) })
	if _, n := s.Idle("nobody"); n != 0 {
		t.Error("an app that there is not has requests")
	}
}

// A WebSocket is in flight as long as it is open.
func TestOpenSocketIsInFlight(t *testing.T) {
	s := newSleeper(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
	})
	s.turn(false)
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = fmt.Fprint(conn, "GET /ws HTTP/1.1\r\nHost: blog.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	if _, err := conn.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	if _, n := s.Idle("blog"); n != 1 {
		t.Errorf("%d in flight", n)
	}
	_ = conn.Close()
	s.eventually("it is over", func() bool { _, n := s.Idle("blog"); return n == 0 })
}

// A request that came before Swap says Asleep is either counted or waits: none is in flight unseen.
func TestNoRequestPassesUnseen(t *testing.T) {
	var serving atomic.Int64
	s := newSleeper(t, func(w http.ResponseWriter, r *http.Request) {
		serving.Add(1)
		defer serving.Add(-1)
		hello(w, r)
	})
	s.turn(false)
	done := make(chan struct{})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if code, _, body := s.ask(context.Background()); code != http.StatusOK {
					t.Errorf("got %d %q", code, body)
				}
			}
		})
	}
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
		s.turn(true)
		if _, n := s.Idle("blog"); n == 0 {
			if serving.Load() != 0 {
				t.Error("a request was served that nobody counted")
			}
		}
		s.turn(false)
		time.Sleep(time.Millisecond)
	}
	close(done)
	group.Wait()
}

// An instance whose time for idle connections runs out while it stands still closes them when it wakes, under the
// request that wakes it: so there are none.
func TestSleeperKeepsNoIdleConnections(t *testing.T) {
	s := newSleeper(t, hello)
	s.turn(false)
	if code, _, body := s.ask(context.Background()); code != http.StatusOK {
		t.Fatalf("got %d %q", code, body)
	}
	if s.open.Load() != 1 {
		t.Fatalf("%d connections after a request", s.open.Load())
	}
	s.turn(true)
	s.eventually("they are closed", func() bool { return s.open.Load() == 0 })
}
