package buildpacks

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"paas/buildpacks/plan"
	"paas/platform"
)

// What Prepare made is found the second time, at no cost.
func TestPrepare(t *testing.T) {
	e := hostEngine(t)
	if err := e.Prepare(t.Context(), platform.NewStory(t.Output(), nil)); err != nil {
		t.Fatalf("%v (%s)", err, hint(err))
	}
	var told safeBuffer
	check(t, e.Prepare(t.Context(), platform.NewStory(&told, nil)))
	if told.String() != "" {
		t.Errorf("the second Prepare has something to tell:\n%s", told.String())
	}
	text, err := os.ReadFile(filepath.Join(e.appIndex(hostApp), layersFile))
	check(t, err)
	layers := strings.Fields(string(text))
	for _, layer := range layers {
		if !e.Images.Has(layer) {
			t.Errorf("layer %s is named and not there", layer)
		}
	}
	if len(layers) != len(common)+2 {
		t.Errorf("Prepare made the layers %v", layers)
	}
}

// Steps run as the app's user in /app, over everything below them, with a scratch home and CI set.
func TestStepSurroundings(t *testing.T) {
	b := newBench(t)
	app := b.app()
	b.plans(commands(`echo "$(id -u):$(id -g) $PWD $HOME $CI $(cat hello)" > said`, "touch ~/dropped /tmp/dropped", "umask 022 && mkdir made"))
	img, told := b.mustBuild(app, files("hello", "hi there"))
	if got := b.run(app, img, "cat said"); got != "1000:1000 /app /tmp/home true hi there" {
		t.Errorf("the step says %q", got)
	}
	if got := b.run(app, img, "stat -c '%u:%g %a' . said made; ls /tmp"); got != "1000:1000 755\n1000:1000 644\n1000:1000 755" {
		t.Errorf("owners, modes and /tmp are %q", got)
	}
	if !strings.Contains(told, "       $ touch ~/dropped /tmp/dropped\n") {
		t.Errorf("the commands are not told:\n%s", told)
	}
	if img.UID != 1000 || img.WorkDir != "/app" || !strings.HasPrefix(img.ID, "sha256:") || img.Shell[0] != "/bin/bash" {
		t.Errorf("image %+v", img)
	}
	if _, err := os.Stat(b.scratchDir(app.ID)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the scratch directory is left: %v", err)
	}
}

// Apps of a team share layers, those of others and an app whose owner wants that do not, and still have their own from
// build to build.
func TestWhoseLayers(t *testing.T) {
	b := newBench(t)
	b.plans(commands("echo made > out"))
	src := files("a", "1")
	one, two, three := b.app(), b.app(), b.app()
	for i, c := range []struct {
		app  platform.App
		team string
		own  bool
		ran  int32
	}{
		{one, "", false, 1}, {two, "", false, 1}, {one, "ann", false, 2}, {two, "ann", false, 2}, {three, "bob", false, 3},
		{two, "ann", true, 4}, {two, "bob", true, 4}, {three, "ann", true, 5}, {three, "", false, 5},
	} {
		_, err := b.Build(t.Context(), platform.BuildRequest{
			App: c.app, Source: src, Team: c.team, Alone: c.own, Story: platform.NewStory(t.Output(), nil),
		})
		check(t, err)
		if got := b.steps.ran.Load(); got != c.ran {
			t.Errorf("build %d: %d runs, want %d", i, got, c.ran)
		}
	}
}

// A dependency layer serves every app with the same lockfile; another lockfile makes another.
func TestDependenciesAreShared(t *testing.T) {
	b := newBench(t)
	b.plans(plan.Plan{Builder: plan.Procfile, Steps: []plan.Step{
		{Name: "dependencies", Files: []string{"list", "list.lock"}, Commands: []string{"mkdir modules && cp list.lock modules/installed"}},
		{Name: "app", Files: []string{"/"}, Except: []string{"modules/"}},
	}})
	one, two := b.app(), b.app()
	first, told := b.mustBuild(one, files("list", "a", "list.lock", "a 1", "main", "1"))
	if !strings.Contains(told, "-----> Installing dependencies\n       $ mkdir modules") {
		t.Errorf("told:\n%s", told)
	}
	second, told := b.mustBuild(two, files("list", "a", "list.lock", "a 1", "main", "another app"))
	if !strings.Contains(told, "Using cached dependencies (list.lock unchanged)") || b.steps.ran.Load() != 1 {
		t.Errorf("the second app installs again:\n%s", told)
	}
	if first.Layers[1] != second.Layers[1] || first.ID == second.ID {
		t.Errorf("layers %v and %v, ids %s and %s", first.Layers, second.Layers, first.ID, second.ID)
	}
	third, _ := b.mustBuild(two, files("list", "a", "list.lock", "a 2", "main", "another app"))
	if b.steps.ran.Load() != 2 || b.run(two, third, "cat modules/installed") != "a 2" {
		t.Error("a changed lockfile does not install again")
	}
}

