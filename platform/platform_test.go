package platform_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"paas/platform"
)

var ctx = context.Background()

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) current() int {
	w.t.Helper()
	app, err := w.Store.App(ctx, "blog")
	w.check(err)
	return app.Release
}

func TestPushGoesLive(t *testing.T) {
	w := newWorld(t)
	out := w.mustPush("web: serve")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, "=====> blog v1 is live in ") || !strings.HasSuffix(last, "  http://blog.example.com") {
		t.Fatalf("the last lines are not release and URL:\n%s", out)
	}
	if w.table.backends("blog") != 1 || w.current() != 1 {
		t.Fatalf("%d backends, v%d", w.table.backends("blog"), w.current())
	}
	w.mustPush("web: serve # two")
	w.eventually("only v2 runs", func() bool { return w.running(1) == 0 && w.running(2) == 1 })
}

func TestFailuresLeaveTheOldReleaseAlone(t *testing.T) {
	for name, tc := range map[string]struct {
		push string
		kind platform.Kind
		says string
	}{
		"build":         {"broken", platform.Failed, "npm ci exited with 1"},
		"release phase": {"web: serve\nrelease: exit 4", platform.Failed, "exited with status 4"},
		"ends":          {"web: exit 3", platform.Unhealthy, "web.1 exited with status 3"},
		"ends early":    {"web: exit 3 early", platform.Unhealthy, "web.1 exited with status 3"},
		"deaf":          {"web: deaf", platform.Unhealthy, "does not listen on PORT"},
		"worker ends":   {"web: serve\nworker: exit 5", platform.Unhealthy, "worker.1 exited with status 5"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.mustPush("web: serve\nworker: sleep")
			_, err := w.Scale(ctx, w.call, platform.ScaleInput{App: "blog", Changes: []string{"worker=1"}})
			w.check(err)
			stopped := w.host.stopped
			out, err := w.push(tc.push)
			if platform.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.says) {
				t.Fatalf("error %v", err)
			}
			if tc.kind == platform.Unhealthy && !strings.Contains(out, "I am i") {
				t.Fatalf("no last output:\n%s", out)
			}
			if w.current() != 1 || w.running(1) != 2 || w.running(2) != 0 || w.table.backends("blog") != 1 {
				t.Fatalf("v%d, %d and %d run", w.current(), w.running(1), w.running(2))
			}
			_ = stopped
		})
	}
}

func TestReleaseCommandIsTold(t *testing.T) {
	if out := newWorld(t).mustPush("web: serve\nrelease: echo migrated"); !strings.Contains(out, "       migrated\n") {
		t.Fatalf("no output of the release command:\n%s", out)
	}
}

func TestConfigMakesReleases(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	set := func(v string) platform.ConfigChange {
		done, err := w.SetConfig(ctx, w.call, platform.SetConfigInput{App: "blog", Vars: []string{"COLOR=" + v}})
		w.check(err)
		return done
	}
	if done := set("red"); done.Release != 2 {
		t.Fatalf("made v%d", done.Release)
	}
	if done := set("red"); done.Release != 0 || len(done.Changed) != 0 {
		t.Fatalf("an identical value made %+v", done)
	}
	set("blue")
	back, err := w.Rollback(ctx, w.call, platform.RollbackInput{App: "blog"})
	w.check(err)
	got, err := w.GetConfig(ctx, w.call, platform.GetConfigInput{App: "blog", Key: "COLOR"})
	w.check(err)
	if back.Release != 4 || back.To != 2 || back.Code || got.Value != "red" {
		t.Fatalf("rolled back %+v to %s", back, got.Value)
	}
	key, err := w.GetConfig(ctx, w.call, platform.GetConfigInput{App: "blog", Key: "KEY"})
	w.check(err)
	if len(key.Value) != 64 {
		t.Fatalf("generated secret %q", key.Value)
	}
}

