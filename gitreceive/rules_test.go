package gitreceive

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"paas/platform"
)

func TestOtherBranchesAreRefused(t *testing.T) {
	t.Parallel()
	w := newDoor(t).work("hello")
	w.commit(map[string]string{"a": "1"})
	w.git("push", "paas", "main")
	w.git("checkout", "-q", "-b", "dev")
	w.commit(map[string]string{"a": "2"})
	has(t, w.refused("push", "paas", "dev"), "! [remote rejected] dev -> dev (main deploys)",
		"remote:  !     pushes of dev do not deploy, those of main do", "git push paas dev:main")
	w.git("push", "paas", "dev:main")
	if n := w.platform.deploys(); n != 2 {
		t.Errorf("%d deploys", n)
	}
}

func TestSeveralBranchesAtOnce(t *testing.T) {
	t.Parallel()
	w := newDoor(t).work("hello")
	w.commit(map[string]string{"a": "1"})
	w.git("branch", "abc")
	w.git("branch", "zed")
	has(t, w.refused("push", "paas", "--all"), "[new branch]      main -> main", "abc -> abc (main deploys)", "zed -> zed (main deploys)")
	if got := w.bare("hello").git("for-each-ref", "--format=%(refname)"); got != "refs/heads/main" {
		t.Errorf("the refs are %s", got)
	}
	w.commit(map[string]string{"a": "2"})
	has(t, w.refused("push", "--atomic", "paas", "main", "abc"), "main -> main (atomic push failed)", "abc -> abc (main deploys)")
	if n := w.platform.deploys(); n != 1 {
		t.Errorf("%d deploys", n)
	}
}

func TestFirstBranchDeploysWhateverItsName(t *testing.T) {
	t.Parallel()
	w := newDoor(t).work("hello")
	w.commit(map[string]string{"a": "1"})
	w.platform.set(func(m *memory) { m.fail = platform.Errorf(platform.Failed, "build failed") })
	w.refused("push", "paas", "main")
	if branch := w.platform.app("hello").DeployBranch; branch != "" {
		t.Errorf("a failed push made %s the deploy branch", branch)
	}
	w.platform.set(func(m *memory) { m.fail = nil })
	w.git("push", "paas", "main:live/eu")
	if got := w.bare("hello").git("symbolic-ref", "HEAD"); got != "refs/heads/live/eu" {
		t.Errorf("HEAD is %s", got)
	}
	has(t, w.refused("push", "paas", "main"), "those of live/eu do", "git push paas main:live/eu")
}

func TestForcePushDeploys(t *testing.T) {
	t.Parallel()
	w := newDoor(t).work("hello")
	w.commit(map[string]string{"a": "1"})
	w.git("push", "paas", "main")
	w.git("commit", "-q", "--amend", "-m", "another history")
	w.refused("push", "paas", "main")
	w.git("push", "--force", "paas", "main")
	if n := w.platform.deploys(); n != 2 {
		t.Errorf("%d deploys", n)
	}
	w.sound("hello")
}

func TestDeletions(t *testing.T) {
	t.Parallel()
	w := newDoor(t).work("hello")
	w.commit(map[string]string{"a": "1"})
	w.git("tag", "deep/v1")
	w.git("push", "paas", "main", "deep/v1")
	has(t, w.refused("push", "paas", ":main"), "main (the deploy branch stays)", "is the branch that deploys, so it cannot be deleted")
	w.bare("hello").git("update-ref", "refs/heads/old/one", "main")
	w.git("push", "paas", ":old/one", ":deep/v1")
	if got := w.bare("hello").git("for-each-ref", "--format=%(refname)"); got != "refs/heads/main" {
		t.Errorf("the refs are %s", got)
	}
	w.git("tag", "-d", "deep/v1")
	w.git("tag", "deep")
	w.git("push", "paas", "deep") // its folder is out of the way
	w.bare("hello").git("pack-refs", "--all")
	w.git("push", "paas", ":deep")
	if got := w.bare("hello").git("for-each-ref", "--format=%(refname)"); got != "refs/heads/main" {
		t.Errorf("the refs are %s", got)
	}
	if n := w.platform.deploys(); n != 1 {
		t.Errorf("%d deploys", n)
	}
}

