package platform_test

import (
	"testing"

	"paas/platform"
)

// A daemon that is killed while it makes a clone leaves none; what an older command made, or what serves, stays.
func TestHalfACloneIsGoneAfterACrash(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	for text, name := range map[string]platform.AppName{"apps:clone blog half": "half", "apps:create made": "made"} {
		entry, err := w.Begin(ctx, platform.Actor{Name: "alice"}, "blog", text)
		w.check(err)
		_, err = w.Store.CreateAppFor(entry.Within(ctx), name, "")
		w.check(err)
	}
	entry, err := w.Begin(ctx, platform.Actor{Name: "alice"}, "blog", "apps:clone blog whole")
	w.check(err)
	_, err = w.Clone(entry.Within(ctx), w.call, platform.CloneInput{App: "blog", To: "whole"})
	w.check(err)
	w.Platform.Close() // the commands are not over
	w.boot()
	_, err = w.Store.App(ctx, "half")
	w.kind(err, platform.NotFound)
	for _, name := range []platform.AppName{"blog", "made", "whole"} {
		_, err := w.Store.App(ctx, name)
		w.check(err)
	}
	list, err := w.ListTrash(ctx, w.call, struct{}{})
	w.check(err)
	if len(list) > 0 {
		t.Errorf("half a clone is in the trash: %+v", list)
	}
}
