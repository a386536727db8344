package platform_test

import (
	"slices"
	"strings"
	"testing"

	"paas/platform"
)

// phasesTold are the commands of a deploy in the order in which the pusher saw them.
func phasesTold(out string) (list []string) {
	for line := range strings.SplitSeq(out, "\n") {
		if what, ok := strings.CutPrefix(line, "-----> Running the "); ok {
			list = append(list, what)
		} else if strings.HasPrefix(line, "-----> Launching") {
			list = append(list, "launch")
		}
	}
	return list
}

const scripted = `image: {"Scripts": {"predeploy": "write", "postdeploy": "echo warm", "first": "echo seeded"}}`

func TestScriptsRunInTheirOrder(t *testing.T) {
	_, book, _ := library(t)
	w := newWorld(t)
	w.Logbook = book
	out := w.mustPush("web: serve\nrelease: echo migrated\n" + scripted)
	want := []string{"predeploy script: write", "release command: echo migrated", "launch", "postdeploy script: echo seeded", "postdeploy script: echo warm"}
	if got := phasesTold(out); !slices.Equal(got, want) {
		t.Fatalf("%q", got)
	}
	r, err := w.Store.Release(ctx, "blog", 1)
	w.check(err)
	if !slices.Contains(r.Image.Layers, "predeploy-1") {
		t.Fatalf("what the predeploy script wrote is not in the image: %v", r.Image.Layers)
	}
	for _, line := range []string{"migrated", "seeded", "warm"} {
		w.noted(line)
	}
	out = w.mustPush("web: serve # two\nrelease: echo migrated\n" + scripted)
	want = slices.Delete(want, 3, 4) // Heroku's postdeploy is for the first deploy
	if got := phasesTold(out); !slices.Equal(got, want) {
		t.Fatalf("%q", got)
	}
}

// noted fails unless a command of a release left a line in the app's log.
func (w *world) noted(text string) {
	w.t.Helper()
	found := false
	chosen := platform.LogFilter{App: "blog", Sources: []platform.LogSource{platform.LogRelease}, Last: platform.AllLines}
	w.check(w.Logbook.Read(ctx, chosen, func(l platform.LogEntry) error {
		found = found || strings.Contains(l.Text, text)
		return nil
	}))
	if !found {
		w.t.Errorf("the log has no %q", text)
	}
}

func TestScriptsThatFailRejectThePush(t *testing.T) {
	for name, tc := range map[string]struct{ push, says string }{
		"predeploy":  {`image: {"Scripts": {"predeploy": "exit 4"}}`, "the predeploy script failed: `exit 4` exited with status 4"},
		"postdeploy": {`image: {"Scripts": {"postdeploy": "exit 5"}}`, "the postdeploy script failed: `exit 5` exited with status 5"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if _, err := w.push("web: serve # first\n" + tc.push); err == nil || w.current() != 0 || w.table.backends("blog") != 0 {
				t.Fatalf("error %v, v%d, %d backends", err, w.current(), w.table.backends("blog"))
			}
			w.mustPush("web: serve")
			good := w.current()
			_, err := w.push("web: serve # two\n" + tc.push)
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Fatalf("error %v", err)
			}
			w.eventually("only the good release runs", func() bool { return w.running(good) == 1 && w.running(good+1) == 0 })
			if w.current() != good || w.table.backends("blog") != 1 {
				t.Fatalf("v%d, %d backends", w.current(), w.table.backends("blog"))
			}
		})
	}
}

// The first formation is stored with the first release, so that what a failed push asked for binds nobody.
func TestFormationOfAFailedFirstPushIsNotKept(t *testing.T) {
	w := newWorld(t)
	if _, err := w.push("web: exit 3\nworker: sleep\n" + `image: {"Formation": {"web": 3, "worker": 2}}`); err == nil {
		t.Fatal("it went live")
	}
	w.mustPush("web: serve\nworker: sleep\n" + `image: {"Formation": {"web": 2}}`)
	f, err := w.Store.Formation(ctx, "blog")
	w.check(err)
	if f["web"] != 2 || f["worker"] != 0 || w.table.backends("blog") != 2 {
		t.Fatalf("formation %v, %d backends", f, w.table.backends("blog"))
	}
	out := w.mustPush("web: serve\nworker: sleep\n" + `image: {"Formation": {"web": 5}}`)
	if !strings.Contains(out, "app.json has 5 of web: that held for the first deploy") || w.table.backends("blog") != 2 {
		t.Fatalf("%d backends\n%s", w.table.backends("blog"), out)
	}
}

func TestScaleBeforeTheFirstPushKeepsWeb(t *testing.T) {
	w := newWorld(t)
	_, err := w.Create(ctx, w.call, platform.CreateInput{App: "blog"})
	w.check(err)
	_, err = w.Scale(ctx, w.call, platform.ScaleInput{App: "blog", Changes: []string{"worker=1"}})
	w.check(err)
	w.mustPush("web: serve\nworker: sleep")
	if n := w.running(1); n != 2 {
		t.Fatalf("%d run", n)
	}
}

// setPhase is ps:set of the release phase.
func (w *world) setPhase(key, value string) error {
	_, err := w.SetProcessProperty(ctx, w.call, platform.PropertyInput{App: "blog", Key: key, Value: value})
	return err
}

func TestReleaseCommandRunsForWhatIsNew(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve\nrelease: echo migrated")
	ran := func(what func()) bool {
		w.err.Reset()
		what()
		return strings.Contains(w.err.String(), "Running the release command")
	}
	set := func() {
		_, err := w.SetConfig(ctx, w.call, platform.SetConfigInput{App: "blog", Vars: []string{"A=" + w.err.String() + "x"}})
		w.check(err)
	}
	back := func() {
		_, err := w.Rollback(ctx, w.call, platform.RollbackInput{App: "blog", Release: "v1"})
		w.check(err)
	}
	if !ran(set) || ran(back) {
		t.Fatal("by default it runs for config vars, and not for a rollback")
	}
	w.check(w.setPhase("release-phase", "deploys"))
	if ran(set) {
		t.Fatal("deploys: it ran for config vars")
	}
	w.check(w.setPhase("release-phase", "all"))
	if !ran(back) {
		t.Fatal("all: it did not run for a rollback")
	}
	if r, err := w.ReportProcesses(ctx, w.call, platform.ReportInput{App: "blog"}); err != nil || r[0].ReleasePhase != "all" || r[0].ReleaseTimeout != "1h" {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, bad := range [][2]string{{"release-phase", "never"}, {"release-timeout", "5"}, {"release-timeout", "25h"}} {
		if err := w.setPhase(bad[0], bad[1]); platform.KindOf(err) != platform.Usage {
			t.Errorf("%v: %v", bad, err)
		}
	}
}