func TestScaleRestartStopStart(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve\nworker: sleep")
	scaled, err := w.Scale(ctx, w.call, platform.ScaleInput{App: "blog", Changes: []string{"web=+2"}})
	w.check(err)
	if scaled.After["web"] != 3 || w.table.backends("blog") != 3 {
		t.Fatalf("%+v, %d backends", scaled, w.table.backends("blog"))
	}
	for _, bad := range []string{"web=x", "web", "web=-9", "web=101", "nope=1"} {
		if _, err := w.Scale(ctx, w.call, platform.ScaleInput{App: "blog", Changes: []string{bad}}); platform.KindOf(err) != platform.Usage {
			t.Errorf("%s: %v", bad, err)
		}
	}
	before, _ := w.host.Instances(ctx)
	_, err = w.Restart(ctx, w.call, platform.RestartInput{App: "blog"})
	w.check(err)
	w.eventually("fresh instances", func() bool {
		now, _ := w.host.Instances(ctx)
		return len(now) == 3 && now[0].ID != before[0].ID && now[0].Epoch == 1
	})
	_, err = w.Stop(ctx, w.call, platform.EachInput{App: "blog"})
	w.check(err)
	w.eventually("nothing runs", func() bool { return w.running(1) == 0 })
	if !w.table.routes["blog"].Stopped {
		t.Fatal("the route does not know that the app is stopped")
	}
	_, err = w.Start(ctx, w.call, platform.EachInput{App: "blog"})
	w.check(err)
	if w.running(1) != 3 || w.table.backends("blog") != 3 {
		t.Fatalf("%d run, %d routed", w.running(1), w.table.backends("blog"))
	}
}

func TestCrashedInstanceComesBack(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	list, _ := w.host.Instances(ctx)
	w.host.end(list[0].ID, 1)
	w.eventually("unrouted", func() bool { return w.table.backends("blog") == 0 })
	w.eventually("routed again", func() bool { return w.table.backends("blog") == 1 && w.running(1) == 1 })
	w.eventually("the dead one is forgotten", func() bool { l, _ := w.host.Instances(ctx); return len(l) == 1 })
}

// An instance whose turn came while another one was being started again got none: nobody looked at it any more.
func TestAllCrashedInstancesComeBack(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve early")
	_, err := w.Scale(ctx, w.call, platform.ScaleInput{App: "blog", Changes: []string{"web=2"}})
	w.check(err)
	list, _ := w.host.Instances(ctx)
	w.host.end(list[0].ID, 1)
	time.Sleep(45 * time.Millisecond) // less than a start takes
	w.host.end(list[1].ID, 1)
	w.eventually("both are back", func() bool { return w.table.backends("blog") == 2 && w.running(1) == 2 })
}

func TestSuccessorTakesOver(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	r, err := w.Store.AddRelease(ctx, platform.Release{App: "blog", Image: platform.Image{ID: "x"}, Config: platform.Config{"A": "b"}})
	w.check(err)
	list, _ := w.host.Instances(ctx)
	w.Close()
	w.boot()
	if w.table.backends("blog") != 1 {
		t.Fatal("not routed at once")
	}
	got, err := w.Store.Release(ctx, "blog", r.Number)
	w.check(err)
	if got.Status != platform.Broken {
		t.Fatalf("the interrupted release is %s", got.Status)
	}
	time.Sleep(50 * time.Millisecond)
	if now, _ := w.host.Instances(ctx); len(now) != 1 || now[0].ID != list[0].ID {
		t.Fatalf("the instance was replaced: %v", now)
	}
}

// After a reboot nothing runs. What others are linked to comes first, and the others when that is healthy.
func TestAppsComeUpInTheOrderOfTheirLinks(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"api", "blog", "cache", "data"} {
		w.pushTo(name, "web: serve")
	}
	for _, link := range [][2]string{{"api", "data"}, {"blog", "api"}, {"data", "cache"}, {"cache", "blog"}} { // a circle
		_, err := w.AddLink(ctx, w.call, platform.LinkInput{App: link[0], To: link[1]})
		w.check(err)
	}
	w.eventually("what the links replaced is gone", func() bool { return w.running(1) == 0 })
	list, _ := w.host.Instances(ctx)
	w.Close()
	for _, i := range list {
		w.check(w.host.Stop(ctx, i.ID, 0))
	}
	w.boot()
	w.eventually("all run", func() bool { return w.running(2) == 4 })
	list, _ = w.host.Instances(ctx)
	var order []string
	for _, i := range list {
		order = append(order, string(i.App))
	}
	if got := strings.Join(order, " "); got != "blog cache data api" {
		t.Errorf("they came up as %s", got)
	}
}

func TestTwoPushesAtOnce(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	slow := make(chan error, 1)
	go func() { _, err := w.push("web: deaf"); slow <- err }()
	time.Sleep(100 * time.Millisecond)
	out := w.mustPush("web: serve # second")
	if !strings.Contains(out, "Waiting for alice's push to finish") {
		t.Fatalf("not told who is pushing:\n%s", out)
	}
	if err := <-slow; platform.KindOf(err) != platform.Unhealthy {
		t.Fatal(err)
	}
}

func TestCancelledPushChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	app, err := w.Store.App(ctx, "blog")
	w.check(err)
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	_, err = w.Push(short, platform.Push{Actor: w.call.Actor, App: app, Commit: "c", Source: procfile("web: deaf"), Out: &w.err})
	if platform.KindOf(err) != platform.Interrupted {
		t.Fatal(err)
	}
	if w.current() != 1 || w.running(1) != 1 || w.running(2) != 0 {
		t.Fatalf("v%d, %d and %d run", w.current(), w.running(1), w.running(2))
	}
}

func TestDestroyNeedsTheName(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	for _, given := range []string{"", "blgo"} {
		_, err := w.Destroy(ctx, w.call, platform.DestroyInput{App: "blog", Confirm: given})
		if platform.KindOf(err) != platform.Usage || w.running(1) != 1 {
			t.Fatalf("--confirm %q: %v", given, err)
		}
	}
	_, err := w.Destroy(ctx, w.call, platform.DestroyInput{App: "blog", Confirm: "blog"})
	w.check(err)
	if list, _ := w.host.Instances(ctx); len(list) != 0 {
		t.Fatalf("left: %v", list)
	}
}

func TestDomains(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	_, err := w.Create(ctx, w.call, platform.CreateInput{App: "other"})
	w.check(err)
	add := func(app, host string) error {
		_, err := w.AddDomain(ctx, w.call, platform.DomainInput{App: app, Host: []string{host}})
		return err
	}
	w.check(add("blog", "WWW.Example.org"))
	w.check(add("blog", "www.example.org"))
	if hosts := w.table.routes["blog"].Hosts; len(hosts) != 2 || hosts[1] != "www.example.org" {
		t.Fatalf("routed hosts %v", hosts)
	}
	for host, kind := range map[string]platform.Kind{
		"www.example.org": platform.Conflict, "blog.example.com": platform.Conflict, "http://x.org": platform.Usage, "x": platform.Usage,
	} {
		if err := add("other", host); platform.KindOf(err) != kind {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestAppCannotTakeADomain(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	_, err := w.AddDomain(ctx, w.call, platform.DomainInput{App: "blog", Host: []string{"www.example.com"}})
	w.check(err)
	if _, err := w.Create(ctx, w.call, platform.CreateInput{App: "www"}); platform.KindOf(err) != platform.Conflict {
		t.Fatal(err)
	}
	if _, _, err := w.OpenPush(ctx, w.call.Actor, "www"); platform.KindOf(err) != platform.Conflict {
		t.Fatal(err)
	}
}

func TestLastAdminKeyStays(t *testing.T) {
	w := newWorld(t)
	line := "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL0CmK1cW2pNmaG6EpFLHHIRqC3uGzVkk5hU3pIBcXQz alice@laptop"
	_, err := w.AddKey(ctx, w.call, platform.AddKeyInput{Name: "alice", Admin: true, Key: strings.Fields(line)})
	w.check(err)
	if _, err := w.RemoveKey(ctx, w.call, platform.RemoveKeyInput{Name: "alice"}); platform.KindOf(err) != platform.Conflict {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-dss AAAAB3NzaC1kc3M=", "-----BEGIN"} {
		if _, _, err := platform.ParsePublicKey(bad); platform.KindOf(err) != platform.Usage {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzParsePublicKey(f *testing.F) {
	f.Add("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL0CmK1cW2pNmaG6EpFLHHIRqC3uGzVkk5hU3pIBcXQz x")
	f.Fuzz(func(t *testing.T, line string) {
		public, fingerprint, err := platform.ParsePublicKey(line)
		if err == nil && (len(strings.Fields(public)) != 2 || !strings.HasPrefix(fingerprint, "SHA256:")) {
			t.Fatalf("%q became %q and %q", line, public, fingerprint)
		}
	})
}

func TestStory(t *testing.T) {
	var out strings.Builder
	clock := time.Unix(0, 0)
	s := platform.NewStory(&out, func() time.Time { clock = clock.Add(1500 * time.Millisecond); return clock })
	s.Phase("Installing dependencies")
	w := s.Writer()
	_, _ = w.Write([]byte("10%\r100%\nadded "))
	_, _ = w.Write([]byte("3 packages"))
	_ = w.Close()
	s.Warn("no lockfile")
	s.Result("live")
	want := "-----> Installing dependencies\n       100%\n       added 3 packages\n !     no lockfile\n       done in 1.5s\n=====> live\n"
	if out.String() != want {
		t.Fatalf("told\n%s", out.String())
	}
}
