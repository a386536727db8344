package platform_test

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"paas/platform"
	"paas/router"
)

// bell is a doorbell that the test rings.
type bell struct {
	mu     sync.Mutex
	dozing map[platform.AppName]bool // whether it is gone
	heard  time.Time
	rings  chan platform.AppName
}

func newBell() *bell {
	return &bell{dozing: map[platform.AppName]bool{}, rings: make(chan platform.AppName)}
}

func (b *bell) SetPolicies([]platform.Policy) error { return nil }
func (b *bell) Barred() (text, fix string)          { return "", "" }
func (b *bell) Rings() <-chan platform.AppName      { return b.rings }

func (b *bell) Doze(app platform.AppName, _ []platform.ProcessType, gone bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dozing[app] = gone
	return nil
}

func (b *bell) Rouse(app platform.AppName) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.dozing, app)
	return nil
}

func (b *bell) Heard(platform.AppName) (time.Time, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.heard, nil
}

func (b *bell) hear(at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.heard = at
}

// dozes tells whether it listens for calls of the app.
func (b *bell) dozes(app platform.AppName) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.dozing[app]
	return ok
}

// gauge is a host whose load the test sets.
type gauge struct {
	mu   sync.Mutex
	load platform.Load
}

func (g *gauge) Load() platform.Load {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.load
}

func (g *gauge) set(l platform.Load) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.load = l
}

// newVisited is a world with a real router, and a browser.
func newVisited(t *testing.T) (*world, func() (int, string)) {
	t.Helper()
	w := newWorld(t)
	w.Close()
	w.web = &router.Router{}
	w.boot()
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	return w, func() (int, string) {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+w.door.Addr().String(), nil)
		if err != nil {
			return 0, err.Error()
		}
		req.Host = "blog.example.com"
		res, err := client.Do(req)
		if err != nil {
			return 0, err.Error()
		}
		defer func() { _ = res.Body.Close() }()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return 0, err.Error()
		}
		return res.StatusCode, string(body)
	}
}

func (w *world) setSleep(key, value string) {
	w.t.Helper()
	_, err := w.SetProcessProperty(ctx, w.call, platform.PropertyInput{App: "blog", Key: key, Value: value})
	w.check(err)
}

func (w *world) sleep(stop bool) {
	w.t.Helper()
	w.eventually("it sleeps", func() bool {
		_, err := w.PutToSleep(ctx, w.call, platform.SleepInput{App: "blog", Stop: stop})
		if err != nil && platform.KindOf(err) != platform.Conflict {
			w.t.Fatal(err)
		}
		return err == nil
	})
}

// paused counts the app's instances that stand still.
func (w *world) paused() (n int) {
	list, _ := w.host.Instances(ctx)
	for _, i := range list {
		if i.Paused {
			n++
		}
	}
	return n
}

func (w *world) report() platform.ProcessReport {
	w.t.Helper()
	list, err := w.ReportProcesses(ctx, w.call, platform.ReportInput{App: "blog"})
	w.check(err)
	return list[0]
}

func TestIdleAppSleepsAndARequestWakesIt(t *testing.T) {
	w, visit := newVisited(t)
	w.mustPush("web: serve http\nworker: serve\nclock: serve")
	_, err := w.Scale(ctx, w.call, platform.ScaleInput{App: "blog", Changes: []string{"worker=1", "clock=1"}})
	w.check(err)
	_, before := visit()
	w.setSleep("idle-keep", "clock")
	w.setSleep("idle-reclaim", "1s")
	w.setSleep("idle", "1s")
	w.eventually("it sleeps", func() bool { return w.paused() == 2 && w.bell.dozes("blog") })
	w.eventually("it gave memory back", func() bool { return w.report().Sleep != nil && w.report().Sleep.Given == 2*84<<20 })
	if s := w.report().Status; s != "sleeping since 1s, 168 MiB given back, 32 MiB held" {
		t.Errorf("report says %q", s)
	}
	ps, err := w.Processes(ctx, w.call, platform.AppInput{App: "blog"})
	w.check(err)
	if !strings.HasPrefix(ps[1].Status, "sleeping") || ps[0].Status != "up" {
		t.Errorf("ps: %+v", ps)
	}
	if code, body := visit(); code != http.StatusOK || body != before {
		t.Fatalf("the request that wakes it got %d %q", code, body)
	}
	w.eventually("all go on", func() bool { return w.paused() == 0 && !w.bell.dozes("blog") })
	if kinds := w.kinds(); !strings.Contains(kinds, "app.slept app.woke") {
		t.Errorf("events: %s", kinds)
	}
	w.setSleep("idle", "off")
	time.Sleep(1200 * time.Millisecond)
	if w.paused() != 0 {
		t.Error("it sleeps though it shall not")
	}
}