func TestTagsAreKeptWithoutDeploy(t *testing.T) {
	t.Parallel()
	w := newDoor(t).work("hello")
	w.commit(map[string]string{"a": "1"})
	w.git("tag", "-a", "v1", "-m", "one")
	has(t, w.git("push", "paas", "v1"), "[new tag]         v1 -> v1")
	if n := w.platform.deploys(); n != 0 {
		t.Errorf("%d deploys", n)
	}
	w.bare("hello").git("cat-file", "-p", "v1^{tree}:a")
	w.sound("hello")
	w.git("push", "--follow-tags", "paas", "main")
	w.git("tag", "-f", "-a", "v1", "-m", "moved")
	w.git("push", "--force", "paas", "v1")
	if n := w.platform.deploys(); n != 1 {
		t.Errorf("%d deploys", n)
	}
}

func TestTagGoesDownWithItsBranch(t *testing.T) {
	t.Parallel()
	w := newDoor(t).work("hello")
	w.commit(map[string]string{"a": "1"})
	w.git("tag", "v1")
	w.platform.set(func(m *memory) { m.fail = platform.Errorf(platform.Failed, "build failed") })
	has(t, w.refused("push", "paas", "main", "v1"), "main -> main (build failed)", "v1 -> v1 (main was rejected)")
	if got := w.bare("hello").git("count-objects", "-v"); !strings.Contains(got, "in-pack: 0") || !strings.Contains(got, "count: 0") {
		t.Errorf("objects stayed: %s", got)
	}
}

func TestNamesThatAreRefused(t *testing.T) {
	t.Parallel()
	w := newDoor(t).work("hello")
	w.commit(map[string]string{"a": "1"})
	w.git("push", "paas", "main")
	has(t, w.refused("push", "paas", "main:refs/notes/x"), "only branches and tags are kept")
	w.git("push", "paas", "main:refs/tags/a")
	has(t, w.refused("push", "paas", "main:refs/tags/a/b"), "a is in the way")
	blob := w.git("rev-parse", "main:a")
	has(t, w.refused("push", "--force", "paas", blob+":refs/heads/main"), "not a commit")
	w.git("push", "paas", blob+":refs/tags/blob")
}

func TestEmptyRepository(t *testing.T) {
	t.Parallel()
	w := newDoor(t).work("hello")
	has(t, w.refused("push", "paas", "main"), "src refspec main does not match any")
}

func TestSubmoduleIsNamed(t *testing.T) {
	t.Parallel()
	w := newDoor(t).work("hello")
	id := w.commit(map[string]string{"a": "1"})
	w.git("update-index", "--add", "--cacheinfo", "160000,"+id+",vendor/theme")
	w.git("commit", "-q", "-m", "with a submodule")
	has(t, w.git("push", "paas", "main"), "remote:  !     \"vendor/theme\" is a submodule; submodules are not fetched in this version")
}

func TestShallowSource(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	w := d.work("hello")
	w.commit(map[string]string{"a": "1"})
	w.git("push", "paas", "main")
	w.commit(map[string]string{"a": "2"})
	w.commit(map[string]string{"a": "3"})
	shallow := &work{door: d, dir: t.TempDir(), env: w.env}
	shallow.git("clone", "-q", "--depth=1", "file://"+w.dir, ".")
	shallow.git("remote", "add", "paas", "paas@127.0.0.1:hello")
	shallow.commit(map[string]string{"a": "4"})
	has(t, shallow.refused("push", "--force", "paas", "main"), "your repository is a shallow clone", "git fetch --unshallow")
	if n := d.platform.deploys(); n != 1 {
		t.Errorf("%d deploys", n)
	}
	shallow.git("fetch", "-q", "--unshallow", "origin")
	shallow.git("push", "paas", "main")
	w.sound("hello")
}

func TestShallowCloneOfTheAppCanPush(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	w := d.work("hello")
	for _, s := range []string{"1", "2", "3"} {
		w.commit(map[string]string{"a": s})
	}
	w.git("push", "paas", "main")
	clone := &work{door: d, dir: t.TempDir(), env: w.env}
	clone.git("clone", "-q", "--depth=1", "-o", "paas", "paas@127.0.0.1:hello", ".")
	clone.commit(map[string]string{"a": "4"})
	clone.git("push", "paas", "main")
	w.sound("hello")
}

