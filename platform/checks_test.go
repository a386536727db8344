package platform_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"paas/platform"
)

// checked is an app whose web process is checked at a server of the test.
func checked(t *testing.T, check string, answer http.HandlerFunc) (w *world, push string) {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	port := server.Listener.Addr().String()
	port = port[strings.LastIndexByte(port, ':')+1:]
	return newWorld(t), fmt.Sprintf(`web: serve
image: {"Checks": {"web": [{"path": "/up", "port": %s, %s}]}}`, port, check)
}

const hasty = `"attempts": 3, "timeout": 200000000, "wait": 1000000`

func TestChecksTellAndKeepEachAttempt(t *testing.T) {
	var asked atomic.Int32
	w, push := checked(t, hasty, func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) < 3 {
			http.Error(w, "no database yet", http.StatusServiceUnavailable)
		}
	})
	out := w.mustPush(push)
	if !strings.Contains(out, "web.1, check web-1, attempt 2 of 3: GET /up answered 503 Service Unavailable: no database yet") {
		t.Errorf("the push does not tell:\n%s", out)
	}
	got := w.Transcripts("blog")
	if len(got) != 1 || !got[0].Passed || len(got[0].Attempts) != 3 || got[0].Attempts[2].Error != "" || got[0].Attempts[2].Number != 3 {
		t.Fatalf("transcript %+v", got)
	}
}

func TestFailedCheckLeavesItsTranscript(t *testing.T) {
	w, push := checked(t, hasty+`, "content": "fine"`, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("so  so")) })
	w.mustPush("web: serve")
	if _, err := w.push(push); platform.KindOf(err) != platform.Unhealthy || w.current() != 1 {
		t.Fatalf("error %v, v%d", err, w.current())
	}
	got := w.Transcripts("blog")
	if len(got) != 1 || got[0].Passed || got[0].Release != 2 || len(got[0].Attempts) != 3 {
		t.Fatalf("transcript %+v", got)
	}
	if text := strings.Join(got[0].Lines(), "\n"); !strings.Contains(text, `attempt 3 at `) || !strings.Contains(text, `answered without "fine": so so`) {
		t.Errorf("%s", text)
	}
}

