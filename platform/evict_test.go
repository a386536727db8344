package platform_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"paas/platform"
)

const day = 24 * time.Hour

var evictNow = time.Date(2026, 1, 30, 0, 0, 0, 0, time.UTC)

// cached is something of so many MiB that builds of the apps start from.
func cached(name string, mebibytes int64, took time.Duration, idle time.Duration, apps ...platform.AppName) platform.Piece {
	return platform.Piece{
		Kind: platform.LayerPiece, Name: name, Apps: apps, Bytes: mebibytes << 20, Need: platform.Cached,
		Took: took, Uses: 1, Used: evictNow.Add(-idle),
	}
}

func chosen(g platform.Goal, list ...platform.Piece) string {
	var names []string
	for _, p := range g.Choose(list, evictNow) {
		names = append(names, p.Name)
	}
	return strings.Join(names, " ")
}

func TestWhatSavesLeastGoesFirst(t *testing.T) {
	often := cached("often", 100, time.Minute, day, "a")
	often.Uses = 20
	free := cached("free", 1, time.Hour, 0, "a")
	free.Need = platform.Unneeded
	needed := cached("needed", 1, 0, 300*day, "a")
	needed.Need = platform.Needed
	held := cached("held", 1, 0, 300*day, "a")
	held.Held = true
	all := []platform.Piece{
		often, cached("quick", 100, 2*time.Second, day, "a"), cached("slow", 100, time.Minute, day, "a"),
		cached("stale", 100, time.Minute, 60*day, "a"), cached("small", 1, time.Minute, day, "a"), free, needed, held,
	}
	for _, c := range []struct {
		goal platform.Goal
		want string
	}{
		{platform.Goal{}, "free"},
		{platform.Goal{Caches: true}, "free stale quick slow often small"},
		{platform.Goal{Caches: true, Bytes: 1}, "free"},
		{platform.Goal{Caches: true, Bytes: 2 << 20}, "free stale"},
		{platform.Goal{Caches: true, MinAge: 2 * day}, "stale"},
		{platform.Goal{Caches: true, App: "b"}, ""},
		{platform.Goal{Bytes: 500 << 20}, "free"},
	} {
		if got := chosen(c.goal, all...); got != c.want {
			t.Errorf("%+v: %s, not %s", c.goal, got, c.want)
		}
	}
}

// An app that has more than its fair share gives first, whatever its things are worth.
func TestNoAppTakesAllOfTheCache(t *testing.T) {
	all := []platform.Piece{cached("small", 50, time.Second, day, "modest")}
	for i := range 9 {
		all = append(all, cached(fmt.Sprint("big", i), 100, time.Hour, 0, "greedy"))
	}
	host := cached("toolchain", 50, time.Second, day, "greedy")
	host.Host = true
	all = append(all, host)
	if got := chosen(platform.Goal{Caches: true, Bytes: 250 << 20}, all...); got != "big0 big1 big2" {
		t.Error(got)
	}
	shared := cached("shared", 100, 0, 90*day, "greedy", "modest")
	if got := chosen(platform.Goal{Caches: true, Bytes: 50 << 20}, append(all, shared)...); got != "big0" {
		t.Errorf("what another app has too went: %s", got)
	}
	if got := chosen(platform.Goal{Caches: true, Bytes: 2000 << 20}, all...); strings.Count(got, " ") != len(all)-1 {
		t.Errorf("not all went when nothing was enough: %s", got)
	}
}

// Whatever there is: enough goes if there is enough, never what is needed, nothing without need.
func TestChooseIsEnoughAndNoMore(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var list []platform.Piece
		var mayGo int64
		for i := range r.IntN(30) {
			p := cached(fmt.Sprint("p", i), r.Int64N(100)+1, time.Duration(r.IntN(100))*time.Second, time.Duration(r.IntN(100))*day)
			for _, app := range []platform.AppName{"a", "b", "c"} {
				if r.IntN(2) == 0 {
					p.Apps = append(p.Apps, app)
				}
			}
			p.Need, p.Held, p.Host = platform.Need(r.IntN(3)), r.IntN(8) == 0, r.IntN(8) == 0
			if p.Need != platform.Needed && !p.Held {
				mayGo += p.Bytes
			}
			list = append(list, p)
		}
		goal := platform.Goal{Caches: true, Bytes: r.Int64N(3000<<20) + 1}
		var freed, last int64
		for _, p := range goal.Choose(list, evictNow) {
			if p.Need == platform.Needed || p.Held {
				t.Fatalf("%s went, which is needed", p.Name)
			}
			freed, last = freed+p.Bytes, p.Bytes
		}
		if want := min(goal.Bytes, mayGo); freed < want || freed-last >= goal.Bytes {
			t.Fatalf("%d of %d freed, the last %d; wanted %d", freed, mayGo, last, goal.Bytes)
		}
	}
}

