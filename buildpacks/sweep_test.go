package buildpacks

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"paas/buildpacks/plan"
	"paas/platform"
)

// cacheOf makes a cache of so many KiB, as a step leaves it.
func cacheOf(t *testing.T, e *Engine, app int64, id string, kibibytes int) string {
	t.Helper()
	dir, err := e.cache(app, id, appUser)
	check(t, err)
	check(t, os.WriteFile(filepath.Join(dir, "file"), make([]byte, kibibytes<<10), 0o600))
	check(t, os.Chtimes(dir, e.now(), e.now()))
	return dir
}

func engineAt(t *testing.T, now *time.Time) *Engine {
	t.Helper()
	e, err := Open(Options{Dir: t.TempDir(), Now: func() time.Time { return *now }})
	check(t, err)
	t.Cleanup(func() { check(t, e.Close()) })
	return e
}

func there(paths ...string) (n int) {
	for _, path := range paths {
		if _, err := os.Stat(path); err == nil {
			n++
		}
	}
	return n
}

// The app with most of a short budget gives, though its caches were used last.
func TestNoAppTakesAllCaches(t *testing.T) {
	now := time.Now()
	e := engineAt(t, &now)
	small := cacheOf(t, e, 1, "npm", 100)
	now = now.Add(time.Hour)
	big := []string{cacheOf(t, e, 2, "npm", 900), cacheOf(t, e, 2, "go", 900)}
	e.CacheBudget = 1200 << 10
	check(t, e.Sweep())
	if there(small) != 1 || there(big...) != 1 {
		t.Errorf("small %d, big %d", there(small), there(big...))
	}
}

// A cache that its app does not use for CacheAge goes, unless a build has it.
func TestOldCachesGo(t *testing.T) {
	now := time.Now()
	e := engineAt(t, &now)
	old, used := cacheOf(t, e, 1, "npm", 1), cacheOf(t, e, 2, "npm", 1)
	now = now.Add(CacheAge + time.Minute)
	young := cacheOf(t, e, 1, "go", 1)
	done := e.caches.use(2, now)
	check(t, e.Sweep())
	done()
	if there(old) != 0 || there(used, young) != 2 {
		t.Errorf("old %d, used and young %d", there(old), there(used, young))
	}
}

// Pieces tell what a cache may save; Drop leaves those of builds that run, and whatever its name says stays
// inside.
func TestCachePieces(t *testing.T) {
	now := time.Now()
	e := engineAt(t, &now)
	dir := cacheOf(t, e, 1, "npm", 40)
	outside := filepath.Join(e.Dir, "index")
	e.caches.timed(1, []plan.Cache{{ID: "npm"}}, now)
	ids, took := e.caches.over(1, now.Add(9*time.Second))
	check(t, e.countUse(1, ids, took))
	check(t, e.countUse(1, ids, time.Second))
	pieces, err := e.Pieces()
	check(t, err)
	if len(pieces) != 1 || pieces[0].Took != 9*time.Second || pieces[0].Uses != 2 || pieces[0].Bytes < 40<<10 {
		t.Fatalf("%+v", pieces)
	}
	check(t, os.WriteFile(filepath.Join(dir, "more"), make([]byte, 1<<20), 0o600))
	done := e.caches.use(1, now) // what a build writes is seen while it has the cache
	busy, err := e.Pieces()
	check(t, err)
	gone, err := e.Drop(pieces)
	done()
	if err != nil || len(gone) > 0 || !busy[0].Held || busy[0].Bytes < 1<<20 {
		t.Errorf("%v, %+v, %v", gone, busy, err)
	}
	gone, err = e.Drop([]platform.Piece{{AppID: 1, Name: "../../index"}, pieces[0]})
	if err != nil || len(gone) != 1 || there(dir) != 0 || there(outside) != 1 {
		t.Errorf("%v, %v", gone, err)
	}
}

// What a build is expected to write follows what the last ones did.
func TestExpectedBytes(t *testing.T) {
	now := time.Now()
	e := engineAt(t, &now)
	for _, c := range []struct{ wrote, want int64 }{
		{0, 0}, {100 << 20, 100 << 20}, {1 << 20, 50 << 20}, {0, 25 << 20}, {25<<20 + 5, 25 << 20}, {80 << 20, 80 << 20},
	} {
		check(t, e.rememberWritten(7, c.wrote))
		if got := e.Expected(7); got != c.want {
			t.Errorf("after %d: %d, not %d", c.wrote, got, c.want)
		}
	}
	check(t, os.WriteFile(filepath.Join(e.appIndex(7), writtenFile), []byte("-5 x"), 0o600))
	if got := e.Expected(7); got != 0 {
		t.Errorf("damaged: %d", got)
	}
}

// A small app with one big file that changes does not keep every version of it in each release.
func TestDeltasDoNotPileUp(t *testing.T) {
	b := newBench(t)
	b.plans(plan.Plan{Builder: plan.Procfile, Steps: []plan.Step{{Name: "app", Files: []string{"/"}}}})
	app := b.app()
	for i := range 6 {
		big := make([]byte, 9<<20)
		for at := range big {
			big[at] = byte(at>>8) ^ byte(i)
		}
		img, _ := b.mustBuild(app, files("a", "1", "b", "2", "c", "3", "big", string(big)))
		b.sweeps.Wait() // sizes are known then
		var sum int64
		usage, err := b.Images.Usage()
		check(t, err)
		for _, u := range usage {
			for _, layer := range img.Layers[1:] {
				if u.Layer == layer {
					sum += u.Bytes
				}
			}
		}
		if most := int64(3*10<<20 + 16<<20); sum > most {
			t.Fatalf("build %d: %d layers of %d MiB", i, len(img.Layers)-1, sum>>20)
		}
	}
}
