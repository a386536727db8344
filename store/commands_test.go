package store_test

import (
	"context"
	"database/sql"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"paas/platform"
	"paas/store"
)

// command has f do something as a command, and gives the event of that.
func command(t *testing.T, s *store.Store, f func(ctx context.Context)) platform.Event {
	t.Helper()
	p := platform.New(platform.Rooms{Store: s, Log: slog.New(slog.DiscardHandler)}, platform.Settings{})
	t.Cleanup(p.Close)
	ctx := context.Background()
	entry := must(p.Begin(ctx, platform.Actor{Name: "alice", Door: platform.DoorSSH}, "blog", "try"))(t)
	f(entry.Within(ctx))
	entry.End(nil)
	events := must(s.Events(ctx, platform.EventQuery{Last: 1}))(t)
	return events[0]
}

func told(e platform.Event) string {
	var lines []string
	for _, c := range e.Changes {
		lines = append(lines, c.String())
	}
	return strings.Join(lines, "\n")
}

func wantChanges(t *testing.T, e platform.Event, lines ...string) {
	t.Helper()
	if got := told(e); got != strings.Join(lines, "\n") {
		t.Errorf("changes:\n%s\nwant:\n%s", got, strings.Join(lines, "\n"))
	}
}

// What a command writes is told as old and new, without secrets, and what comes to nothing is not.
func TestCommandsTellWhatTheyChanged(t *testing.T) {
	s := fresh(t)
	ctx := context.Background()
	e := command(t, s, func(ctx context.Context) { must(s.CreateAppFor(ctx, "blog", ""))(t) })
	wantChanges(t, e, "app: none → blog")
	ok(t, s.SetFormation(ctx, "blog", platform.Formation{"web": 1}))
	e = command(t, s, func(ctx context.Context) {
		ok(t, s.SetFormation(ctx, "blog", platform.Formation{"web": 3}))
		ok(t, s.SetConfig(ctx, "blog", platform.Config{"COLOR": "red", "EMPTY": ""}))
		ok(t, s.SetStopped(ctx, "blog", true))
		ok(t, s.SetStopped(ctx, "blog", false))
		ok(t, s.AddDomain(ctx, "blog", "www.example.org"))
	})
	wantChanges(t, e, "scale web: 1 → 3", "config COLOR: none → ********", "config EMPTY: none → ********", "domain www.example.org: none → blog")
	e = command(t, s, func(ctx context.Context) {
		ok(t, s.SetConfig(ctx, "blog", platform.Config{"COLOR": "blue", "EMPTY": ""}))
	})
	wantChanges(t, e, "config COLOR: ******** → ********")
	e = command(t, s, func(ctx context.Context) {
		ok(t, s.ChangeEdgeRules(ctx, "blog", []platform.EdgeRule{{Kind: platform.UserRule, Key: "bob", Value: "$2y$hash"}}))
		ok(t, s.ChangeEdgeRules(ctx, "blog", []platform.EdgeRule{{Kind: platform.RedirectRule, Key: "/a", Value: "301 /b"}}))
	})
	wantChanges(t, e, "user bob: none → ********", "redirect /a: none → 301 /b")
	e = command(t, s, func(ctx context.Context) { // INSERT OR REPLACE
		ok(t, s.ChangeEdgeRules(ctx, "blog", []platform.EdgeRule{{Kind: platform.RedirectRule, Key: "/a", Value: "301 /c"}}))
	})
	wantChanges(t, e, "redirect /a: 301 /b → 301 /c")
	e = command(t, s, func(ctx context.Context) {
		ok(t, s.SetConfig(ctx, "blog", platform.Config{"COLOR": "blue", "EMPTY": ""}))
		ok(t, s.SetFormation(ctx, "blog", platform.Formation{"web": 3}))
	})
	wantChanges(t, e)
}

// A release is told by what makes it of the one before, when it is live; one that fails changed nothing.
func TestReleasesTellWhatTheyChanged(t *testing.T) {
	s := fresh(t)
	ctx := context.Background()
	must(s.CreateAppFor(ctx, "blog", ""))(t)
	release := func(ctx context.Context, image string, c platform.Config) int {
		r := platform.Release{App: "blog", Image: platform.Image{ID: image}, Config: c}
		return must(s.AddRelease(ctx, r))(t).Number
	}
	e := command(t, s, func(ctx context.Context) {
		ok(t, s.SetCurrent(ctx, "blog", release(ctx, "one", platform.Config{"A": "1"})))
	})
	wantChanges(t, e, "config A: none → ********", "release: none → v1", "image: none → one")
	e = command(t, s, func(ctx context.Context) {
		ok(t, s.FailRelease(ctx, "blog", release(ctx, "two", platform.Config{"A": "2"})))
	})
	wantChanges(t, e)
	e = command(t, s, func(ctx context.Context) {
		ok(t, s.SetCurrent(ctx, "blog", release(ctx, "two", platform.Config{"A": "2", "B": "3"})))
	})
	wantChanges(t, e, "release: v1 → v3", "image: one → two", "config A: ******** → ********", "config B: none → ********")
}

// A thing that goes to the trash keeps its name in the audit.
func TestTrashTellsWhatItTook(t *testing.T) {
	s := fresh(t)
	ctx := context.Background()
	must(s.CreateAppFor(ctx, "blog", ""))(t)
	ok(t, s.AddDomain(ctx, "blog", "www.example.org"))
	var lies platform.Trashed
	e := command(t, s, func(ctx context.Context) {
		lies = must(s.TrashApp(ctx, "blog", platform.Trashed{Kind: platform.TrashedApp, Name: "blog"}))(t)
	})
	wantChanges(t, e, "trash 1: none → app blog", "app: blog → in the trash", "domain www.example.org: blog → none")
	e = command(t, s, func(ctx context.Context) { must(s.RestoreApp(ctx, lies, "blog"))(t) })
	if got := told(e); !strings.Contains(got, "app: in the trash → blog") {
		t.Error(got)
	}
}

