package platform_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"paas/platform"
	"paas/runtime/logbook"
	"paas/store"
)

// library is a platform with an app and its log, and nothing else.
func library(t *testing.T) (p *platform.Platform, book *logbook.Book, now time.Time) {
	t.Helper()
	ctx, dir := context.Background(), t.TempDir()
	s, err := store.Open(ctx, filepath.Join(dir, "paas.db"))
	if err != nil {
		t.Fatal(err)
	}
	book, err = logbook.Open(logbook.Options{Dir: filepath.Join(dir, "logbook"), Rings: filepath.Join(dir, "logs")})
	if err != nil {
		t.Fatal(err)
	}
	now = time.Now()
	p = platform.New(platform.Rooms{Store: s, Logbook: book, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }}, platform.Settings{})
	if _, err := s.CreateAppFor(ctx, "blog", ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Close()
		_, _ = book.Close(), s.Close()
	})
	return p, book, now
}

func logOf(t *testing.T, p *platform.Platform, in platform.LogsInput) string {
	t.Helper()
	var out bytes.Buffer
	in.App = "blog"
	if _, err := p.Logs(context.Background(), platform.Call{Out: &out, Err: io.Discard}, in); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestLogForms(t *testing.T) {
	p, book, _ := library(t)
	at := time.Now().Add(-time.Hour).Truncate(time.Microsecond).UTC()
	list := []platform.LogEntry{
		{At: at, Source: platform.LogApp, Process: "web.1", Release: 3, Level: platform.LogInfo, Stream: "stdout", Text: "\x1b[31mred\x1b[0m\tü\x1b[2J\xff\x00\r"},
		{At: at, Source: platform.LogBuild, Process: "build.7", Text: "-----> <built>"},
		{At: at, Source: platform.LogRelease, Process: "release.1", Release: 3, Text: "migrated"},
		{At: at, Source: platform.LogRouter, Process: "router", Text: "at=info"},
		{At: at, Source: platform.LogPlatform, Text: "scaled"},
		{At: at, Source: platform.LogCron, Process: "cron.5", Text: "ran"},
		{At: at, Source: platform.LogApp, Gap: 1204, Text: "gap: 1,204 lines dropped"},
	}
	if err := book.Append("blog", list); err != nil {
		t.Fatal(err)
	}
	stamp := at.Format("2006-01-02T15:04:05.000000Z ")
	want := []string{
		"app[web.1]: \x1b[31mred\x1b[0m\tü\\x1b[2J\\xff\\x00", "build[7]: -----> <built>", "release[v3]: migrated", "paas[router]: at=info",
		"paas[app]: scaled", "cron[5]: ran",
	}
	gap := "— gap: 1,204 lines dropped —\n"
	if got := logOf(t, p, platform.LogsInput{}); got != stamp+strings.Join(want, "\n"+stamp)+"\n"+gap {
		t.Errorf("full:\n%s", got)
	}
	if got := logOf(t, p, platform.LogsInput{NoTime: true}); got != strings.Join(want, "\n")+"\n"+gap {
		t.Errorf("-T:\n%s", got)
	}
	if got := logOf(t, p, platform.LogsInput{Quiet: true, Source: []string{"build"}}); got != "-----> <built>\n" {
		t.Errorf("-q: %s", got)
	}
	if got := logOf(t, p, platform.LogsInput{JSON: true, Lines: "1"}); !strings.Contains(got, `"source":"app","level":"debug","gap":1204,"text":"gap: 1,204 lines dropped"}`) {
		t.Errorf("--json: %s", got)
	}
	if got := logOf(t, p, platform.LogsInput{JSON: true, Source: []string{"build"}}); !strings.Contains(got, `"text":"-----> <built>"`) {
		t.Errorf("--json: %s", got)
	}
}

func TestLogTimes(t *testing.T) {
	p, book, now := library(t)
	for _, ago := range []time.Duration{50 * time.Hour, 3 * time.Hour, 5 * time.Minute} {
		if err := book.Append("blog", []platform.LogEntry{{At: now.Add(-ago), Text: ago.String()}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		since, until string
		want         int
	}{
		{"", "", 3}, {"10m", "", 1}, {"2d", "", 2}, {"1w", "2h", 2}, {"", "2d", 1}, {"4h", "1h", 1},
		{now.Add(-4 * time.Hour).UTC().Format(time.RFC3339), "", 2}, {"2001-01-01", "", 3}, {"", "2001-01-01 10:00", 0},
	} {
		got := logOf(t, p, platform.LogsInput{Since: c.since, Until: c.until})
		if strings.Count(got, "\n") != c.want {
			t.Errorf("since %q until %q:\n%s", c.since, c.until, got)
		}
	}
}

func TestLogWordsThatDoNotFit(t *testing.T) {
	p, _, _ := library(t)
	for _, in := range []platform.LogsInput{
		{Lines: "-1"}, {Lines: "x"}, {Since: "soon"}, {Until: "-5m"}, {Since: "1h", Until: "2h"}, {Level: "loud"}, {Release: "v0"}, {Deploy: "x"},
		{Source: []string{"app,moon"}}, {Grep: "("}, {Grep: strings.Repeat("x", 1001)}, {FormatAs: "long"},
	} {
		in.App = "blog"
		_, err := p.Logs(context.Background(), platform.Call{Out: io.Discard}, in)
		if platform.KindOf(err) != platform.Usage {
			t.Errorf("%+v: %v", in, err)
		}
	}
	for _, words := range [][]string{{"blog", "age=1s"}, {"blog", "size=1"}, {"blog", "rate=-5"}, {"blog", "format=x"}, {"blog", "budget=1g"}, {"blog", "x=1"}, {"age=1d"}, {}} {
		_, err := p.SetLogs(context.Background(), platform.Call{Actor: platform.Actor{Admin: true}}, platform.LogSetInput{Words: words})
		if platform.KindOf(err) != platform.Usage {
			t.Errorf("%q: %v", words, err)
		}
	}
}

func TestLogSettings(t *testing.T) {
	p, book, _ := library(t)
	ctx, admin := context.Background(), platform.Call{Actor: platform.Actor{Name: "alice", Admin: true}}
	set := func(global bool, words ...string) platform.LogReport {
		r, err := p.SetLogs(ctx, admin, platform.LogSetInput{Words: words, Global: global})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	set(true, "age=3d", "budget=1g")
	set(false, "blog", "max-size", "10m")
	set(false, "blog", "rate=off")
	if b := book.Bounds("blog"); b.Age != 72*time.Hour || b.Bytes != 10<<20 || b.Rate != -1 || book.Budget() != 1<<30 {
		t.Errorf("%+v, %d", b, book.Budget())
	}
	set(false, "blog", "rate")
	r := set(false, "blog", "age=clear")
	if r.Settings[0].Source != "global" || r.Settings[2].Source != "default" || r.Settings[2].Value != "5000/s" || r.Settings[1].Value != "10 MiB" {
		t.Errorf("%+v", r.Settings)
	}
	if _, err := p.SetLogs(ctx, platform.Call{}, platform.LogSetInput{Words: []string{"age=1d"}, Global: true}); platform.KindOf(err) != platform.Denied {
		t.Errorf("global settings of somebody: %v", err)
	}
}

// recorder is a Drainer that only remembers.
type recorder struct{ told []string }

func (r *recorder) Check(context.Context, platform.LogDrain) error { return nil }
func (r *recorder) Open(d platform.LogDrain) error {
	r.told = append(r.told, "open "+string(d.App))
	return nil
}
func (r *recorder) Pause(int64) { r.told = append(r.told, "pause") }
func (r *recorder) Close(app platform.AppName, _ int64) {
	r.told = append(r.told, "close "+string(app))
}
func (r *recorder) Status(int64) platform.DrainStatus { return platform.DrainStatus{} }

// The log of a renamed app goes on being sent, and that of another app with a destroyed one's name is not.
func TestDrainsFollowTheApp(t *testing.T) {
	_, book, _ := library(t)
	w, r := newWorld(t), &recorder{}
	w.Logbook, w.Drainer = book, r
	w.mustPush("web: serve")
	ctx := context.Background()
	if _, err := w.AddLogDrain(ctx, w.call, platform.DrainInput{App: "blog", URL: "https://logs.example.com/in"}); err != nil {
		t.Fatal(err)
	}
	if err := w.RenameLog(ctx, "other", "blog"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Destroy(ctx, w.call, platform.DestroyInput{App: "blog", Confirm: "blog"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.EmptyTrash(ctx, w.call, platform.EmptyInput{What: "blog", Confirm: "blog"}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(r.told, ", "); got != "open blog, pause, open blog, pause, open blog_trash1, close blog_trash1" {
		t.Errorf("the drainer was told %s", got)
	}
}
