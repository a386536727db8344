package platform_test

import (
	"fmt"
	"strings"
	"testing"

	"paas/platform"
)

// kept are the instances that stand still for a rollback.
func (w *world) kept() (list []platform.Instance) {
	all, _ := w.host.Instances(ctx)
	for _, i := range all {
		if !i.Kept.IsZero() {
			list = append(list, i)
		}
	}
	return list
}

func (w *world) awaitKept(n int) []platform.Instance {
	w.t.Helper()
	w.eventually(fmt.Sprintf("%d are kept", n), func() bool { return len(w.kept()) == n })
	return w.kept()
}

func (w *world) rollback(to string) platform.RolledBack {
	w.t.Helper()
	back, err := w.Rollback(ctx, w.call, platform.RollbackInput{App: "blog", Release: to})
	w.check(err)
	return back
}

func (w *world) scale(changes ...string) {
	w.t.Helper()
	_, err := w.Scale(ctx, w.call, platform.ScaleInput{App: "blog", Changes: changes})
	w.check(err)
}

func TestRollbackCallsTheKeptBack(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve\nworker: sleep\nrelease: echo migrated")
	w.scale("web=2", "worker=1")
	w.mustPush("web: serve # two\nworker: sleep # two")
	before := w.awaitKept(2) // the workers end
	w.eventually("the old worker ends", func() bool { return w.running(1) == 0 })
	views, err := w.Processes(ctx, w.call, platform.AppInput{App: "blog"})
	w.check(err)
	if len(views) != 5 || !strings.HasPrefix(views[1].Status, "kept for a rollback, 9m left") || w.table.backends("blog") != 2 {
		t.Fatalf("ps shows %+v", views)
	}
	started := w.host.started()
	back := w.rollback("")
	if !back.Kept || back.Release != 3 || back.To != 1 || back.Took <= 0 || w.host.started() != started+1 {
		t.Fatalf("%+v, %d started", back, w.host.started()-started)
	}
	if w.running(3) != 3 || w.table.backends("blog") != 2 || w.current() != 3 {
		t.Fatalf("v%d, %d run", w.current(), w.running(3))
	}
	for _, i := range w.awaitKept(2) {
		if i.Release != 2 || i.ID == before[0].ID {
			t.Errorf("kept after the rollback: %+v", i)
		}
	}
	if forth := w.rollback("v2"); !forth.Kept || w.running(4) != 3 {
		t.Fatalf("and forth: %+v", forth)
	}
	w.mustPush("web: serve # three")
	w.eventually("only the last one's are kept", func() bool { k := w.kept(); return len(k) == 2 && k[0].Release == 4 })
}

// What cannot go on is replaced by what starts afresh; places without a kept instance are filled.
func TestKeptThatCannotGoOnIsReplaced(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	w.scale("web=2")
	w.mustPush("web: serve # two")
	kept := w.awaitKept(2)
	w.host.mu.Lock()
	_ = w.host.running[kept[0].ID].listener.Close() // deaf
	w.host.mu.Unlock()
	w.scale("web=3")
	if len(w.awaitKept(2)) != 2 {
		t.Fatal("a larger formation ended what is kept")
	}
	back := w.rollback("v1")
	if !back.Kept || w.running(3) != 3 || w.table.backends("blog") != 3 {
		t.Fatalf("%+v, %d run", back, w.running(3))
	}
	w.eventually("the deaf one is gone", func() bool {
		all, _ := w.host.Instances(ctx)
		for _, i := range all {
			if i.ID == kept[0].ID {
				return false
			}
		}
		return true
	})
}

func TestWhatEndsTheKept(t *testing.T) {
	for name, do := range map[string]func(*world){
		"time": func(w *world) {
			_, err := w.SetReleases(ctx, w.call, platform.ReleaseSetInput{App: "blog", Key: "keep-previous", Value: "1s"})
			w.check(err)
		},
		"off": func(w *world) {
			_, err := w.SetReleases(ctx, w.call, platform.ReleaseSetInput{App: "blog", Key: "keep-previous", Value: "off"})
			w.check(err)
		},
		"scale":   func(w *world) { w.scale("web=0") },
		"restart": func(w *world) { _, err := w.Restart(ctx, w.call, platform.RestartInput{App: "blog"}); w.check(err) },
		"stop":    func(w *world) { _, err := w.Stop(ctx, w.call, platform.EachInput{App: "blog"}); w.check(err) },
		"destroy": func(w *world) {
			_, err := w.Destroy(ctx, w.call, platform.DestroyInput{App: "blog", Confirm: "blog"})
			w.check(err)
		},
		"its own end": func(w *world) { w.host.end(w.kept()[0].ID, 137) },
		"limits": func(w *world) {
			_, err := w.Limit(ctx, w.call, platform.LimitInput{App: "blog", Changes: []string{"memory=64m"}})
			w.check(err)
		},
		"memory": func(w *world) {
			w.gauge.set(platform.Load{Memory: 1 << 30, MemoryFree: 1 << 20})
			_, err := w.SetReleases(ctx, w.call, platform.ReleaseSetInput{App: "blog", Key: "keep-previous", Value: "9m"})
			w.check(err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.mustPush("web: serve")
			w.mustPush("web: serve # two")
			w.awaitKept(1)
			do(w)
			w.eventually("it is gone", func() bool {
				all, _ := w.host.Instances(ctx)
				for _, i := range all {
					if i.Release == 1 {
						return false
					}
				}
				return true
			})
			if app, err := w.Store.App(ctx, "blog"); err == nil && (app.Release != 2 || name == "its own end" && w.running(2) != 1) {
				t.Errorf("v%d, %d run", app.Release, w.running(2))
			}
		})
	}
}

