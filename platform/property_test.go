package platform_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"paas/platform"
)

// Whatever comes in which order: the layers of what runs and of what can be rolled back to are there, what
// is gone is nobody's, and after builds:prune --all nothing is left that nobody needs.
func TestLayersLastAsLongAsTheirReleases(t *testing.T) {
	later := func() time.Time { return time.Now().Add(3 * time.Second) } // nothing is too young to go
	w, images := newStoredWorldAt(t, later)
	r := rand.New(rand.NewPCG(7, uint64(time.Now().UnixNano())))
	apps := []string{"blog", "shop", "wiki"}
	var did []string
	for range 80 {
		app := apps[r.IntN(len(apps))]
		did = append(did, w.disturb(r, app))
		if r.IntN(3) == 0 {
			w.wholeReleases(images, did)
		}
	}
	for _, app := range apps[1:] {
		_, _ = w.Destroy(context.Background(), w.call, platform.DestroyInput{App: app, Confirm: app})
	}
	w.eventually("all but blog is gone", func() bool {
		_, err := w.Prune(context.Background(), w.call, platform.PruneInput{All: true, Keep: 1})
		return err == nil
	})
	time.Sleep(2100 * time.Millisecond) // the store keeps what was used a moment ago, whatever our clock says
	gone, err := w.Prune(context.Background(), w.call, platform.PruneInput{All: true, Keep: 1})
	if err != nil {
		t.Fatalf("after %v: %v", did, err)
	}
	w.nothingUnneeded(images, gone)
}

// disturb does something to the app, and tells what. Refusals are part of it.
func (w *world) disturb(r *rand.Rand, app string) string {
	ctx := context.Background()
	switch n := r.IntN(10); {
	case n < 5:
		text := fmt.Sprint("web: serve ", r.IntN(6))
		if a, _, err := w.OpenPush(ctx, w.call.Actor, app); err == nil {
			_, _ = w.Push(ctx, platform.Push{Actor: w.call.Actor, App: a, Branch: "main", Commit: "c0ffee00", Source: procfile(text), Out: w.call.Out})
		}
		return app + " " + text
	case n < 7:
		_, _ = w.Rollback(ctx, w.call, platform.RollbackInput{App: app})
		return "rollback " + app
	case n < 8:
		_, _ = w.Destroy(ctx, w.call, platform.DestroyInput{App: app, Confirm: app})
		return "destroy " + app
	case n < 9:
		_, _ = w.Prune(ctx, w.call, platform.PruneInput{All: r.IntN(2) == 0, Keep: r.IntN(3)})
		return "prune"
	}
	_, _ = w.Collect(ctx)
	return "collect"
}

// wholeReleases checks every current release, and every instance that runs.
func (w *world) wholeReleases(images *stored, did []string) {
	w.t.Helper()
	ctx := context.Background()
	running, _ := w.host.Instances(ctx)
	all, err := w.Store.Apps(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, app := range all {
		list, err := w.Store.Releases(ctx, app.Name)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, r := range list {
			runs := slices.ContainsFunc(running, func(i platform.Instance) bool { return i.App == app.Name && i.Release == r.Number && i.Exit == nil })
			if (runs || r.Number == app.Release) && !images.Kept(r.Image.Layers) {
				w.t.Fatalf("after %q: %s v%d lost layers", did, app.Name, r.Number)
			}
		}
	}
}

// nothingUnneeded checks that the store holds what its report says, and only what one app's release needs.
func (w *world) nothingUnneeded(images *stored, last platform.PruneResult) {
	w.t.Helper()
	usage, err := images.Usage()
	if err != nil {
		w.t.Fatal(err)
	}
	report, err := w.Disk(context.Background(), w.call, platform.DiskInput{})
	if err != nil || report.Reclaimable+report.WithOld > 0 {
		w.t.Errorf("%+v %v, after %d bytes went", report, err, last.Bytes)
	}
	var sum int64
	for _, u := range usage {
		sum += u.Bytes
	}
	if report.Total != sum || len(usage) > 2*len(report.Releases) { // procfiles' images have two layers
		w.t.Errorf("%d layers for %d releases, %d bytes of %d reported", len(usage), len(report.Releases), sum, report.Total)
	}
}
