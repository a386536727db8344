package router_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"paas/platform"
	"paas/router"
)

// route swaps in instances with other than the usual ways.
func (r *served) route(traffic platform.Traffic, list ...*instance) {
	to := platform.Route{App: "hello", Hosts: []string{"hello.test"}, Traffic: traffic}
	for _, i := range list {
		to.Backends = append(to.Backends, i.Backend)
	}
	r.Swap(to)
}

// held is an instance whose answers wait.
type held struct {
	*instance
	arrived, finish chan struct{}
}

func newHeld(t *testing.T, text string) *held {
	h := &held{arrived: make(chan struct{}, 100), finish: make(chan struct{})}
	h.instance = newInstance(t, func(w http.ResponseWriter, req *http.Request) {
		h.arrived <- struct{}{}
		<-h.finish
		says(text)(w, req)
	})
	return h
}

func (r *served) counts(n int) map[string]int {
	seen := map[string]int{}
	for range n {
		_, body := r.get("/", nil)
		seen[body]++
	}
	return seen
}

func TestTheLeastBusyInstanceIsAsked(t *testing.T) {
	r := newServed(t, nil)
	slow, quick := newHeld(t, "slow"), newInstance(t, says("quick"))
	r.route(platform.Traffic{}, slow.instance)
	var wg sync.WaitGroup
	wg.Go(func() { r.get("/", nil) })
	<-slow.arrived
	r.route(platform.Traffic{SlowStart: -1}, slow.instance, quick)
	if seen := r.counts(20); seen["quick"] != 20 {
		t.Errorf("asked the busy one: %v", seen)
	}
	r.route(platform.Traffic{Balance: platform.RoundRobin}, slow.instance, quick)
	close(slow.finish)
	wg.Wait()
	if seen := r.counts(20); seen["quick"] != 10 {
		t.Errorf("not in turn: %v", seen)
	}
}

func TestANewInstanceStartsSlowly(t *testing.T) {
	r := newServed(t, nil)
	old, fresh := newInstance(t, says("old")), newInstance(t, says("new"))
	r.route(platform.Traffic{SlowStart: time.Hour}, old)
	r.route(platform.Traffic{SlowStart: time.Hour}, old, fresh)
	if seen := r.counts(200); seen["new"] < 1 || seen["new"] > 50 {
		t.Errorf("a new instance got %d of 200 requests at once, and should get some 10", seen["new"])
	}
}

// Whoever shortened or switched off the slow start had to wait all the same for instances that had begun one.
func TestSlowStartIsWhatIsSetNow(t *testing.T) {
	r := newServed(t, nil)
	old, fresh := newInstance(t, says("old")), newInstance(t, says("new"))
	r.route(platform.Traffic{SlowStart: time.Hour}, old)
	r.route(platform.Traffic{SlowStart: time.Hour}, old, fresh)
	r.route(platform.Traffic{SlowStart: -1, Balance: platform.RoundRobin}, old, fresh)
	if seen := r.counts(20); seen["new"] != 10 {
		t.Errorf("in turn, a new instance got %d of 20 requests", seen["new"])
	}
}

func TestStickyClients(t *testing.T) {
	r := newServed(t, nil)
	a, b := newInstance(t, says("a")), newInstance(t, says("b"))
	sticky := platform.Traffic{Balance: platform.Sticky}
	r.route(sticky, a, b)
	res, first := r.get("/", nil)
	cookie := res.Header.Get("Set-Cookie")
	if !strings.HasPrefix(cookie, "paas-instance=") || strings.Contains(cookie, string(a.ID)+";") {
		t.Fatalf("cookie %q", cookie)
	}
	value, _, _ := strings.Cut(cookie, ";")
	with := func(value string) func(*http.Request) {
		return func(req *http.Request) { req.Header.Set("Cookie", "x=y; "+value) }
	}
	for range 10 {
		if res, body := r.get("/", with(value)); body != first || res.Header.Get("Set-Cookie") != "" {
			t.Fatalf("did not stay: %q after %q, %v", body, first, res.Header)
		}
	}
	for _, forged := range []string{"paas-instance=" + string(a.ID), "paas-instance=" + strings.Repeat("A", 24)} {
		if res, _ := r.get("/", with(forged)); res.Header.Get("Set-Cookie") == "" {
			t.Errorf("%s was believed", forged)
		}
	}
	rest := map[string]*instance{"a": b, "b": a}[first]
	r.route(sticky, rest)
	if res, body := r.get("/", with(value)); body == first || res.Header.Get("Set-Cookie") == "" {
		t.Errorf("after the instance was gone: %q %v", body, res.Header)
	}
}

func TestRequestsBeyondTheBoundWaitInLine(t *testing.T) {
	r := newServed(t, nil)
	one := newHeld(t, "x")
	r.route(platform.Traffic{Concurrency: 1, Queue: 2}, one.instance)
	statuses := make(chan *http.Response, 5)
	ask := func() {
		res, _ := r.get("/", nil)
		statuses <- res
	}
	go ask()
	<-one.arrived
	for range 4 {
		go ask()
	}
	for range 2 { // of five, one is answered and two may wait
		if res := <-statuses; res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
			t.Fatalf("%s, %v", res.Status, res.Header)
		}
	}
	if len(one.arrived) > 0 {
		t.Fatal("more at a time than one")
	}
	close(one.finish)
	for range 3 {
		if res := <-statuses; res.StatusCode != http.StatusOK {
			t.Fatal(res.Status)
		}
	}
}

func TestRequestsWaitNoLongerThanAllowed(t *testing.T) {
	r := newServed(t, nil)
	one := newHeld(t, "x")
	r.route(platform.Traffic{Concurrency: 1, QueueWait: 50 * time.Millisecond}, one.instance)
	defer close(one.finish)
	go func() { _, _, _ = r.request(http.MethodGet, "/", nil) }()
	<-one.arrived
	if res, _ := r.get("/", nil); res.StatusCode != http.StatusServiceUnavailable {
		t.Fatal(res.Status)
	}
}

func TestAnAppThatSleepsIsWokenOnce(t *testing.T) {
	var woken atomic.Int32
	r := serveWith(t, router.Options{Wake: func(platform.AppName) { woken.Add(1) }})
	r.Swap(platform.Route{App: "hello", Hosts: []string{"hello.test"}, Asleep: true, Traffic: platform.Traffic{WakeQueue: 100}})
	if since, n := r.Idle("hello"); !since.IsZero() || n != 0 {
		t.Errorf("before the first request: %v %d", since, n)
	}
	results := make(chan int, 200)
	for range 110 {
		go func() {
			res, _ := r.get("/", nil)
			results <- res.StatusCode
		}()
	}
	for range 10 { // 100 may wait
		if status := <-results; status != 503 {
			t.Fatal(status)
		}
	}
	if _, n := r.Idle("hello"); n != 100 || woken.Load() != 1 {
		t.Errorf("%d wait, woken %d times", n, woken.Load())
	}
	r.swap(newInstance(t, says("awake")))
	for range 100 {
		if status := <-results; status != 200 {
			t.Fatal(status)
		}
	}
	if since, n := r.Idle("hello"); time.Since(since) > time.Minute || n != 0 {
		t.Errorf("after the last request: %v %d", since, n)
	}
}