func TestOddFiles(t *testing.T) {
	t.Parallel()
	w := newDoor(t).work("hello")
	w.commit(map[string]string{
		"--help": "h", "\xff\xfe": "not UTF-8", "with space\nand line": "s", "empty": "", ".gitattributes": "* export-ignore\n",
		strings.Repeat("deep/", 60) + "file": "d",
	})
	must(t, os.Symlink("../../../etc/passwd", filepath.Join(w.dir, "out")))
	must(t, os.Chmod(filepath.Join(w.dir, "empty"), 0o755))
	w.git("add", "-A")
	w.git("commit", "-q", "-m", "odd")
	w.git("push", "paas", "main")
	read := w.platform.read
	if len(read) != 7 || read["out"] != "../../../etc/passwd" || read["\xff\xfe"] != "not UTF-8" || read["--help"] != "h" {
		t.Errorf("read %q", read)
	}
	files, err := w.platform.pushes[0].Source.Files()
	must(t, err)
	modes := map[string]platform.FileMode{}
	for _, f := range files {
		modes[f.Path] = f.Mode
	}
	if modes["out"] != platform.Symlink || modes["empty"] != platform.Executable || modes["--help"] != platform.Regular {
		t.Errorf("modes %v", modes)
	}
}

func TestDangerousTreesAreRefused(t *testing.T) {
	t.Parallel()
	w := newDoor(t).work("hello")
	w.commit(map[string]string{"a": "1"})
	tree := w.git("rev-parse", "HEAD^{tree}")
	for _, name := range []string{".git", ".GIT", "..", "git~1"} {
		bad := w.mktree("040000 tree " + tree + "\t" + name + "\n")
		commit := w.git("commit-tree", "-m", "bad", bad)
		out := w.refused("push", "paas", commit+":refs/heads/main")
		has(t, out, "git's data is refused", "(unpacker error)", `named "`+name+`"`)
	}
	if n := w.platform.deploys(); n != 0 {
		t.Errorf("%d deploys", n)
	}
}

// mktree writes a tree that git itself would not let pass.
func (w *work) mktree(listing string) string {
	w.t.Helper()
	mode, rest, _ := strings.Cut(listing, " tree ")
	id, name, _ := strings.Cut(rest, "\t")
	raw, err := parseID(id)
	must(w.t, err)
	body := strings.TrimPrefix(mode, "0") + " " + strings.TrimSuffix(name, "\n") + "\x00" + string(raw[:])
	cmd := w.command("hash-object", "-t", "tree", "--literally", "-w", "--stdin")
	cmd.Stdin = strings.NewReader(body)
	out, err := cmd.Output()
	must(w.t, err)
	return strings.TrimSpace(string(out))
}

func TestTreeWithoutEnd(t *testing.T) {
	t.Parallel()
	w := newDoor(t).work("hello")
	w.commit(map[string]string{"a": "1"})
	tree := w.git("rev-parse", "HEAD^{tree}")
	for range 8 { // 10 to the 8th files in 9 trees
		var listing strings.Builder
		for _, c := range "0123456789" {
			listing.WriteString("040000 tree " + tree + "\t" + string(c) + "\n")
		}
		cmd := w.command("mktree")
		cmd.Stdin = strings.NewReader(listing.String())
		out, err := cmd.Output()
		must(t, err)
		tree = strings.TrimSpace(string(out))
	}
	commit := w.git("commit-tree", "-m", "bomb", tree)
	has(t, w.refused("push", "paas", commit+":refs/heads/main"), "the commit has more than 1000000 files")
}

// noise does not compress.
func noise(bytes int) string {
	noise := make([]byte, bytes)
	seed := uint32(1)
	for i := range noise {
		seed = seed*1664525 + 1013904223
		noise[i] = byte(seed >> 24)
	}
	return string(noise)
}

// A pack ends at the disk's reserve, and is gone then.
func TestPackComesToTheReserve(t *testing.T) {
	t.Parallel()
	w := newDoor(t).work("hello")
	w.platform.room = 100 << 10
	w.commit(map[string]string{"big": noise(300 << 10)})
	has(t, w.refused("push", "paas", "main"), "the push does not fit on the server's disk", "ssh paas disk")
	left, err := os.ReadDir(w.repos.incoming())
	if n := w.platform.deploys(); n != 0 || err != nil || len(left) > 0 {
		t.Errorf("%d deploys, left %v, %v", n, left, err)
	}
}

func TestPackLimit(t *testing.T) {
	t.Parallel()
	w := newDoor(t, func(o *Options) { o.Limits.Bytes = 100 << 10 }).work("hello")
	w.commit(map[string]string{"big": noise(300 << 10)})
	has(t, w.refused("push", "paas", "main"), "the push is too big: the pack is bigger than 102400 bytes")
	if n := w.platform.deploys(); n != 0 {
		t.Errorf("%d deploys", n)
	}
}
