package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"paas/platform"
)

func TestUsersKeysAndRoles(t *testing.T) {
	s, ctx := fresh(t), context.Background()
	must(s.CreateAppFor(ctx, "blog", ""))(t)
	ok(t, s.AddKey(ctx, platform.Key{Name: "alice", Fingerprint: "SHA256:1", Public: "x", Admin: true}))
	ok(t, s.AddKey(ctx, platform.Key{Name: "laptop", User: "alice", Fingerprint: "SHA256:2", Public: "y"}))
	ok(t, s.AddUser(ctx, platform.User{Name: "bob", Creates: true}))
	wantKind(t, s.AddUser(ctx, platform.User{Name: "bob"}), platform.Conflict)
	if k := must(s.KeyByFingerprint(ctx, "SHA256:2"))(t); k.User != "alice" || !k.Admin {
		t.Errorf("%+v", k)
	}
	ok(t, s.SetRole(ctx, platform.Member{App: "blog", User: "bob", Role: platform.DeployRole, GivenBy: "alice"}))
	ok(t, s.SetRole(ctx, platform.Member{App: "blog", User: "bob", Role: platform.ViewRole, GivenBy: "alice"}))
	wantKind(t, s.SetRole(ctx, platform.Member{App: "blog", User: "carol", Role: platform.ViewRole}), platform.NotFound)
	wantKind(t, s.SetRole(ctx, platform.Member{App: "nope", User: "bob", Role: platform.ViewRole}), platform.NotFound)
	wantKind(t, s.SetRole(ctx, platform.Member{App: "blog", User: "alice"}), platform.NotFound)
	if there, role, err := s.RoleOf(ctx, "bob", "blog"); !there || role != platform.ViewRole || err != nil {
		t.Error(there, role, err)
	}
	if there, role, err := s.RoleOf(ctx, "alice", "blog"); !there || role != platform.NoRole || err != nil {
		t.Error(there, role, err)
	}
	if there, _, err := s.RoleOf(ctx, "bob", "nope"); there || err != nil {
		t.Error(there, err)
	}
	must(s.CreateAppFor(ctx, "shop", "bob"))(t)
	if roles := must(s.RolesOfUser(ctx, "bob"))(t); len(roles) != 2 || roles["shop"] != platform.OwnerRole {
		t.Error(roles)
	}
	ok(t, s.AddToken(ctx, platform.Token{User: "bob", Name: "ci", Hash: "1"}, 9))
	ok(t, s.RemoveUser(ctx, "bob"))
	if members := must(s.Members(ctx))(t); len(members) != 0 {
		t.Error(members)
	}
	if _, err := s.TokenByHash(ctx, "1"); platform.KindOf(err) != platform.NotFound {
		t.Error("a token outlived its user:", err)
	}
}

// Nobody can shut all admins out, by whichever way.
func TestLastAdminStays(t *testing.T) {
	s, ctx := fresh(t), context.Background()
	ok(t, s.AddUser(ctx, platform.User{Name: "keyless", Admin: true}))
	ok(t, s.AddKey(ctx, platform.Key{Name: "alice", Fingerprint: "SHA256:1", Public: "x", Admin: true}))
	wantKind(t, s.RemoveKey(ctx, "alice"), platform.Conflict)
	wantKind(t, s.RemoveUser(ctx, "alice"), platform.Conflict)
	wantKind(t, s.SetUser(ctx, platform.User{Name: "alice"}), platform.Conflict)
	ok(t, s.AddKey(ctx, platform.Key{Name: "new", User: "alice", Fingerprint: "SHA256:2", Public: "y"}))
	ok(t, s.AddToken(ctx, platform.Token{User: "alice", Name: "old", Hash: "1", MadeWith: "SHA256:1"}, 9))
	ok(t, s.AddToken(ctx, platform.Token{User: "alice", Name: "kept", Hash: "2", MadeWith: "SHA256:2"}, 9))
	ok(t, s.RemoveKey(ctx, "SHA256:1"))
	if tokens := must(s.Tokens(ctx))(t); len(tokens) != 1 || tokens[0].Name != "kept" {
		t.Errorf("a key's tokens go with it: %+v", tokens)
	}
}

