package store_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"paas/platform"
)

func TestTokens(t *testing.T) {
	ctx, s := context.Background(), fresh(t)
	must(s.CreateAppFor(ctx, "blog", ""))(t)
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	root := platform.Root
	ok(t, s.AddToken(ctx, platform.Token{
		User: root, Name: "ci", Hash: "1", Limited: true, Apps: []platform.AppName{"blog"}, Scopes: []platform.Scope{platform.ScopeAppsRead}, ExpiresAt: until,
	}, 9))
	ok(t, s.AddToken(ctx, platform.Token{User: root, Name: "all", Hash: "2"}, 9))
	for _, twice := range []platform.Token{{User: root, Name: "ci", Hash: "3"}, {User: root, Name: "other", Hash: "1"}} {
		wantKind(t, s.AddToken(ctx, twice, 9), platform.Conflict)
	}
	wantKind(t, s.AddToken(ctx, platform.Token{User: root, Name: "third", Hash: "5"}, 2), platform.Conflict)
	wantKind(t, s.AddToken(ctx, platform.Token{User: root, Name: "x", Hash: "4", Limited: true, Apps: []platform.AppName{"nope"}}, 9), platform.NotFound)
	wantKind(t, s.AddToken(ctx, platform.Token{User: "nobody", Name: "x", Hash: "4"}, 9), platform.NotFound)
	got := must(s.TokenByHash(ctx, "1"))(t)
	if got.Name != "ci" || !slices.Equal(got.Apps, []platform.AppName{"blog"}) || len(got.Scopes) != 1 || !got.OfAdmin || !got.ExpiresAt.Equal(until) || got.CreatedAt.IsZero() {
		t.Errorf("%+v", got)
	}
	ok(t, s.TokenUsed(ctx, got.ID, until, "192.0.2.1"))
	if got := must(s.TokenByHash(ctx, "1"))(t); !got.UsedAt.Equal(until) || got.UsedBy != "192.0.2.1" {
		t.Errorf("%+v", got)
	}
	if got := must(s.TokenByHash(ctx, "2"))(t); got.Limited || !got.ExpiresAt.IsZero() {
		t.Errorf("%+v", got)
	}
	ok(t, s.DestroyApp(ctx, "blog"))
	if all := must(s.Tokens(ctx))(t); len(all) != 1 || all[0].Name != "all" {
		t.Errorf("an app's tokens go with it: %+v", all)
	}
	ok(t, s.RemoveToken(ctx, must(s.TokenByHash(ctx, "2"))(t).ID))
	if _, err := s.TokenByHash(ctx, "2"); platform.KindOf(err) != platform.NotFound {
		t.Error(err)
	}
}

func TestLoginsAndPulled(t *testing.T) {
	ctx, s := context.Background(), fresh(t)
	ok(t, s.SetLogin(ctx, platform.Login{Host: "registry.example.org", User: "a", Secret: "1"}))
	ok(t, s.SetLogin(ctx, platform.Login{Host: "registry.example.org", User: "b", Secret: "2"}))
	if all := must(s.Logins(ctx))(t); len(all) != 1 || all[0].User != "b" || all[0].Secret != "2" {
		t.Errorf("%+v", all)
	}
	ok(t, s.RemoveLogin(ctx, "registry.example.org"))
	if err := s.RemoveLogin(ctx, "registry.example.org"); platform.KindOf(err) != platform.NotFound {
		t.Error(err)
	}
	image := platform.Image{ID: "sha256:1", Layers: []string{"a"}, Commands: map[platform.ProcessType][]string{"web": {"/x"}}, Port: 80}
	for _, digest := range []string{"sha256:old", "sha256:new"} {
		ok(t, s.SetPulled(ctx, platform.Pulled{Reference: "x:1", Digest: digest, Image: image}))
	}
	got := must(s.Pulled(ctx, "x:1"))(t)
	if got.Digest != "sha256:new" || got.Image.Commands["web"][0] != "/x" || got.Image.Port != 80 {
		t.Errorf("%+v", got)
	}
	if all := must(s.AllPulled(ctx))(t); len(all) != 1 {
		t.Errorf("%+v", all)
	}
	ok(t, s.RemovePulled(ctx, "x:1"))
	if _, err := s.Pulled(ctx, "x:1"); platform.KindOf(err) != platform.NotFound {
		t.Error(err)
	}
}