func TestCheckThatTakesTooLongSaysSo(t *testing.T) {
	w, push := checked(t, `"attempts": 1, "timeout": 50000000`, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	if _, err := w.push(push); err == nil || !strings.Contains(err.Error(), "GET /up took longer than 50ms") {
		t.Fatalf("error %v", err)
	}
}

func TestCheckThatOnlyWarnsKeepsNothingDown(t *testing.T) {
	w, push := checked(t, hasty+`, "warn": true`, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	if out := w.mustPush(push); !strings.Contains(out, "web.1 fails its check web-1, which only warns: GET /up answered 418") {
		t.Fatalf("\n%s", out)
	}
}

func TestHostOfACheckIsSent(t *testing.T) {
	w, push := checked(t, hasty+`, "headers": {"Host": "shop.example.org", "X-Check": "yes"}`, func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "shop.example.org" || r.Header.Get("X-Check") != "yes" {
			w.WriteHeader(http.StatusMisdirectedRequest)
		}
	})
	w.mustPush(push)
}

// setChecks is checks:set with these words.
func (w *world) setChecks(process string, words ...string) error {
	_, err := w.SetChecks(ctx, w.call, platform.CheckSetInput{Words: words, Process: process})
	return err
}

func TestChecksSetChangesWhatIsLeftOpen(t *testing.T) {
	w, push := checked(t, hasty+`, "default": ["attempts", "wait"]`, func(w http.ResponseWriter, _ *http.Request) {})
	w.mustPush(push)
	w.check(w.setChecks("", "blog", "attempts=9", "timeout=77", "wait=0"))
	w.check(w.setChecks("web", "blog", "attempts", "4"))
	view := func() platform.CheckView {
		r, err := w.ReportChecks(ctx, w.call, platform.ReportInput{App: "blog"})
		w.check(err)
		return r[0].Processes[0].Checks[0]
	}
	if v := view(); v.Attempts != 4 || v.Timeout != 0.2 || v.Wait != 0 || v.What != "GET /up" || !v.Declared {
		t.Fatalf("%+v", v)
	}
	w.check(w.setChecks("web", "blog", "attempts=clear"))
	if v := view(); v.Attempts != 9 {
		t.Fatalf("%+v", v)
	}
	w.check(w.setChecks("", "blog", "wait-to-retire", "45"))
	if r, err := w.ReportChecks(ctx, w.call, platform.ReportInput{App: "blog"}); err != nil || r[0].WaitToRetire != 45 {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, bad := range [][]string{
		{}, {"attempts=3"}, {"blog"}, {"blog", "attempts=0"}, {"blog", "attempts=x"}, {"blog", "timeout=0"}, {"blog", "wait=-1"}, {"blog", "wait=2h"},
		{"blog", "atempts=3"}, {"blog", "mode=skipped"}, {"blog", "attempts", "3", "4"}, {"blog", "wait-to-retire=x"},
	} {
		if err := w.setChecks("", bad...); platform.KindOf(err) != platform.Usage {
			t.Errorf("%v: %v", bad, err)
		}
	}
	if err := w.setChecks("cook", "blog", "attempts=3"); platform.KindOf(err) != platform.Usage {
		t.Errorf("a process type that is not there: %v", err)
	}
	if err := w.setChecks("web", "nobody", "attempts=3"); platform.KindOf(err) != platform.NotFound {
		t.Errorf("an app that is not there: %v", err)
	}
}

func TestGlobalChecksAreForAdmins(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve\nworker: sleep")
	_, err := w.SetChecks(ctx, w.call, platform.CheckSetInput{Words: []string{"default-wait=3"}, Global: true})
	w.check(err)
	r, err := w.ReportChecks(ctx, w.call, platform.ReportInput{App: "blog"})
	w.check(err)
	if v := r[0].Processes[1].Checks[0]; v.What != "runs for 3s" || v.Declared {
		t.Fatalf("%+v", v)
	}
	call := w.call
	call.Actor.Admin = false
	if _, err := w.SetChecks(ctx, call, platform.CheckSetInput{Words: []string{"default-wait=3"}, Global: true}); platform.KindOf(err) != platform.Denied {
		t.Fatalf("anybody may: %v", err)
	}
}

func TestSkippedChecksWaitForNobody(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve\nworker: sleep")
	_, err := w.SkipChecks(ctx, w.call, platform.CheckModeInput{App: "blog", Types: []string{"web,worker"}})
	w.check(err)
	out := w.mustPush("web: deaf\nworker: sleep")
	if !strings.Contains(out, "web.1 is not checked: checks of web are skipped") {
		t.Fatalf("\n%s", out)
	}
	if _, err = w.SkipChecks(ctx, w.call, platform.CheckModeInput{App: "blog", Types: []string{"cook"}}); platform.KindOf(err) != platform.Usage {
		t.Errorf("a process type that is not there: %v", err)
	}
	r, err := w.EnableChecks(ctx, w.call, platform.CheckModeInput{App: "blog"})
	if err != nil || len(r[0].Settings) != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := w.push("web: deaf"); platform.KindOf(err) != platform.Unhealthy {
		t.Fatalf("error %v", err)
	}
}

// With checks disabled the old process ends before the new one starts; when that one does not start, it comes back.
func TestDisabledChecksStopTheOldFirst(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve\nworker: sleep")
	_, err := w.Scale(ctx, w.call, platform.ScaleInput{App: "blog", Changes: []string{"worker=1"}})
	w.check(err)
	_, err = w.DisableChecks(ctx, w.call, platform.CheckModeInput{App: "blog", Types: []string{"worker"}})
	w.check(err)
	out := w.mustPush("web: serve # two\nworker: sleep")
	if !strings.Contains(out, "Stopping worker.1 first: checks are disabled") || w.running(2) != 2 {
		t.Fatalf("%d run\n%s", w.running(2), out)
	}
	if _, err := w.push("web: deaf\nworker: sleep"); err == nil {
		t.Fatal("it went live")
	}
	w.eventually("the old worker is back", func() bool { return w.running(2) == 2 })
}

func TestChecksRunShowsWhatComesOfThem(t *testing.T) {
	var ill atomic.Bool
	w, push := checked(t, hasty, func(w http.ResponseWriter, _ *http.Request) {
		if ill.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	w.mustPush(push)
	run := func(process string) platform.CheckRun {
		r, err := w.RunChecks(ctx, w.call, platform.CheckRunInput{App: "blog", Process: process})
		w.check(err)
		return r
	}
	if r := run("web.1"); !r.Passed || r.ExitStatus() != 0 || len(r.Results) != 1 {
		t.Fatalf("%+v", r)
	}
	ill.Store(true)
	if r := run(""); r.Passed || r.ExitStatus() != 7 || len(r.Results[0].Attempts) != 3 {
		t.Fatalf("%+v", r)
	}
	if w.running(1) != 1 || w.table.backends("blog") != 1 {
		t.Fatal("something came of it")
	}
	if _, err := w.RunChecks(ctx, w.call, platform.CheckRunInput{App: "blog", Process: "web.9"}); platform.KindOf(err) != platform.NotFound {
		t.Fatalf("error %v", err)
	}
}

// max_parallel is how many instances of a type are on their way at once.
func TestMaxParallelStartsOneAfterTheOther(t *testing.T) {
	w := newWorld(t)
	begun := time.Now()
	w.mustPush("web: serve\nworker: sleep\n" + `image: {"Formation": {"worker": 3}, "Parallel": {"worker": 1}, "Checks": {"worker": [{"uptime": 100000000, "attempts": 1}]}}`)
	if took := time.Since(begun); took < 300*time.Millisecond || w.running(1) != 3 {
		t.Fatalf("%d run after %s", w.running(1), took)
	}
}
