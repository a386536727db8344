package gitreceive

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"paas/platform"
)

// A copy has the commits of the original, and what happens to one is nothing to the other.
func TestCopyOfARepository(t *testing.T) {
	r, err := OpenRepos(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	from, to := platform.App{ID: 1, Name: "blog"}, platform.App{ID: 2, Name: "staging"}
	if err := r.Copy(context.Background(), from, to); err != nil {
		t.Errorf("without an original: %v", err)
	}
	if _, err := r.open(from); err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	runGit(t, work, "init", "-q", "-b", "main")
	runGit(t, work, "-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "-q", "--allow-empty", "-m", "first")
	runGit(t, work, "push", "-q", r.path(from), "main")
	if err := r.Copy(context.Background(), from, to); err != nil {
		t.Fatal(err)
	}
	if err := r.Remove(from); err != nil {
		t.Fatal(err)
	}
	if log := runGit(t, r.path(to), "log", "--format=%s", "main"); log != "first" {
		t.Errorf("the copy has %q", log)
	}
	runGit(t, r.path(to), "fsck", "--strict")
	if left, err := os.ReadDir(filepath.Join(r.dir, "incoming")); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func runGit(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}