func TestStoppedSleeperIsStarted(t *testing.T) {
	w, visit := newVisited(t)
	w.mustPush("web: serve http")
	w.sleep(true)
	w.eventually("nothing runs", func() bool { return w.running(1) == 0 })
	if s := w.report().Sleep; s == nil || s.Depth != platform.Stopped || s.Given == 0 {
		t.Errorf("report: %+v", s)
	}
	var group sync.WaitGroup
	for range 50 { // a crawl wakes it once
		group.Go(func() {
			if code, body := visit(); code != http.StatusOK || body != "i2" {
				t.Errorf("got %d %q", code, body)
			}
		})
	}
	group.Wait()
	if w.running(1) != 1 || strings.Count(w.kinds(), "app.woke") != 1 {
		t.Errorf("%d run; %s", w.running(1), w.kinds())
	}
}

// A request at any moment of falling asleep is answered.
func TestNoRequestIsLostBetweenDecisionAndFreeze(t *testing.T) {
	w, visit := newVisited(t)
	w.mustPush("web: serve http\nworker: serve")
	var slept, asked atomic.Int64
	done := make(chan struct{})
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(time.Duration(rand.IntN(8000)) * time.Microsecond):
				}
				asked.Add(1)
				if code, body := visit(); code != http.StatusOK {
					t.Errorf("a request got %d %q", code, body)
				}
			}
		})
	}
	for end := time.Now().Add(8 * time.Second); time.Now().Before(end) && !t.Failed(); {
		if _, err := w.PutToSleep(ctx, w.call, platform.SleepInput{App: "blog"}); err == nil {
			slept.Add(1)
		}
	}
	close(done)
	group.Wait()
	t.Logf("%d requests, %d sleeps", asked.Load(), slept.Load())
	if slept.Load() < 50 {
		t.Errorf("it slept only %d times", slept.Load())
	}
}

func TestFailedWakeBacksOff(t *testing.T) {
	w, visit := newVisited(t)
	w.mustPush("web: serve http")
	w.sleep(true)
	w.host.refuse(true)
	if code, _ := visit(); code != http.StatusServiceUnavailable {
		t.Fatalf("a request of an app that cannot start got %d", code)
	}
	starts := w.host.started()
	for range 20 {
		if code, _ := visit(); code != http.StatusServiceUnavailable {
			t.Fatalf("then %d", code)
		}
	}
	if n := w.host.started() - starts; n > 1 {
		t.Errorf("it was tried %d times more at once", n)
	}
	w.host.refuse(false)
	w.eventually("it wakes when it can", func() bool { code, _ := visit(); return code == http.StatusOK })
}

// Whoever calls it over a link wakes it, stopped or frozen, and keeps it awake before.
func TestCallOfAnotherAppWakes(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	w.bell.hear(time.Now().Add(300 * time.Millisecond))
	w.setSleep("idle", "1s")
	time.Sleep(time.Until(w.bell.heard.Add(500 * time.Millisecond)))
	if w.paused() != 0 {
		t.Error("it sleeps although it was called")
	}
	for _, stop := range []bool{false, true} {
		w.sleep(stop)
		if !w.table.route("blog").Asleep {
			t.Fatal("the router does not know")
		}
		w.bell.rings <- "blog"
		w.eventually("it runs", func() bool { return w.running(1) == 1 && w.paused() == 0 && !w.table.route("blog").Asleep })
	}
}

