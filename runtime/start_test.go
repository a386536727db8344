package runtime

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"paas/platform"
)

func TestInstanceServes(t *testing.T) {
	b := newBench(t)
	i := b.start(`echo "$GREETING from $DYNO" > index.html; exec httpd -f -p "$PORT"`)
	eventually(t, "it answers", func() bool {
		r, err := http.Get("http://" + i.Addr.String() + "/index.html")
		if err != nil {
			return false
		}
		defer func() { _ = r.Body.Close() }()
		body, err := io.ReadAll(r.Body)
		return err == nil && strings.TrimSpace(string(body)) == "hi from web.1"
	})
	listening, err := b.Listening(i.ID)
	check(t, err)
	if len(listening) != 1 || listening[0].Port() != i.Addr.Port() {
		t.Errorf("it listens on %v, want port %d", listening, i.Addr.Port())
	}
	all, err := b.Instances(context.Background())
	check(t, err)
	if len(all) != 1 || all[0].ID != i.ID || all[0].Exit != nil || all[0].Release != 3 || all[0].Epoch != 1 {
		t.Errorf("instances: %+v", all)
	}
	check(t, b.Stop(context.Background(), i.ID, 0))
	check(t, b.Stop(context.Background(), i.ID, 0))
	all, err = b.Instances(context.Background())
	check(t, err)
	equal(t, "instances after stop", len(all), 0)
}

func TestExitStatus(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct {
		script string
		want   platform.Exit
	}{
		{"exit 0", platform.Exit{}},
		{"exit 42", platform.Exit{Code: 42}},
		{"kill -KILL $$", platform.Exit{Code: 137, Signal: "SIGKILL"}},
		{"kill -TERM $$", platform.Exit{Code: 143, Signal: "SIGTERM"}},
	} {
		i := b.start(c.script)
		got := b.ends()
		equal(t, "id", got.ID, i.ID)
		if got.Exit == nil || got.Exit.Code != c.want.Code || got.Exit.Signal != c.want.Signal || got.Exit.OOM || got.Exit.Lost {
			t.Errorf("%s: %+v", c.script, got.Exit)
		}
		check(t, b.Stop(context.Background(), i.ID, 0))
	}
}

func TestStartFails(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	missing := spec("")
	missing.Command = []string{"nothing-like-it"}
	noLayer := spec("")
	noLayer.Image.Layers = []string{"nowhere"}
	noCommand := spec("")
	noCommand.Command = nil
	badDir := spec("")
	badDir.Image.WorkDir = "/proc/self/fd/9"
	badUser := spec("")
	badUser.Image.UID = 1 << 20
	notProgram := spec("")
	notProgram.Command = []string{"/etc/passwd"}
	for _, c := range []struct {
		what string
		spec platform.InstanceSpec
		kind platform.Kind
		say  string
	}{
		{"no such program", missing, platform.Failed, "nothing-like-it: no such file"},
		{"not a program", notProgram, platform.Failed, "permission denied"},
		{"no layer", noLayer, platform.NotFound, "nowhere"},
		{"no command", noCommand, platform.Usage, "no command"},
		{"work in proc", badDir, platform.Failed, "/proc"},
		{"user out of range", badUser, platform.Failed, "do not exist"},
	} {
		_, err := b.Start(ctx, c.spec)
		if err == nil || platform.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: %v (kind %d)", c.what, err, platform.KindOf(err))
		}
	}
	all, err := b.Instances(ctx)
	check(t, err)
	equal(t, "instances", len(all), 0)
	equal(t, "directories", b.directories(), 0)
	equal(t, "groups", b.used(appsGroup), 0)
}

func TestCancelledStart(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := b.Start(ctx, spec("sleep 100")); err == nil {
		t.Error("it started")
	}
	equal(t, "directories", b.directories(), 0)
}

func TestManyAtOnce(t *testing.T) {
	b := newBench(t)
	const n = 12
	results := make(chan error, n)
	for i := range n {
		go func() {
			s := spec("exec sleep 100")
			s.Number = i
			_, err := b.Start(context.Background(), s)
			results <- err
		}()
	}
	for range n {
		check(t, <-results)
	}
	all, err := b.Instances(context.Background())
	check(t, err)
	equal(t, "instances", len(all), n)
	seen := make(map[string]bool)
	for _, i := range all {
		seen[fmt.Sprint(i.Addr)] = true
	}
	equal(t, "different addresses", len(seen), n)
}