func TestSuccessorKeepsTheKept(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	w.mustPush("web: serve # two")
	kept := w.awaitKept(1)
	w.Close()
	w.boot()
	if w.table.backends("blog") != 1 || len(w.kept()) != 1 {
		t.Fatalf("%d routed, %d kept", w.table.backends("blog"), len(w.kept()))
	}
	started := w.host.started()
	if back := w.rollback(""); !back.Kept || w.host.started() != started {
		t.Fatalf("%+v", back)
	}
	list, _ := w.host.Instances(ctx)
	if list[0].ID != kept[0].ID || list[0].Release != 3 {
		t.Errorf("%+v runs", list[0])
	}
	w.awaitKept(1)
	w.Close() // a crash in the middle of a call back: it has its new number, which never was live
	w.check(w.host.Recall(ctx, w.kept()[0].ID, 9))
	w.boot()
	w.eventually("only what is current is there", func() bool { l, _ := w.host.Instances(ctx); return len(l) == 1 })
}

// The way back is to what the image holds, not to an instance in which somebody changed it.
func TestKeptIsNotWhatPeopleWereIn(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	_, err := w.Exec(ctx, w.call, platform.ExecInput{App: "blog", Command: []string{"true"}})
	w.check(err)
	w.mustPush("web: serve # two")
	w.eventually("the old one is gone", func() bool { l, _ := w.host.Instances(ctx); return len(l) == 1 })
	if back := w.rollback(""); back.Kept {
		t.Errorf("%+v", back)
	}
}

func TestKeptIsOff(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	_, err := w.SetReleases(ctx, w.call, platform.ReleaseSetInput{App: "blog", Key: "keep-previous", Value: "off"})
	w.check(err)
	w.mustPush("web: serve # two")
	w.eventually("the old ones are gone", func() bool { l, _ := w.host.Instances(ctx); return len(l) == 1 })
	if back := w.rollback(""); back.Kept || back.Release != 3 {
		t.Errorf("%+v", back)
	}
	for _, bad := range [][2]string{{"keep-previous", "soon"}, {"retention", "0"}, {"keep-types", "nope"}, {"nope", "1"}} {
		if _, err := w.SetReleases(ctx, w.call, platform.ReleaseSetInput{App: "blog", Key: bad[0], Value: bad[1]}); platform.KindOf(err) != platform.Usage {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func TestRollbackRestoresLinks(t *testing.T) {
	w := newWorld(t)
	w.pushTo("db", "web: serve")
	w.mustPush("web: serve")
	link := platform.LinkInput{App: "blog", To: "db", Port: 80}
	for range 2 {
		_, err := w.AddLink(ctx, w.call, link)
		w.check(err)
	}
	if w.current() != 2 {
		t.Fatalf("two links to the same made v%d", w.current())
	}
	_, err := w.RemoveLink(ctx, w.call, link)
	w.check(err)
	back := w.rollback("v2")
	links, err := w.Store.Links(ctx)
	w.check(err)
	if len(links) != 1 || len(back.Changes) != 1 || back.Changes[0].What != "link" || len(back.Undone) != 1 {
		t.Fatalf("%v, %+v", links, back)
	}
	if again := w.rollback("v2"); again.Release != 4 || w.current() != 4 {
		t.Errorf("a rollback without a change made v%d", w.current())
	}
}

func TestReleaseDiff(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	_, err := w.SetConfig(ctx, w.call, platform.SetConfigInput{App: "blog", Vars: []string{"TOKEN=a-very-long-secret-1234", "B=c"}})
	w.check(err)
	w.mustPush("web: serve # two\nworker: sleep")
	d, err := w.DiffReleases(ctx, w.call, platform.ReleaseDiffInput{App: "blog", From: "v1", To: "3"})
	w.check(err)
	var text strings.Builder
	w.check(d.Text(platform.Piped{Writer: &text}))
	for _, line := range []string{"process\tweb\tchanged\tserve\tserve # two", "process\tworker\tadded\t\tsleep", "config\tTOKEN\tadded\t\t********1234", "config\tB\tadded\t\t********"} {
		if !strings.Contains(text.String(), line+"\n") {
			t.Errorf("no %q in\n%s", line, &text)
		}
	}
	if strings.Contains(text.String(), "secret") {
		t.Errorf("it tells secrets:\n%s", &text)
	}
	info, err := w.ReleaseInfo(ctx, w.call, platform.ReleaseInput{App: "blog"})
	w.check(err)
	if info.Release != 3 || !info.Current || info.Processes["worker"] != "sleep" || info.Config["B"] != "********" {
		t.Errorf("%+v", info)
	}
	for _, bad := range []string{"v9", "x"} {
		if _, err := w.DiffReleases(ctx, w.call, platform.ReleaseDiffInput{App: "blog", From: bad}); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}