func TestVerbsOnASleeper(t *testing.T) {
	app := platform.AppInput{App: "blog"}
	for name, tc := range map[string]struct {
		do  func(w *world) error
		run int // instances afterwards
	}{
		"restart": {func(w *world) error {
			_, err := w.Restart(ctx, w.call, platform.RestartInput{App: app.App})
			return err
		}, 1},
		"scale": {func(w *world) error {
			_, err := w.Scale(ctx, w.call, platform.ScaleInput{App: "blog", Changes: []string{"web=2"}})
			return err
		}, 2},
		"config:set": {func(w *world) error {
			_, err := w.SetConfig(ctx, w.call, platform.SetConfigInput{App: "blog", Vars: []string{"A=b"}})
			return err
		}, 1},
		"push": {func(w *world) error { _, err := w.push("web: serve # two"); return err }, 1},
		"stop": {func(w *world) error { _, err := w.Stop(ctx, w.call, platform.EachInput{App: app.App}); return err }, 0},
		"exec": {func(w *world) error { _, err := w.Exec(ctx, w.call, platform.ExecInput{App: "blog"}); return err }, 1},
		"wake": {func(w *world) error { _, err := w.RouseApp(ctx, w.call, app); return err }, 1},
	} {
		for _, stop := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				w := newWorld(t)
				w.mustPush("web: serve")
				w.sleep(stop)
				w.check(tc.do(w))
				w.eventually("as wanted", func() bool {
					n := 0
					list, _ := w.host.Instances(ctx)
					for _, i := range list {
						if i.Exit == nil && !i.Paused {
							n++
						}
					}
					return n == tc.run && w.paused() == 0
				})
				w.eventually("its route is awake", func() bool {
					r := w.table.route("blog")
					return !r.Asleep && len(r.Backends) == tc.run && w.report().Sleep == nil
				})
				w.eventually("it is written down", func() bool { list, _ := w.Store.Sleeps(ctx); return len(list) == 0 && !w.bell.dozes("blog") })
			})
		}
	}
}

// A failed deploy leaves a sleeper asleep, and a request still wakes it.
func TestFailedPushLetsItSleep(t *testing.T) {
	w, visit := newVisited(t)
	w.mustPush("web: serve http")
	w.sleep(false)
	if _, err := w.push("web: exit 3"); err == nil {
		t.Fatal("a broken push went live")
	}
	if w.paused() != 1 {
		t.Error("it does not sleep any more")
	}
	if code, body := visit(); code != http.StatusOK || body != "i1" {
		t.Errorf("got %d %q", code, body)
	}
}

func TestSleepOutlivesTheDaemon(t *testing.T) {
	for _, stop := range []bool{false, true} {
		w, visit := newVisited(t)
		w.mustPush("web: serve http")
		w.sleep(stop)
		w.eventually("as asked", func() bool { return w.running(1) == map[bool]int{false: 1, true: 0}[stop] })
		since := w.report().Sleep.Since
		w.Close()
		w.boot()
		time.Sleep(100 * time.Millisecond) // nothing converges it awake
		s := w.report().Sleep
		if s == nil || !s.Since.Equal(since.Truncate(time.Millisecond)) || w.running(1)-w.paused() != 0 || !w.bell.dozes("blog") {
			t.Fatalf("stop %v: %+v, %d run", stop, s, w.running(1))
		}
		if code, _ := visit(); code != http.StatusOK {
			t.Errorf("got %d", code)
		}
	}
}

