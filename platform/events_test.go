package platform_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"paas/platform"
)

// kinds are what happened to the app so far, in order.
func (w *world) kinds() string {
	w.t.Helper()
	var out bytes.Buffer
	call := w.call
	call.Out = &out
	if _, err := w.Events(context.Background(), call, platform.EventsInput{App: "blog", Lines: 1000, JSON: true}); err != nil {
		w.t.Fatal(err)
	}
	var kinds []string
	last := int64(0)
	for line := range strings.Lines(out.String()) {
		var e platform.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			w.t.Fatal(err)
		}
		if e.ID <= last || e.At.IsZero() || e.Text == "" {
			w.t.Errorf("event %+v after %d", e, last)
		}
		last = e.ID
		kinds = append(kinds, string(e.Kind))
	}
	return strings.Join(kinds, " ")
}

func TestEventsTellTheStory(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	if _, err := w.push("broken"); err == nil {
		t.Fatal("a broken push went through")
	}
	if _, err := w.Restart(context.Background(), w.call, platform.RestartInput{App: "blog"}); err != nil {
		t.Fatal(err)
	}
	want := "created pushed started healthy deployed pushed push-failed started healthy restarted"
	if got := w.kinds(); got != want {
		t.Errorf("events: %s\nwant:   %s", got, want)
	}
	w.Close() // and over a restart
	w.boot()
	if got := w.kinds(); got != want {
		t.Errorf("events after a restart: %s", got)
	}
}

// Whoever follows sees each event once and none is missing, also those said while it looks.
func TestEventsAreFollowed(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var out lockedBuffer
	call := w.call
	call.Out = &out
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := w.Events(ctx, call, platform.EventsInput{Lines: 1, Follow: true}); err != nil {
			t.Error(err)
		}
	})
	w.eventually("it follows", func() bool { return out.String() != "" })
	for range 20 {
		for _, policy := range []string{"never", "always"} {
			if _, err := w.RestartPolicy(ctx, w.call, platform.PolicyInput{App: "blog", Policy: policy}); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.eventually("all 41 lines", func() bool { return strings.Count(out.String(), "\n") >= 41 })
	cancel()
	wg.Wait()
	if n := strings.Count(out.String(), "policy-set"); n != 40 {
		t.Errorf("%d events of 40:\n%s", n, out.String())
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

func (w *world) status(process string) string {
	w.t.Helper()
	list, err := w.Processes(context.Background(), w.call, platform.AppInput{App: "blog"})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, v := range list {
		if v.Name == process {
			return v.Status
		}
	}
	return "absent"
}

func (w *world) only() platform.Instance {
	w.t.Helper()
	list, err := w.host.Instances(context.Background())
	if err != nil || len(list) != 1 {
		w.t.Fatalf("instances: %v %v", list, err)
	}
	return list[0]
}

// replaced tells whether one instance is there, and it is another one. For a moment there are two.
func (w *world) replaced(first platform.InstanceID) bool {
	list, err := w.host.Instances(context.Background())
	return err == nil && len(list) == 1 && list[0].ID != first
}

func TestPausedIsNotRouted(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.mustPush("web: serve")
	if _, err := w.Pause(ctx, w.call, platform.PauseInput{App: "blog", Process: "web.1"}); err != nil {
		t.Fatal(err)
	}
	if n := w.table.backends("blog"); n != 0 || w.status("web.1") != "paused" {
		t.Errorf("%d backends, %s", n, w.status("web.1"))
	}
	w.Close()
	w.boot()
	if n := w.table.backends("blog"); n != 0 || w.status("web.1") != "paused" {
		t.Errorf("after a restart: %d backends, %s", n, w.status("web.1"))
	}
	if _, err := w.Resume(ctx, w.call, platform.ResumeInput{App: "blog"}); err != nil {
		t.Fatal(err)
	}
	if n := w.table.backends("blog"); n != 1 || w.status("web.1") != "up" {
		t.Errorf("after resume: %d backends, %s", n, w.status("web.1"))
	}
	_, err := w.Pause(ctx, w.call, platform.PauseInput{App: "blog", Process: "web.2"})
	if platform.KindOf(err) != platform.NotFound {
		t.Errorf("pause of nobody: %v", err)
	}
}

func TestPolicies(t *testing.T) {
	for _, c := range []struct {
		policy string
		code   int
		want   string // what ps says in the end, or "up" again
	}{
		{"always", 0, "up"}, {"always", 3, "up"}, {"on-failure", 3, "up"}, {"on-failure:2", 3, "up"},
		{"on-failure", 0, "exited with status 0, not started again"},
		{"never", 3, "crashed: exited with status 3, not started again"},
	} {
		w := newWorld(t)
		w.mustPush("web: serve")
		if _, err := w.RestartPolicy(context.Background(), w.call, platform.PolicyInput{App: "blog", Policy: c.policy}); err != nil {
			t.Fatal(err)
		}
		first := w.only().ID
		w.host.end(first, c.code)
		w.eventually(c.policy+" leads to "+c.want, func() bool {
			return w.status("web.1") == c.want && (c.want != "up" || w.replaced(first))
		})
		if c.want == "up" {
			continue
		}
		w.Close() // the next daemon leaves it at that
		w.boot()
		w.eventually("it stays", func() bool { return w.status("web.1") == c.want })
		time.Sleep(100 * time.Millisecond)
		if got := w.status("web.1"); got != c.want || w.only().ID != first {
			t.Errorf("after a restart: %s", got)
		}
		if _, err := w.Restart(context.Background(), w.call, platform.RestartInput{App: "blog"}); err != nil {
			t.Fatal(err)
		}
		if got := w.status("web.1"); got != "up" {
			t.Errorf("after ps:restart: %s", got)
		}
	}
}

// What went down with the machine comes back, whatever the policy.
func TestPolicyNeverComesBackAfterAReboot(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	if _, err := w.RestartPolicy(context.Background(), w.call, platform.PolicyInput{App: "blog", Policy: "never"}); err != nil {
		t.Fatal(err)
	}
	first := w.only().ID
	w.Close()
	w.host.lose(first)
	w.boot()
	w.eventually("it is up again", func() bool { return w.status("web.1") == "up" && w.replaced(first) })
}

// lose is what a reboot does.
func (h *host) lose(id platform.InstanceID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.running[id]
	_ = p.listener.Close()
	p.Exit = &platform.Exit{Lost: true, At: time.Now()}
	h.exits <- p.Instance
}

func TestNoPolicy(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	for _, policy := range []string{"sometimes", "always:3", "on-failure:0", "on-failure:x", "on-failure:1001"} {
		_, err := w.RestartPolicy(context.Background(), w.call, platform.PolicyInput{App: "blog", Policy: policy})
		if platform.KindOf(err) != platform.Usage {
			t.Errorf("%s: %v", policy, err)
		}
	}
}

func TestCommitMakesARelease(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	v, err := w.Commit(context.Background(), w.call, platform.ProcessInput{App: "blog"})
	if err != nil || v.Release != 2 || v.Layer != "commit-1" || w.running(2) != 1 {
		t.Fatalf("%+v %v", v, err)
	}
	back, err := w.Rollback(context.Background(), w.call, platform.RollbackInput{App: "blog"})
	if err != nil || !back.Code {
		t.Fatalf("%+v %v", back, err)
	}
}