// What keys and tokens could do before there were users, they can do afterwards.
func TestKeysBecomeUsers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "paas.db")
	db := must(sql.Open("sqlite3", path))(t)
	names := must(filepath.Glob("migrations/*.sql"))(t)
	before := slices.IndexFunc(names, func(n string) bool { return filepath.Base(n) == "0015_people.sql" })
	for _, name := range names[:before] {
		must(db.Exec(string(must(os.ReadFile(name))(t))))(t)
	}
	must(db.Exec(fmt.Sprintf("PRAGMA user_version = %d", before)))(t)
	must(db.Exec(`
		INSERT INTO apps (name, created_at) VALUES ('blog', 1), ('shop', 2);
		INSERT INTO keys VALUES ('alice', 'SHA256:1', 'x', 1, 1), ('bob', 'SHA256:2', 'y', 0, 2), ('root', 'SHA256:3', 'z', 0, 3);
		INSERT INTO tokens VALUES ('ci', 'h1', NULL, 0, NULL, 1), ('look', 'h2', 2, 1, 99, 1);
		INSERT INTO events (at, kind, app, process, instance, release, actor, text) VALUES (1, 'scaled', 'blog', '', '', 0, 'bob', 'x')`))(t)
	ok(t, db.Close())
	s, ctx := open(t, path), context.Background()
	defer func() { ok(t, s.Close()) }()
	if k := must(s.KeyByFingerprint(ctx, "SHA256:2"))(t); k.User != "bob" || k.Name != "bob" || k.Admin || k.Creates {
		t.Errorf("%+v", k)
	}
	if roles := must(s.RolesOfUser(ctx, "bob"))(t); len(roles) != 2 || roles["shop"] != platform.ManageRole {
		t.Error(roles)
	}
	if k := must(s.KeyByFingerprint(ctx, "SHA256:3"))(t); k.User != "root-key" || k.Name != "root" {
		t.Errorf("%+v", k)
	}
	if t1 := must(s.TokenByHash(ctx, "h1"))(t); t1.User != platform.Root || !t1.OfAdmin || t1.Limited || len(t1.Scopes) != 2 {
		t.Errorf("%+v", t1)
	}
	if t2 := must(s.TokenByHash(ctx, "h2"))(t); !t2.Limited || t2.Apps[0] != "shop" || t2.ExpiresAt.IsZero() {
		t.Errorf("%+v", t2)
	}
	if e := must(s.Events(ctx, platform.EventQuery{}))(t); len(e) != 1 || e[0].Class != platform.Deed {
		t.Errorf("%+v", e)
	}
}

// Noise pushes no audit out; a command that a crash cut off is in it.
func TestAuditIsKept(t *testing.T) {
	s, ctx := fresh(t), context.Background()
	app := must(s.CreateAppFor(ctx, "blog", ""))(t)
	begun := platform.Event{At: time.Now(), Kind: platform.EventCommand, App: "blog", Actor: "alice", Text: "ps:scale blog web=3"}
	begun.Request, begun.Door = "r1", platform.DoorSSH
	ok(t, s.BeginCommand(ctx, begun))
	other := begun
	other.Request = "r2"
	ok(t, s.BeginCommand(ctx, other))
	ended := begun
	ended.Class, ended.Outcome, ended.Changes = platform.Deed, "ok", []platform.Alteration{{What: "web", Old: "1", New: "3"}}
	ok(t, s.AddEvents(ctx, []platform.Event{ended}))
	noise := make([]platform.Event, 21_000)
	for n := range noise {
		noise[n] = platform.Event{At: time.Now(), Kind: platform.EventExited, App: "blog", Text: "x"}
	}
	ok(t, s.AddEvents(ctx, noise))
	must(s.CutCommands(ctx))(t)
	must(s.CutCommands(ctx))(t)
	got := must(s.Events(ctx, platform.EventQuery{Kind: platform.EventCommand, Actor: "alice"}))(t)
	if len(got) != 2 || got[0].Outcome != "ok" || got[0].Changes[0].New != "3" || got[1].Outcome != "cut off" || got[1].Request != "r2" || got[1].Door != platform.DoorSSH {
		t.Errorf("%+v", got)
	}
	q := platform.EventQuery{Limited: true, Apps: []platform.AppName{app.Name}, Kind: platform.EventCommand}
	if got := must(s.Events(ctx, q))(t); len(got) != 2 {
		t.Errorf("%+v", got)
	}
	ok(t, s.DestroyApp(ctx, "blog"))
	time.Sleep(2 * time.Millisecond)
	must(s.CreateAppFor(ctx, "blog", ""))(t)
	if got := must(s.Events(ctx, q))(t); len(got) != 0 {
		t.Errorf("an app shows the history of another one that had its name: %+v", got)
	}
}
