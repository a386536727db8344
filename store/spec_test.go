package store_test

import (
	"context"
	"slices"
	"testing"

	"paas/platform"
)

// While a release is in the making, what it links to holds beside what held; what comes of it decides.
func TestLinksBelongToReleases(t *testing.T) {
	s, ctx := fresh(t), context.Background()
	for _, name := range []platform.AppName{"shop", "db", "mail"} {
		must(s.CreateAppFor(ctx, name, ""))(t)
	}
	link := func(to platform.AppName) platform.Link { return platform.Link{App: "shop", To: to, Port: 80} }
	add := func(links ...platform.Link) int {
		return must(s.AddRelease(ctx, platform.Release{
			App: "shop", Image: platform.Image{ID: "sha256:1"}, Spec: platform.Spec{Links: links, Mounts: []platform.Mount{{Storage: "data", Path: "/data"}}},
		}))(t).Number
	}
	hold := func(when string, want ...platform.Link) {
		t.Helper()
		if got := must(s.Links(ctx))(t); !slices.Equal(got, want) {
			t.Errorf("%s hold %v", when, got)
		}
	}
	ok(t, s.SetDraft(ctx, "shop", platform.Config{"A": "b"}, platform.Spec{Links: []platform.Link{link("db")}}))
	if d := must(s.Spec(ctx, "shop"))(t); len(d.Links) != 1 || must(s.Config(ctx, "shop"))(t)["A"] != "b" {
		t.Errorf("the draft is %+v", d)
	}
	ok(t, s.SetCurrent(ctx, "shop", add(link("db"))))
	failed := add(link("mail"))
	hold("while v2 is made", link("db"), link("mail"))
	ok(t, s.FailRelease(ctx, "shop", failed))
	hold("after it failed", link("db"))
	ok(t, s.SetCurrent(ctx, "shop", add(link("mail"))))
	hold("when v3 is live", link("mail"))
	if spec := must(s.Spec(ctx, "shop"))(t); !slices.Equal(spec.Links, []platform.Link{link("mail")}) || spec.Mounts[0].Path != "/data" {
		t.Errorf("the current release has %+v", spec)
	}
	ok(t, s.DestroyApp(ctx, "mail"))
	must(s.CreateAppFor(ctx, "mail", ""))(t)
	if r := must(s.Release(ctx, "shop", 3))(t); len(r.Spec.Links) != 0 {
		t.Errorf("a link outlived its app: %v", r.Spec.Links)
	}
	if r := must(s.Release(ctx, "shop", 1))(t); !slices.Equal(r.Spec.Links, []platform.Link{link("db")}) {
		t.Errorf("v1 links to %v", r.Spec.Links)
	}
}

func TestOldReleasesMakeRoom(t *testing.T) {
	s, ctx := fresh(t), context.Background()
	must(s.CreateAppFor(ctx, "a", ""))(t)
	for n := range 503 {
		r := must(s.AddRelease(ctx, platform.Release{App: "a", Image: platform.Image{ID: "sha256:1"}}))(t)
		if n == 1 {
			ok(t, s.SetCurrent(ctx, "a", r.Number))
		}
	}
	list := must(s.Releases(ctx, "a"))(t)
	if len(list) != 501 || list[500].Number != 2 || list[499].Number != 4 {
		t.Errorf("%d are listed, the oldest v%d and v%d", len(list), list[len(list)-1].Number, list[len(list)-2].Number)
	}
}