// Wherever the daemon died on the way to sleep or back, its successor finds the app asleep or wakes it.
func TestCrashWhileFallingAsleep(t *testing.T) {
	for name, tc := range map[string]struct {
		depth  platform.Depth
		paused []bool // of web.1, web.2
		asleep bool
	}{
		"noted, not frozen":      {platform.Frozen, []bool{false, false}, false},
		"half of it frozen":      {platform.Frozen, []bool{true, false}, false},
		"frozen":                 {platform.Frozen, []bool{true, true}, true},
		"rebooted while frozen":  {platform.Frozen, nil, true},
		"stopped":                {platform.Stopped, nil, true},
		"not stopped completely": {platform.Stopped, []bool{false}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.mustPush("web: serve")
			_, err := w.Scale(ctx, w.call, platform.ScaleInput{App: "blog", Changes: []string{"web=2"}})
			w.check(err)
			w.Close()
			w.check(w.Store.SetSleep(ctx, platform.Sleep{App: "blog", Depth: tc.depth, Since: time.Now()}))
			list, _ := w.host.Instances(ctx)
			for n, i := range list {
				if n >= len(tc.paused) {
					w.check(w.host.Stop(ctx, i.ID, 0))
				} else if tc.paused[n] {
					w.check(w.host.Pause(ctx, i.ID))
				}
			}
			w.boot()
			w.eventually("it is one or the other", func() bool {
				route := w.table.route("blog")
				if tc.asleep {
					return route.Asleep && w.running(1) == w.paused()
				}
				return !route.Asleep && w.paused() == 0 && len(route.Backends) == 2
			})
		})
	}
}

func TestShortMemoryStopsTheLongestSleeperFirst(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	w.pushTo("shop", "web: serve")
	w.sleep(false)
	_, err := w.PutToSleep(ctx, w.call, platform.SleepInput{App: "shop"})
	w.check(err)
	for _, app := range []string{"blog", "shop"} { // they gave what they could
		_, err := w.SetProcessProperty(ctx, w.call, platform.PropertyInput{App: app, Key: "idle-reclaim", Value: "1s"})
		w.check(err)
	}
	w.eventually("both gave memory back", func() bool {
		list, _ := w.ReportProcesses(ctx, w.call, platform.ReportInput{})
		return list[0].Sleep.Given > 0 && list[1].Sleep.Given > 0
	})
	w.gauge.set(platform.Load{Memory: 1 << 30, MemoryFree: 50 << 20})
	w.setSleep("idle-stop", "1h") // makes it look
	w.eventually("one is stopped", func() bool { return w.running(1) == 1 })
	list, err := w.Store.Sleeps(ctx)
	w.check(err)
	if list[0].App != "blog" || list[0].Depth != platform.Stopped || list[1].Depth != platform.Frozen {
		t.Errorf("%+v", list)
	}
}

func TestLongSleeperIsStopped(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	w.setSleep("idle-stop", "1s")
	w.sleep(false)
	w.eventually("it is stopped", func() bool { return w.running(1) == 0 })
	if !w.table.route("blog").Asleep {
		t.Error("the router does not know that it sleeps")
	}
}

func TestSleepSettings(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve\nworker: serve")
	for _, bad := range [][2]string{{"idle", "soon"}, {"idle", "1ms"}, {"idle", "-1h"}, {"idle-stop", "x"}, {"idle-keep", "nope"}, {"idle-keep", "web"}} {
		_, err := w.SetProcessProperty(ctx, w.call, platform.PropertyInput{App: "blog", Key: bad[0], Value: bad[1]})
		if platform.KindOf(err) != platform.Usage {
			t.Errorf("%v: %v", bad, err)
		}
	}
	done, err := w.SetProcessProperty(ctx, w.call, platform.PropertyInput{App: "idle", Key: "15m", Value: "blog"}.Turned())
	w.check(err)
	if done.Message != "blog sleeps after 15m without a request, and is stopped 6h later or when memory is short." {
		t.Error(done.Message)
	}
	w.setSleep("idle-keep", "worker")
	w.Close()
	w.boot()
	if r := w.report(); r.Idle != "15m" || r.IdleStop != "6h" || len(r.IdleKeep) != 1 {
		t.Errorf("after a restart: %+v", r)
	}
	w.setSleep("idle", "")
	if r := w.report(); r.Idle != "off" {
		t.Errorf("cleared: %+v", r)
	}
}