// One command leaves no more than some dozens of bounded lines.
func TestChangesAreBounded(t *testing.T) {
	s := fresh(t)
	must(s.CreateAppFor(context.Background(), "blog", ""))(t)
	many := platform.Config{}
	for i := range 200 {
		many["K"+strings.Repeat("x", 300)+string(rune('A'+i%26))+string(rune('A'+i/26))] = "v"
	}
	e := command(t, s, func(ctx context.Context) { ok(t, s.SetConfig(ctx, "blog", many)) })
	if last := e.Changes[len(e.Changes)-1]; len(e.Changes) != 51 || last.New != "150" || len(told(e)) > 51*500 {
		t.Errorf("%d changes, the last of them %s, %d bytes", len(e.Changes), last, len(told(e)))
	}
}

// What a crash cut off tells what it had changed until then.
func TestCutCommandTellsItsChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "paas.db")
	s, ctx := open(t, path), context.Background()
	must(s.CreateAppFor(ctx, "blog", ""))(t)
	p := platform.New(platform.Rooms{Store: s, Log: slog.New(slog.DiscardHandler)}, platform.Settings{})
	t.Cleanup(p.Close)
	entry := must(p.Begin(ctx, platform.Actor{Name: "alice"}, "blog", "ps:stop blog"))(t)
	ok(t, s.SetStopped(entry.Within(ctx), "blog", true))
	s = open(t, path)
	must(s.CutCommands(ctx))(t)
	e := must(s.Events(ctx, platform.EventQuery{Last: 1}))(t)[0]
	if e.Outcome != "cut off" || told(e) != "stopped: none → yes" {
		t.Errorf("%s: %s", e.Outcome, told(e))
	}
}

// Whoever adds a table decides whether the audit tells of it: see watchedRows.
func TestEveryTableIsWatchedOrNot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "paas.db")
	open(t, path)
	db := must(sql.Open("sqlite3", path))(t)
	t.Cleanup(func() { _ = db.Close() })
	rows := must(db.Query("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"))(t)
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var name string
		ok(t, rows.Scan(&name))
		if !store.Decided(name) {
			t.Errorf("the table %s is neither in watchedRows nor in unwatched, in store/watched.go", name)
		}
	}
	ok(t, rows.Err())
}

// A change of who may come in, and do what, is told with what it changed by the transaction that makes it: a crash between
// the two would hide it.
func TestCutCommandTellsOfPeople(t *testing.T) {
	path := filepath.Join(t.TempDir(), "paas.db")
	s, ctx := open(t, path), context.Background()
	must(s.CreateAppFor(ctx, "blog", ""))(t)
	ok(t, s.AddKey(ctx, platform.Key{Name: "alice", Fingerprint: "SHA256:1", Public: "x", Admin: true}))
	e := command(t, s, func(ctx context.Context) {
		ok(t, s.AddKey(ctx, platform.Key{Name: "laptop", User: "bob", Fingerprint: "SHA256:2", Public: "y"}))
		ok(t, s.SetRole(ctx, platform.Member{App: "blog", User: "bob", Role: platform.OperateRole}))
		ok(t, s.AddToken(ctx, platform.Token{User: "bob", Name: "ci", Hash: "1", Scopes: []platform.Scope{platform.ScopeAppsRead}}, 9))
	})
	wantChanges(t, e, "user bob: none → member", "key laptop of bob: none → SHA256:2", "bob on blog: none → operate", "token ci of bob: none → apps:read")
	e = command(t, s, func(ctx context.Context) {
		ok(t, s.TokenUsed(ctx, must(s.Tokens(ctx))(t)[0].ID, time.Now(), "::1"))
		ok(t, s.SetUser(ctx, platform.User{Name: "bob", Creates: true}))
		ok(t, s.SetRole(ctx, platform.Member{App: "blog", User: "bob", Role: platform.ViewRole}))
	})
	wantChanges(t, e, "user bob: member → creates apps", "bob on blog: operate → view")

	p := platform.New(platform.Rooms{Store: s, Log: slog.New(slog.DiscardHandler)}, platform.Settings{})
	t.Cleanup(p.Close)
	entry := must(p.Begin(ctx, platform.Actor{Name: "alice"}, "", "users:remove bob"))(t)
	ok(t, s.RemoveUser(entry.Within(ctx), "bob"))
	s = open(t, path)
	must(s.CutCommands(ctx))(t)
	e = must(s.Events(ctx, platform.EventQuery{Last: 1}))(t)[0]
	if e.Outcome != "cut off" {
		t.Error(e.Outcome)
	}
	wantChanges(t, e, "bob on blog: view → none", "token ci of bob: apps:read → none", "key laptop of bob: SHA256:2 → none", "user bob: creates apps → none")

	for role := platform.ViewRole; role <= platform.OwnerRole; role++ { // the SQL has the same words
		e = command(t, s, func(ctx context.Context) {
			ok(t, s.SetRole(ctx, platform.Member{App: "blog", User: "alice", Role: role}))
		})
		if got := told(e); !strings.HasSuffix(got, "→ "+role.String()) {
			t.Errorf("%s: %s", role, got)
		}
	}
	must(s.TrashApp(ctx, "blog", platform.Trashed{Kind: platform.TrashedApp, Name: "blog"}))(t)
	command(t, s, func(ctx context.Context) { ok(t, s.DestroyApp(ctx, platform.TrashName[platform.AppName]("blog", 1))) })
}
