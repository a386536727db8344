package gitreceive

import (
	"strings"
	"testing"

	"paas/platform"
)

func TestPushDeploys(t *testing.T) {
	t.Parallel()
	w := newDoor(t).work("hello")
	id := w.commit(map[string]string{"web.go": "package main\n", "dir/a": "a", "dir.txt": "b"})
	out := w.git("push", "paas", "main")
	has(t, out, "remote: -----> Created the app hello", "remote: -----> Building hello", "remote: =====> hello is live", "[new branch]      main -> main")
	if w.platform.read["web.go"] != "package main\n" || w.platform.files != 3 {
		t.Errorf("built %v", w.platform.read)
	}
	if got := w.bare("hello").git("rev-parse", "main"); got != id {
		t.Errorf("main is %s, want %s", got, id)
	}
	if branch := w.platform.app("hello").DeployBranch; branch != "main" {
		t.Errorf("%q deploys", branch)
	}
	push := w.platform.pushes[0]
	if push.Actor.Name != "alice" || push.Branch != "main" || push.Commit != id || push.Source.ID() != w.git("rev-parse", "HEAD^{tree}") {
		t.Errorf("pushed %+v", push)
	}
	w.sound("hello")
	w.commit(map[string]string{"web.go": "package web\n"})
	lacks(t, w.git("push", "paas", "main"), "Created")
	has(t, w.git("push", "paas", "main"), "Everything up-to-date")
	if n := w.platform.deploys(); n != 2 {
		t.Errorf("%d deploys", n)
	}
	w.sound("hello")
}

func TestFailedPushChangesNothing(t *testing.T) {
	t.Parallel()
	w := newDoor(t).work("hello")
	first := w.commit(map[string]string{"a": "1"})
	w.git("push", "paas", "main")
	before := w.bare("hello").git("count-objects", "-v")
	w.commit(map[string]string{"a": "2"})
	for reason, err := range map[string]*platform.Error{
		"build failed":         platform.Errorf(platform.Failed, "build failed: npm ci ended with 1").WithHint("read the lines above\nor ask a friend"),
		"release phase failed": platform.Errorf(platform.Failed, "release phase failed: `rake` exited with status 1"),
		"health check failed":  platform.Errorf(platform.Unhealthy, "web.1 does not listen on PORT (5000)"),
		"internal error":       platform.Errorf(platform.Internal, "something went wrong inside paas (reference 1)"),
		"deploy failed":        platform.Errorf(platform.Failed, "%s", strings.Repeat("very long words ", 10)),
	} {
		w.platform.set(func(m *memory) { m.fail = err })
		out := w.refused("push", "paas", "main")
		has(t, out, "! [remote rejected] main -> main ("+reason+")", "remote:  !     "+strings.TrimSpace(err.Message))
		if err.Hint != "" {
			has(t, out, "remote:        read the lines above", "remote:        or ask a friend")
		}
	}
	if got := w.bare("hello").git("rev-parse", "main"); got != first {
		t.Errorf("main moved to %s", got)
	}
	if after := w.bare("hello").git("count-objects", "-v"); after != before {
		t.Errorf("objects before:\n%s\nafter:\n%s", before, after)
	}
	w.platform.set(func(m *memory) { m.fail = nil })
	w.git("push", "paas", "main")
	w.sound("hello")
}