// Equal trees make equal images, whatever the history of the app; a build again runs nothing.
func TestEqualTreesEqualImages(t *testing.T) {
	b := newBench(t)
	b.plans(commands("cp in out"))
	one, two := b.app(), b.app()
	many := []string{"in", "1"}
	for _, name := range strings.Fields("a b c d e f g h") {
		many = append(many, name, name)
	}
	b.mustBuild(one, files(append(many, "gone", "soon")...))
	first, _ := b.mustBuild(one, files(many...))
	second, _ := b.mustBuild(two, files(many...))
	if first.ID != second.ID {
		t.Errorf("ids %s and %s", first.ID, second.ID)
	}
	before := b.steps.ran.Load()
	again, told := b.mustBuild(one, files(many...))
	if again.ID != first.ID || b.steps.ran.Load() != before || !strings.Contains(told, "Using cached build") {
		t.Errorf("the same tree is built again:\n%s", told)
	}
}

func TestBuildOnlyLayersStayOut(t *testing.T) {
	b := newBench(t)
	app := b.app()
	b.plans(plan.Plan{Builder: plan.Procfile, Path: []string{"/app/bin"}, Steps: []plan.Step{
		{Name: "source", Files: []string{"/"}, Build: true},
		{Name: "build", Commands: []string{"mkdir -p bin tmp/deep && cp code bin/program && touch tmp/deep/x tmp/$'\\xff' && chmod +x bin/program"}, Output: []string{"bin/"}},
	}})
	img, _ := b.mustBuild(app, files("code", "#!/bin/sh\necho works"))
	if got := b.run(app, img, "program; find . | sort"); got != "works\n.\n./bin\n./bin/program" {
		t.Errorf("the image has %q", got)
	}
}

// Builds that need the same layer at the same time make it once.
func TestSingleFlight(t *testing.T) {
	b := newBench(t)
	b.plans(commands("sleep 3; touch done"))
	var wg sync.WaitGroup
	var waited atomic.Int32
	for range 4 {
		app := b.app()
		wg.Go(func() {
			_, told, err := b.build(t.Context(), app, files("a", "a"))
			if err != nil {
				t.Errorf("%v\n%s", err, told)
			}
			if strings.Contains(told, "Waiting for another build, which makes the same layer\n       Using cached build") {
				waited.Add(1)
			}
		})
	}
	wg.Wait()
	if n := waited.Load(); n != 3 {
		t.Errorf("%d builds waited", n)
	}
	if n := b.steps.ran.Load(); n != 1 {
		t.Errorf("the step ran %d times", n)
	}
}

func TestCancel(t *testing.T) {
	b := newBench(t)
	b.plans(commands("echo $$ > /tmp/started; exec sleep 4321"))
	app := b.app()
	ctx, cancel := context.WithCancel(t.Context())
	started := filepath.Join(b.scratchDir(app.ID), "started")
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat(started); err == nil {
				cancel()
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	at := time.Now()
	_, told, err := b.build(ctx, app, files("a", "a"))
	if !errors.Is(err, context.Canceled) || time.Since(at) > 20*time.Second {
		t.Errorf("after %s: %v\n%s", time.Since(at), err, told)
	}
	if left := b.drafts(); len(left) > 0 {
		t.Errorf("drafts are left: %v", left)
	}
	if procs := running(t, "4321"); len(procs) > 0 {
		t.Errorf("processes are left: %v", procs)
	}
	b.plans(commands("echo fine"))
	b.mustBuild(app, files("a", "a"))
}

// running lists processes with the argument.
func running(t *testing.T, arg string) (found []string) {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	check(t, err)
	for _, l := range lines {
		if text, err := os.ReadFile(l); err == nil && strings.Contains(string(text), "sleep\x00"+arg) {
			found = append(found, l)
		}
	}
	return found
}

func TestFailures(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct{ command, message, hint string }{
		{"echo I am sad; exit 3", "build failed: `echo I am sad; exit 3` exited with status 3", "the lines above"},
		{"no-such-program --now", "exited with status 127", "is it among the dependencies?"},
		{"./code", "exited with status 126", "update-index --chmod=+x"},
		{"echo 'npm error request to x failed, reason: getaddrinfo ENOTFOUND registry.example.com'; exit 1", "exited with status 1", "could not reach registry.example.com"},
		{"false; echo not reached", "exited with status 1", "the lines above"},
	} {
		b.plans(commands(c.command))
		_, told, err := b.build(t.Context(), b.app(), files("code", "x"))
		if platform.KindOf(err) != platform.Failed || !strings.Contains(err.Error(), c.message) || !strings.Contains(hint(err), c.hint) {
			t.Errorf("%s: %v (hint %q)", c.command, err, hint(err))
		}
		if strings.Contains(told, "       not reached") {
			t.Errorf("%s: told:\n%s", c.command, told)
		}
	}
	if left := b.drafts(); len(left) > 0 {
		t.Errorf("drafts are left: %v", left)
	}
}

func TestUnknownToolchain(t *testing.T) {
	b := newBench(t)
	b.plans(plan.Plan{Toolchains: []plan.Toolchain{{Name: "cobol"}}})
	if _, _, err := b.build(t.Context(), b.app(), files("a", "a")); err == nil || !strings.Contains(err.Error(), "cobol") {
		t.Error(err)
	}
}
