package gitreceive

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// clone clones the app with real git and returns the clone.
func (d *door) clone(app string, args ...string) *work {
	d.t.Helper()
	c := &work{door: d, dir: d.t.TempDir(), env: d.gitEnv(d.key)}
	c.git(append(append([]string{"clone", "-q", "-o", "paas"}, args...), "paas@127.0.0.1:"+app, ".")...)
	return c
}

// published is an app with some history.
func (d *door) published(app string, commits int) *work {
	d.t.Helper()
	w := d.work(app)
	for i := range commits {
		w.commit(map[string]string{"a": strings.Repeat(fmt.Sprintln("line", i), 100), fmt.Sprintf("dir/%d", i): "x"})
	}
	w.git("tag", "-a", "v1", "-m", "one")
	w.git("push", "paas", "main", "v1")
	return w
}

func TestClone(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	w := d.published("hello", 20)
	for _, protocol := range []string{"0", "1", "2"} {
		c := d.clone("hello", "-c", "protocol.version="+protocol)
		if c.git("rev-parse", "main", "v1") != w.git("rev-parse", "main", "v1") || c.git("status", "--porcelain") != "" {
			t.Errorf("protocol %s: the clone is another", protocol)
		}
		c.git("fsck", "--full", "--strict")
		if head := c.git("symbolic-ref", "HEAD"); head != "refs/heads/main" {
			t.Errorf("HEAD is %s", head)
		}
	}
}

func TestFetchBringsOnlyWhatIsNew(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	w := d.published("hello", 30)
	c := d.clone("hello")
	for range 3 {
		w.commit(map[string]string{"new": "n" + w.git("rev-parse", "HEAD")})
		w.git("push", "paas", "main")
	}
	out := c.git("-c", "fetch.unpackLimit=1", "fetch", "--no-tags", "paas", "main")
	if c.git("rev-parse", "FETCH_HEAD") != w.git("rev-parse", "main") {
		t.Errorf("fetched something else: %s", out)
	}
	packs, err := filepath.Glob(filepath.Join(c.dir, ".git/objects/pack/*.idx"))
	must(t, err)
	if len(packs) != 2 {
		t.Fatalf("%d packs", len(packs))
	}
	var least int
	for _, p := range packs {
		info, err := os.Stat(p)
		must(t, err)
		n := int(info.Size()-1072) / 28 // header, counts and checksums; then 28 bytes an object
		if least == 0 || n < least {
			least = n
		}
	}
	if least > 12 {
		t.Errorf("%d objects came for three commits of three objects", least)
	}
	has(t, c.git("pull", "paas", "main"), "Fast-forward")
	c.git("fsck", "--full")
}

func TestFetchWithHistoryOfOnesOwn(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	w := d.published("hello", 5)
	for _, version := range []string{"0", "2"} {
		c := d.clone("hello", "-c", "protocol.version="+version)
		for i := range 70 { // more than two rounds of haves
			c.commit(map[string]string{"own": fmt.Sprint(i)})
		}
		w.commit(map[string]string{"theirs": version})
		w.git("push", "paas", "main")
		c.git("pull", "-q", "--no-rebase", "--no-edit", "paas", "main")
		c.git("fsck", "--full")
	}
}

func TestShallowCloneAndUnshallow(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	w := d.published("hello", 10)
	c := d.clone("hello", "--depth=2", "--no-single-branch")
	if n := c.git("rev-list", "--count", "HEAD"); n != "2" {
		t.Errorf("%s commits", n)
	}
	c.git("fsck", "--full")
	c.git("fetch", "-q", "--depth=4", "paas")
	if n := c.git("rev-list", "--count", "HEAD"); n != "4" {
		t.Errorf("%s commits", n)
	}
	w.commit(map[string]string{"a": "new"})
	w.git("push", "paas", "main")
	c.git("pull", "-q", "paas", "main")
	c.git("fetch", "-q", "--unshallow", "paas")
	if n := c.git("rev-list", "--count", "HEAD"); n != "11" {
		t.Errorf("%s commits", n)
	}
	c.git("fsck", "--full")
}

func TestCloneOfNothing(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	w := d.work("hello")
	w.commit(map[string]string{"a": "1"})
	w.git("push", "--dry-run", "paas", "main")
	c := d.clone("hello")
	if out := c.git("branch", "-a"); out != "" {
		t.Errorf("branches: %s", out)
	}
	has(t, c.refused("-c", "protocol.version=0", "fetch", "paas", "main"), "couldn't find remote ref main")
}

func TestFormsOfTheAppsName(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	w := d.published("hello", 1)
	_, port, _ := strings.Cut(d.addr, ":")
	for _, url := range []string{
		"paas@127.0.0.1:hello", "paas@127.0.0.1:/hello", "paas@127.0.0.1:hello.git", "paas@127.0.0.1:~/hello",
		"ssh://paas@127.0.0.1:" + port + "/hello", "ssh://paas@127.0.0.1:" + port + "/hello.git/", "ssh://127.0.0.1:" + port + "/~/hello",
	} {
		if out := w.git("ls-remote", url, "main"); !strings.HasPrefix(out, w.git("rev-parse", "main")) {
			t.Errorf("%s: %s", url, out)
		}
	}
}

func TestArchiveIsRefused(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	w := d.published("hello", 1)
	has(t, w.refused("archive", "--remote=paas@127.0.0.1:hello", "main"), "git archive is not served here", "git clone --depth 1")
}

func TestWhoMayNotSeeAnAppLearnsNothing(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.published("private", 1)
	bob := d.workAs(d.addKey("bob", false), "private")
	bob.commit(map[string]string{"a": "1"})
	bob.git("remote", "add", "none", "paas@127.0.0.1:nothere")
	for _, args := range [][]string{{"push", "X", "main"}, {"fetch", "X"}, {"ls-remote", "X"}} {
		said := map[string]string{}
		for remote, app := range map[string]string{"paas": "private", "none": "nothere"} {
			line := append([]string(nil), args...)
			line[1] = remote
			out := bob.refused(line...)
			has(t, out, "remote error: there is no app \""+app+"\", or you may not see it")
			said[remote] = strings.ReplaceAll(out, app, "APP")
		}
		if said["paas"] != said["none"] {
			t.Errorf("%v tells them apart:\n%s\n%s", args, said["paas"], said["none"])
		}
	}
}

func TestBadAppName(t *testing.T) {
	t.Parallel()
	w := newDoor(t).work("Not_A_Name")
	w.commit(map[string]string{"a": "1"})
	has(t, w.refused("push", "paas", "main"), "is not an app name")
}
