package store_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"paas/platform"
	"paas/store"
)

func open(t *testing.T, path string) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func fresh(t *testing.T) *store.Store { return open(t, filepath.Join(t.TempDir(), "paas.db")) }

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t *testing.T, err error, kind platform.Kind) {
	t.Helper()
	if platform.KindOf(err) != kind || err == nil {
		t.Fatalf("error %v is of kind %v, want %v", err, platform.KindOf(err), kind)
	}
}

func TestAppIDsAreNeverReused(t *testing.T) {
	s, ctx := fresh(t), context.Background()
	first := must(s.CreateAppFor(ctx, "blog", ""))(t)
	_, err := s.CreateAppFor(ctx, "blog", "")
	wantKind(t, err, platform.Conflict)
	ok(t, s.DestroyApp(ctx, "blog"))
	_, err = s.App(ctx, "blog")
	wantKind(t, err, platform.NotFound)
	if again := must(s.CreateAppFor(ctx, "blog", ""))(t); again.ID <= first.ID {
		t.Fatalf("id %d was used again after %d", again.ID, first.ID)
	}
}

func TestFirstBranchStays(t *testing.T) {
	s, ctx := fresh(t), context.Background()
	must(s.CreateAppFor(ctx, "blog", ""))(t)
	for _, branch := range []string{"main", "dev"} {
		if got := must(s.SetDeployBranch(ctx, "blog", branch))(t); got != "main" {
			t.Fatalf("deploy branch is %q", got)
		}
	}
}

func TestReleases(t *testing.T) {
	s, ctx := fresh(t), context.Background()
	must(s.CreateAppFor(ctx, "blog", ""))(t)
	add := func(color string) platform.Release {
		return must(s.AddRelease(ctx, platform.Release{
			App: "blog", Image: platform.Image{ID: "sha256:1", Layers: []string{"a", "b"}},
			Config: platform.Config{"COLOR": color}, Actor: "alice", Commit: "c0ffee",
		}))(t)
	}
	v1 := add("red")
	ok(t, s.SetCurrent(ctx, "blog", v1.Number))
	v2 := add("blue")
	if v1.Number != 1 || v2.Number != 2 || v2.Status != platform.Pending {
		t.Fatalf("got v%d and v%d (%s)", v1.Number, v2.Number, v2.Status)
	}
	if c := must(s.Config(ctx, "blog"))(t); c["COLOR"] != "blue" {
		t.Fatalf("config %v is not the pending release's", c)
	}
	ok(t, s.FailRelease(ctx, "blog", 2))
	if c := must(s.Config(ctx, "blog"))(t); c["COLOR"] != "red" {
		t.Fatalf("config %v is not the current release's", c)
	}
	list := must(s.Releases(ctx, "blog"))(t)
	if len(list) != 2 || list[0].Status != platform.Broken || list[1].Status != platform.Live || list[1].Image.Layers[1] != "b" {
		t.Fatalf("got %+v", list)
	}
	_, err := s.Release(ctx, "blog", 9)
	wantKind(t, err, platform.NotFound)
	wantKind(t, s.SetCurrent(ctx, "blog", 9), platform.NotFound)
}

func TestDomainsAreUnique(t *testing.T) {
	s, ctx := fresh(t), context.Background()
	must(s.CreateAppFor(ctx, "a", ""))(t)
	must(s.CreateAppFor(ctx, "b", ""))(t)
	ok(t, s.AddDomain(ctx, "a", "www.example.com"))
	wantKind(t, s.AddDomain(ctx, "b", "www.example.com"), platform.Conflict)
	wantKind(t, s.RemoveDomain(ctx, "b", "www.example.com"), platform.NotFound)
	ok(t, s.DestroyApp(ctx, "a"))
	ok(t, s.AddDomain(ctx, "b", "www.example.com"))
}

func TestFormationAndKeys(t *testing.T) {
	s, ctx := fresh(t), context.Background()
	must(s.CreateAppFor(ctx, "a", ""))(t)
	ok(t, s.SetFormation(ctx, "a", platform.Formation{"web": 2, "worker": 0}))
	ok(t, s.SetFormation(ctx, "a", platform.Formation{"web": 3}))
	if f := must(s.Formation(ctx, "a"))(t); f["web"] != 3 || len(f) != 1 {
		t.Fatalf("formation %v", f)
	}
	k := platform.Key{Name: "alice", Fingerprint: "SHA256:x", Public: "ssh-ed25519 AAAA", Admin: true}
	ok(t, s.AddKey(ctx, k))
	k.Name = "bob"
	wantKind(t, s.AddKey(ctx, k), platform.Conflict)
	if got := must(s.KeyByFingerprint(ctx, "SHA256:x"))(t); got.Name != "alice" || !got.Admin {
		t.Fatalf("key %+v", got)
	}
	wantKind(t, s.RemoveKey(ctx, "bob"), platform.NotFound)
}

// Many writers and readers at once: no "database is locked", nothing lost.
func TestConcurrentUse(t *testing.T) {
	s, ctx := fresh(t), context.Background()
	must(s.CreateAppFor(ctx, "a", ""))(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if err := s.RaiseEpoch(ctx, "a", ""); err != nil {
					t.Error(err)
				}
				if _, err := s.App(ctx, "a"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if app := must(s.App(ctx, "a"))(t); app.Epoch != 160 {
		t.Fatalf("epoch %d, want 160", app.Epoch)
	}
}

func TestReopenKeepsAndHides(t *testing.T) {
	path := filepath.Join(t.TempDir(), "paas.db")
	s := open(t, path)
	must(s.CreateAppFor(context.Background(), "kept", ""))(t)
	ok(t, s.Close())
	must(open(t, path).App(context.Background(), "kept"))(t)
	info, err := os.Stat(path)
	ok(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Fatalf("database is %v: config vars are secrets", info.Mode().Perm())
	}
}

// Versions of a stack are numbered by name, and the newest comes first.
func TestStacks(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "paas.db"))
	ctx := t.Context()
	for _, v := range []platform.Stack{{Name: "debian", Layer: "a"}, {Name: "ours", Layer: "b"}, {Name: "debian", Layer: "c", Debian: "13.7"}} {
		if _, err := s.AddStack(ctx, v); err != nil {
			t.Fatal(err)
		}
	}
	all, err := s.Stacks(ctx)
	if err != nil || len(all) != 3 {
		t.Fatalf("%+v, %v", all, err)
	}
	if first := all[0]; first.Number != 2 || first.Layer != "c" || first.Debian != "13.7" || first.CreatedAt.IsZero() || all[2].Number != 1 || all[2].Name != "ours" {
		t.Errorf("%+v", all)
	}
}
