package platform_test

import (
	"strings"
	"testing"
	"time"

	"paas/platform"
)

// plainHash is a Hasher that shows what it was given.
type plainHash struct{}

func (plainHash) Hash(password []byte) (string, error) { return "hash of " + string(password), nil }
func (plainHash) Check(string) error                   { return nil }

func (w *world) route(app platform.AppName) platform.Route {
	w.table.mu.Lock()
	defer w.table.mu.Unlock()
	return w.table.routes[app]
}

func (w *world) set(words ...string) error {
	_, err := w.SetRouter(ctx, w.call, platform.RouterSetInput{Words: append([]string{"blog"}, words...)})
	return err
}

func TestRouterSettings(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	for _, words := range [][]string{
		{"balance", "sticky"}, {"concurrency=5", "queue=0", "queue-timeout=5s"}, {"slow-start", "0"}, {"drain", "5s"},
		{"client-max-body-size", "10m"}, {"proxy-read-timeout", "90s"}, {"idle-timeout", "2h"}, {"backend-protocol", "h2c"},
		{"access-log-format", "json"}, {"allow", "10.0.0.1", "192.168.7.7/16"}, {"rate-limit", "10/s"}, {"compression", "on"},
		{"client-header-timeout=5s", "keepalive-timeout=20s"},
	} {
		w.check(w.set(words...))
	}
	r := w.route("blog")
	want := platform.Traffic{
		Balance: platform.Sticky, Concurrency: 5, Queue: -1, QueueWait: 5 * time.Second, SlowStart: -1, FirstByte: 90 * time.Second,
		Idle: 2 * time.Hour, MaxBody: 10 << 20, H2C: true, Access: platform.AccessJSON,
	}
	if got := r.Traffic; got.Trusted != nil || got.Balance != want.Balance || got.Concurrency != want.Concurrency || got.Queue != want.Queue ||
		got.QueueWait != want.QueueWait || got.SlowStart != want.SlowStart || got.FirstByte != want.FirstByte || got.Idle != want.Idle ||
		got.MaxBody != want.MaxBody || got.HeadWait != 5*time.Second || got.KeepAlive != 20*time.Second || got.H2C != want.H2C || got.Access != want.Access {
		t.Errorf("traffic %+v", got)
	}
	e := r.Edge
	if len(e.Allow) != 2 || e.Allow[0].String() != "10.0.0.1/32" || e.Allow[1].String() != "192.168.0.0/16" || e.Compress != platform.CompressAny ||
		e.Rate != (platform.Allowance{Every: 100 * time.Millisecond, Burst: 10}) {
		t.Errorf("edge %+v", e)
	}
	w.check(w.set("rate-limit", "100/s"))
	w.check(w.set("allow"))
	if e = w.route("blog").Edge; e.Rate.Burst != 100 || e.Allow != nil {
		t.Errorf("after a change %+v", e)
	}
	for _, bad := range []string{
		"balance=fast", "queue=-1", "concurrency=x", "allow=10.0.0.1/33", "allow=::ffff:10.0.0.1/128", "allow=a", "rate-limit=10", "rate-limit=0/s",
		"rate-limit=1/d", "mirror=nope", "mirror=blog", "mirror-percent=101", "compression=br", "idle-timeout=9999999h", "nonsense=1", "max-head=9000",
	} {
		if err := w.set(bad); err == nil || platform.KindOf(err) == platform.Internal {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestRouterSettingsOfAll(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	all := func(words ...string) error {
		_, err := w.SetRouter(ctx, w.call, platform.RouterSetInput{Words: words, Global: true})
		return err
	}
	w.check(all("queue=7", "trusted-proxies=10.0.0.0/8", "max-head=65536", "http3-handshakes=0", "max-noise=500", "stall-timeout=90s", "max-unread=0",
		"max-chunk-line=512", "max-extensions=0", "max-trailer=16384", "max-answer-head=524288", "max-continued=64", "max-stream-window=262144", "max-window=8388608", "http3-window=131072", "linger=0", "max-linger=65536"))
	if r := w.route("blog"); r.Traffic.Queue != 7 {
		t.Errorf("queue %d", r.Traffic.Queue)
	}
	if in := w.table.intake; len(in.TrustedProxies) != 1 || in.MaxHead != 65536 || in.MaxFields != 100 || in.KeepAlive != 2*time.Minute ||
		in.Handshakes != -1 || in.MaxNoise != 500 || in.Stall != 90*time.Second || in.MaxUnread != -1 {
		t.Errorf("%+v", in)
	}
	if in := w.table.intake; in.MaxChunkLine != 512 || in.MaxExtensions != -1 || in.MaxTrailer != 16<<10 || in.MaxAnswerHead != 512<<10 ||
		in.MaxContinued != 64 || in.StreamWindow != 256<<10 || in.Window != 8<<20 || in.QUICWindow != 128<<10 || in.Linger != -1 || in.MaxLinger != 64<<10 {
		t.Errorf("framing: %+v", in)
	}
	w.check(w.set("queue", "9"))
	w.check(w.set("wake-queue", "0"))
	if r := w.route("blog"); r.Traffic.Queue != 9 || r.Traffic.WakeQueue != -1 {
		t.Errorf("own queue %d", r.Traffic.Queue)
	}
	w.call.Actor.Admin = false
	if err := all("queue=1"); platform.KindOf(err) != platform.Denied {
		t.Errorf("anybody: %v", err)
	}
}

func TestRedirectsAreChecked(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	add := func(from, to, code string) error {
		_, err := w.AddRedirect(ctx, w.call, platform.RedirectInput{App: "blog", From: from, To: to, Code: code})
		return err
	}
	for _, good := range [][2]string{
		{"www.example.com", "example.com"}, {"/old", "/new"}, {"/old/*", "/new/*"}, {"/a/*", "https://x.example.com/*"}, {"a.example.com/x", "/y?z=1"},
		{"/b/*", "x.example.com"}, {"/new/*", "/*"}, {"c.example.com", "https://c.example.com"}, {"/d", "https://x.example.com:8443/e"},
	} {
		if err := add(good[0], good[1], ""); err != nil {
			t.Errorf("%v: %v", good, err)
		}
	}
	for _, bad := range [][3]string{
		{"", "/x"}, {"/a", ""}, {"/a", "/a"}, {"/a/*", "/a/b/*"}, {"/a/*", "/b"}, {"/a", "/b/*"}, {"/a*", "/b*"}, {"/a*b", "/c"}, {"/a", "//evil.test"},
		{"/a", "ftp://x.example.com/"}, {"/a", "https://"}, {"/a?b", "/c"}, {"/a b", "/c"}, {"/a", "/c\r\nX: y"}, {"http://x.example.com/", "/y"},
		{"x.example.com", "x.example.com"}, {"x.example.com", "/y"}, {"/a", "/b", "200"}, {"/a", "/b", "301 /"}, {"/a", "x.example.com:99999/"},
	} {
		if err := add(bad[0], bad[1], bad[2]); platform.KindOf(err) != platform.Usage {
			t.Errorf("%v: %v", bad, err)
		}
	}
	if n := len(w.route("blog").Edge.Redirects); n != 9 {
		t.Errorf("%d redirects", n)
	}
}

func FuzzParseRedirect(f *testing.F) {
	f.Add("www.example.com/old/*", "https://example.com/new/*", "301")
	f.Add("/a", "/b?c=d", "308")
	f.Fuzz(func(t *testing.T, from, to, code string) {
		d, err := platform.ParseRedirect(from, to, code)
		if err != nil {
			return
		}
		if d.Path != "" && d.Path[0] != '/' || strings.ContainsAny(d.Path+d.To.Path+d.To.Host, " \r\n\x00\\\"<>") || strings.HasPrefix(d.To.Path, "//") {
			t.Fatalf("%q to %q: %+v", from, to, d)
		}
	})
}

func TestPathsLeadToProcesses(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve\nadmin: serve")
	_, err := w.Scale(ctx, w.call, platform.ScaleInput{App: "blog", Changes: []string{"admin=2"}})
	w.check(err)
	if n := w.table.backends("blog"); n != 1 {
		t.Fatalf("%d backends", n)
	}
	add := func(in platform.PathInput) error { in.App = "blog"; _, err := w.AddPath(ctx, w.call, in); return err }
	w.check(add(platform.PathInput{Prefix: "/admin/", Process: "admin", Strip: true}))
	r := w.route("blog")
	if len(r.Backends) != 3 || r.Backends[0].Pool == r.Backends[2].Pool || len(r.Edge.Paths) != 1 || r.Edge.Paths[0].Prefix != "/admin" {
		t.Fatalf("%+v", r)
	}
	if _, err := w.push("web: serve\nadmin: deaf"); platform.KindOf(err) != platform.Unhealthy || w.table.backends("blog") != 3 {
		t.Errorf("one that requests are led to and that does not listen: %v", err)
	}
	for _, bad := range []platform.PathInput{
		{Prefix: "api", To: "blog"}, {Prefix: "/api"}, {Prefix: "/api", To: "nope"}, {Prefix: "/api", To: "blog"}, {Prefix: "/a?b", Process: "admin"},
		{Prefix: "//x", Process: "admin"}, {Prefix: "/x", Process: "nope"}, {Prefix: "/x", To: "a", Process: "admin"},
	} {
		if err := add(bad); err == nil || platform.KindOf(err) == platform.Internal {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	_, err = w.RemovePath(ctx, w.call, platform.PathKey{App: "blog", Prefix: "/admin"})
	w.check(err)
	if n := w.table.backends("blog"); n != 1 {
		t.Errorf("%d backends", n)
	}
}

func TestPasswordsAndPages(t *testing.T) {
	w := newWorld(t)
	w.Hasher = plainHash{}
	w.mustPush("web: serve")
	call := w.call
	call.In = strings.NewReader("secret\r\nmore")
	_, err := w.AddUser(ctx, call, platform.UserInput{App: "blog", User: "alice"})
	w.check(err)
	call.In = strings.NewReader("<h1>soon</h1>")
	_, err = w.SetMaintenancePage(ctx, call, platform.MaintenanceInput{App: "blog"})
	w.check(err)
	_, err = w.MaintenanceOn(ctx, w.call, platform.AppInput{App: "blog"})
	w.check(err)
	e := w.route("blog").Edge
	if !e.Maintenance || len(e.Users) != 1 || e.Users[0] != (platform.Password{Name: "alice", Hash: "hash of secret"}) || string(e.Pages["maintenance"]) != "<h1>soon</h1>" {
		t.Errorf("%+v", e)
	}
	for _, bad := range []string{"", "a:b", "a\nb", strings.Repeat("x", 101)} {
		call.In = strings.NewReader("x")
		if _, err := w.AddUser(ctx, call, platform.UserInput{App: "blog", User: bad}); platform.KindOf(err) != platform.Usage {
			t.Errorf("%q: %v", bad, err)
		}
	}
	call.In = strings.NewReader(strings.Repeat("x", 256<<10+1))
	if _, err := w.SetPage(ctx, call, platform.PageInput{App: "blog", Page: "503"}); platform.KindOf(err) != platform.Usage {
		t.Errorf("a large page: %v", err)
	}
	if _, err := w.SetPage(ctx, call, platform.PageInput{App: "blog", Page: "404"}); platform.KindOf(err) != platform.Usage {
		t.Errorf("404: %v", err)
	}
	_, err = w.OpenToAll(ctx, w.call, platform.AppInput{App: "blog"})
	w.check(err)
	if e := w.route("blog").Edge; len(e.Users) != 0 {
		t.Errorf("%+v", e.Users)
	}
}

func (w *world) canary(percent, release string) error {
	_, err := w.StartCanary(ctx, w.call, platform.CanaryInput{App: "blog", Percent: percent, Release: release})
	return err
}

func TestCanaryOfAPush(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve\nworker: sleep")
	_, err := w.Scale(ctx, w.call, platform.ScaleInput{App: "blog", Changes: []string{"web=4", "worker=1"}})
	w.check(err)
	w.check(w.canary("30%", ""))
	if out := w.mustPush("web: serve # two\nworker: sleep"); !strings.Contains(out, "v2 is a canary") {
		t.Errorf("told\n%s", out)
	}
	if w.current() != 1 || w.running(1) != 5 || w.running(2) != 2 {
		t.Fatalf("v%d, %d and %d run", w.current(), w.running(1), w.running(2))
	}
	pools := map[platform.Pool]int{}
	for _, b := range w.route("blog").Backends {
		pools[b.Pool]++
	}
	if pools[platform.MainPool] != 4 || pools[platform.CanaryPool] != 2 {
		t.Fatalf("%v", pools)
	}
	if _, err := w.push("web: serve # three"); platform.KindOf(err) != platform.Conflict {
		t.Errorf("a third release: %v", err)
	}
	w.Close()
	w.boot()
	if r := w.route("blog"); len(r.Backends) != 6 || r.Edge.Canary.Release != 2 {
		t.Fatalf("the successor routes %+v", r)
	}
	_, err = w.PromoteCanary(ctx, w.call, platform.AppInput{App: "blog"})
	w.check(err)
	w.eventually("v2 alone runs", func() bool { return w.running(1) == 0 && w.running(2) == 5 })
	if r := w.route("blog"); w.current() != 2 || len(r.Backends) != 4 || r.Backends[0].Pool != platform.MainPool || r.Edge.Canary.Release != 0 {
		t.Fatalf("v%d, %+v", w.current(), r)
	}
	got, err := w.Store.Release(ctx, "blog", 2)
	w.check(err)
	if got.Status != platform.Live {
		t.Errorf("v2 is %s", got.Status)
	}
}

func TestCanaryThatFails(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	w.check(w.canary("10", ""))
	if _, err := w.push("web: exit 3"); platform.KindOf(err) != platform.Unhealthy {
		t.Fatal(err)
	}
	if w.current() != 1 || w.running(1) != 1 || w.running(2) != 0 || len(w.route("blog").Backends) != 1 {
		t.Fatal("the current release noticed")
	}
	w.mustPush("web: serve # three") // still armed
	_, err := w.AbortCanary(ctx, w.call, platform.AppInput{App: "blog"})
	w.check(err)
	w.eventually("v1 alone runs", func() bool { return w.running(1) == 1 && w.running(3) == 0 })
	if r := w.route("blog"); len(r.Backends) != 1 || r.Edge.Canary.Release != 0 {
		t.Errorf("%+v", r)
	}
	got, err := w.Store.Release(ctx, "blog", 3)
	w.check(err)
	if got.Status != platform.Broken || w.current() != 1 {
		t.Errorf("v3 is %s, v%d serves", got.Status, w.current())
	}
	w.mustPush("web: serve # four") // and no more
	if w.current() != 4 {
		t.Errorf("v%d serves", w.current())
	}
}

func TestCanaryOfAnOlderRelease(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	w.mustPush("web: serve # two")
	w.eventually("v2 alone", func() bool { return w.running(1) == 0 })
	for release, kind := range map[string]platform.Kind{"v2": platform.Conflict, "v9": platform.NotFound, "x": platform.Usage} {
		if err := w.canary("10%", release); platform.KindOf(err) != kind {
			t.Errorf("%s: %v", release, err)
		}
	}
	for _, percent := range []string{"0", "101%", "x", "-1"} {
		if err := w.canary(percent, "v1"); platform.KindOf(err) != platform.Usage {
			t.Errorf("%s: %v", percent, err)
		}
	}
	w.check(w.canary("10%", "v1"))
	list, _ := w.host.Instances(ctx)
	for _, i := range list {
		if i.Release == 1 {
			w.host.end(i.ID, 1) // it crashes, and comes back as any other
		}
	}
	w.eventually("the canary is back", func() bool { return w.running(1) == 1 && len(w.route("blog").Backends) == 2 })
	_, err := w.PromoteCanary(ctx, w.call, platform.AppInput{App: "blog"})
	w.check(err)
	if w.current() != 3 {
		t.Errorf("v%d serves", w.current())
	}
	w.eventually("v3 alone", func() bool { return w.running(1) == 0 && w.running(2) == 0 && w.running(3) == 1 })
}

// Rules may be what guards an app: one whose rules cannot be read must not be open to everybody.
func TestUnreadableRulesOpenNothing(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	w.check(w.set("deny", "10.0.0.0/8"))
	_, err := w.Create(ctx, w.call, platform.CreateInput{App: "other"})
	w.check(err)
	for _, app := range []platform.AppName{"blog", "other"} {
		w.check(w.Store.ChangeEdgeRules(ctx, app, []platform.EdgeRule{{Kind: platform.RedirectRule, Key: "/x", Value: "of a later version"}}))
	}
	_, err = w.AddDomain(ctx, w.call, platform.DomainInput{App: "blog", Host: []string{"www.example.org"}})
	w.check(err)
	if e := w.route("blog").Edge; len(e.Deny) != 1 {
		t.Errorf("%+v", e)
	}
	w.pushTo("other", "web: serve")
	if e := w.route("other").Edge; !e.Maintenance {
		t.Errorf("%+v", e)
	}
}
