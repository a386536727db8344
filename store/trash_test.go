package store_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"paas/platform"
)

// An app in the trash is nobody's name and has nobody's domain; it comes back with what is still free.
func TestTrashAndRestore(t *testing.T) {
	s, ctx := fresh(t), context.Background()
	blog := must(s.CreateAppFor(ctx, "blog", ""))(t)
	must(s.CreateAppFor(ctx, "shop", ""))(t)
	ok(t, s.AddDomain(ctx, "blog", "a.example.com"))
	ok(t, s.AddDomain(ctx, "blog", "b.example.com"))
	ok(t, s.SetConfig(ctx, "blog", platform.Config{"A": "1"}))
	entry := must(s.TrashApp(ctx, "blog", platform.Trashed{Kind: platform.TrashedApp, Name: "blog", Bytes: 7, Actor: "alice"}))(t)
	for _, name := range []platform.AppName{"blog", "blog_trash1"} {
		_, err := s.App(ctx, name)
		wantKind(t, err, platform.NotFound)
	}
	if apps := must(s.Apps(ctx))(t); len(apps) != 1 || apps[0].Name != "shop" {
		t.Errorf("apps: %+v", apps)
	}
	if moves := must(s.Moving(ctx))(t); len(moves) != 1 || moves[0] != (platform.Move{From: "blog", To: "blog_trash1"}) {
		t.Errorf("moves: %+v", moves)
	}
	ok(t, s.AddDomain(ctx, "shop", "a.example.com"))
	must(s.CreateAppFor(ctx, "blog", ""))(t)
	_, err := s.RestoreApp(ctx, entry, "blog")
	wantKind(t, err, platform.Conflict)
	list := must(s.Trash(ctx))(t)
	lost := must(s.RestoreApp(ctx, list[0], "blog-2"))(t)
	if !slices.Equal(lost, []string{"the domain a.example.com"}) || list[0].Bytes != 7 || list[0].Actor != "alice" {
		t.Errorf("%v of %+v", lost, list[0])
	}
	back := must(s.App(ctx, "blog-2"))(t)
	domains := must(s.Domains(ctx, "blog-2"))(t)
	if config := must(s.Config(ctx, "blog-2"))(t); back.ID != blog.ID || config["A"] != "1" || !slices.Equal(domains, []string{"b.example.com"}) {
		t.Errorf("%+v %v %v", back, config, domains)
	}
	_, err = s.RestoreApp(ctx, list[0], "blog-3")
	wantKind(t, err, platform.NotFound)
}

// With an app its own volumes go for good, and not those that others may mount.
func TestPurgeTakesOwnVolumes(t *testing.T) {
	s, ctx := fresh(t), context.Background()
	must(s.CreateAppFor(ctx, "blog", ""))(t)
	must(s.CreateAppFor(ctx, "shop", ""))(t)
	for _, name := range []platform.VolumeName{"own", "shared", "nobodys"} {
		must(s.CreateVolume(ctx, name, 0))(t)
	}
	ok(t, s.ShareVolume(ctx, "own", "blog", true))
	ok(t, s.ShareVolume(ctx, "shared", "blog", true))
	ok(t, s.ShareVolume(ctx, "shared", "shop", true))
	entry := must(s.TrashApp(ctx, "blog", platform.Trashed{Kind: platform.TrashedApp, Name: "blog"}))(t)
	ok(t, s.Purge(ctx, entry))
	var names []platform.VolumeName
	for _, v := range must(s.Volumes(ctx))(t) {
		names = append(names, v.Name)
	}
	if !slices.Equal(names, []platform.VolumeName{"nobodys", "shared"}) {
		t.Errorf("left: %v", names)
	}
	wantKind(t, s.Purge(ctx, entry), platform.NotFound)
}

// History follows a name, and who comes by the old one is told.
func TestRenameApp(t *testing.T) {
	s, ctx := fresh(t), context.Background()
	must(s.CreateAppFor(ctx, "old", ""))(t)
	must(s.CreateAppFor(ctx, "shop", ""))(t)
	ok(t, s.AddEvents(ctx, []platform.Event{{App: "old", Text: "x", At: time.Now()}}))
	rules := []platform.EdgeRule{
		{Kind: platform.PathKind, Key: "/a", Value: "app old"}, {Kind: platform.PathKind, Key: "/b", Value: "app old strip"},
		{Kind: platform.PathKind, Key: "/c", Value: "app older"}, {Kind: platform.PathKind, Key: "/d", Value: "process old"},
	}
	ok(t, s.ChangeEdgeRules(ctx, "shop", rules))
	wantKind(t, s.RenameApp(ctx, "old", "shop"), platform.Conflict)
	ok(t, s.RenameApp(ctx, "old", "new"))
	if list := must(s.Events(ctx, platform.EventQuery{App: "new"}))(t); len(list) != 1 {
		t.Errorf("history: %+v", list)
	}
	var paths []string
	for _, r := range must(s.EdgeRules(ctx, "shop"))(t) {
		paths = append(paths, r.Value)
	}
	if !slices.Equal(paths, []string{"app new", "app new strip", "app older", "process old"}) {
		t.Errorf("paths of another app: %q", paths)
	}
	if now := must(s.Formerly(ctx, "old"))(t); now != "new" {
		t.Errorf("formerly old: %q", now)
	}
	ok(t, s.Moved(ctx, platform.Move{From: "old", To: "new"}))
	if moves := must(s.Moving(ctx))(t); len(moves) != 0 {
		t.Errorf("moves: %+v", moves)
	}
	ok(t, s.RenameApp(ctx, "new", "old"))
	if now := must(s.Formerly(ctx, "old"))(t); now != "" {
		t.Errorf("old is called %q", now)
	}
}