// A push is refused before it starts when what its last build wrote does not fit, with the table.
func TestAPushThatCannotFitIsRefused(t *testing.T) {
	w, images := newStoredWorld(t)
	w.mustPush("web: serve")
	images.expected.Store(1 << 60)
	app, err := w.Store.App(context.Background(), "blog")
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.RoomForPush(context.Background(), app)
	var e *platform.Error
	if !errors.As(err, &e) || e.Kind != platform.Failed || !strings.Contains(e.Message, "expected to write 1 EiB") {
		t.Fatalf("%+v", err)
	}
	if table := strings.Join(e.Table, "\n"); !strings.Contains(table, "release") || !strings.Contains(table, "with --all") {
		t.Errorf("the table:\n%s", table)
	}
	if _, err := w.push("web: serve 2"); platform.KindOf(err) != platform.Failed {
		t.Errorf("the build: %v", err)
	}
	images.expected.Store(1 << 20)
	if room, err := w.RoomForPush(context.Background(), app); err != nil || room <= 0 {
		t.Errorf("room %d, %v", room, err)
	}
	w.mustPush("web: serve 2")
	images.full.Store(true)
	if _, _, err := w.OpenPush(context.Background(), w.call.Actor, "fresh"); platform.KindOf(err) != platform.Failed {
		t.Errorf("an app for a push that cannot fit: %v", err)
	}
	if _, err := w.Store.App(context.Background(), "fresh"); platform.KindOf(err) != platform.NotFound {
		t.Errorf("the refused push left its app: %v", err)
	}
}

// One computation, two views: what disk says is freed, builds:prune frees.
func TestDiskAndPruneAgree(t *testing.T) {
	w, images := newStoredWorld(t)
	for i := range 5 {
		w.mustPush(fmt.Sprint("web: serve ", i))
	}
	w.eventually("only v5 runs", func() bool { return w.running(1)+w.running(2)+w.running(3)+w.running(4) == 0 })
	time.Sleep(2100 * time.Millisecond) // what was used a moment ago stays
	r, err := w.Disk(context.Background(), w.call, platform.DiskInput{})
	if err != nil {
		t.Fatal(err)
	}
	one, err := w.Disk(context.Background(), w.call, platform.DiskInput{App: "blog"})
	if err != nil || len(one.Apps) != 1 || len(one.Releases) != 2 || one.Reclaimable != r.Reclaimable {
		t.Errorf("%+v %v", one, err)
	}
	gone, err := w.Prune(context.Background(), w.call, platform.PruneInput{App: "blog"})
	if err != nil || gone.Bytes == 0 || gone.Bytes != r.Reclaimable {
		t.Errorf("disk said %d, prune freed %d (%v)", r.Reclaimable, gone.Bytes, err)
	}
	again, err := w.Prune(context.Background(), w.call, platform.PruneInput{All: true})
	if err != nil || again.Bytes != r.WithAll-r.Reclaimable {
		t.Errorf("disk said %d of all, then prune --all freed %d (%v)", r.WithAll, again.Bytes, err)
	}
	after, err := w.Disk(context.Background(), w.call, platform.DiskInput{})
	usage, usageErr := images.Usage()
	var sum int64
	for _, u := range usage {
		sum += u.Bytes
	}
	if err != nil || usageErr != nil || after.Total != sum || after.Total != r.Total-gone.Bytes-again.Bytes {
		t.Errorf("%d, layers %d, before %d (%v, %v)", after.Total, sum, r.Total, err, usageErr)
	}
}
