package store_test

import (
	"context"
	"path/filepath"
	"slices"
	"testing"

	"paas/platform"
)

func TestLinksAndEgressLists(t *testing.T) {
	ctx, path := context.Background(), filepath.Join(t.TempDir(), "paas.db")
	s := open(t, path)
	for _, name := range []platform.AppName{"shop", "db"} {
		must(s.CreateAppFor(ctx, name, ""))(t)
	}
	link := platform.Link{App: "shop", To: "db", Type: "web", Port: 80}
	gone := platform.Link{App: "shop", To: "nowhere"}
	ok(t, s.SetDraft(ctx, "shop", nil, platform.Spec{Links: []platform.Link{gone, link, link}}))
	wantKind(t, s.SetDraft(ctx, "nowhere", nil, platform.Spec{}), platform.NotFound)

	e, err := platform.ParseEgress("[2001:db8::/32]:443")
	ok(t, err)
	ok(t, s.SetEgressList(ctx, "shop", []platform.Egress{e}, true))
	ok(t, s.SetEgressList(ctx, "db", nil, true))
	ok(t, s.SetEgressList(ctx, "db", nil, false))
	wantKind(t, s.SetEgressList(ctx, "nowhere", nil, true), platform.NotFound)
	ok(t, s.Close())

	s = open(t, path)
	if got := must(s.Links(ctx))(t); !slices.Equal(got, []platform.Link{link}) {
		t.Errorf("links %v", got)
	}
	list, limited, err := s.EgressList(ctx, "shop")
	if err != nil || !limited || !slices.Equal(list, []platform.Egress{e}) {
		t.Errorf("list %v, limited %v, %v", list, limited, err)
	}
	if _, limited, err := s.EgressList(ctx, "db"); limited || err != nil {
		t.Errorf("db is limited: %v, %v", limited, err)
	}
	ok(t, s.DestroyApp(ctx, "db"))
	if got := must(s.Links(ctx))(t); len(got) != 0 {
		t.Errorf("links of a destroyed app: %v", got)
	}
}
