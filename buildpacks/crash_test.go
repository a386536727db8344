package buildpacks

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"paas/buildpacks/treetest"
	"paas/platform"
	"paas/runtime/image"
)

// crasher makes the test binary a builder that is killed: it builds one tree after the other in the bench
// whose directory the variable names.
const crasher = "PAAS_TEST_BUILD_IN"

// crashTrees change in many files at a time, so that there is something to interrupt.
func crashTree(n int) *treetest.Tree {
	m := map[string]string{}
	for i := range 300 {
		m[fmt.Sprintf("d%d/f%d", i%10, i)] = fmt.Sprint(i, (i*7+n)%5)
	}
	return treetest.Files(m)
}

func crash(dir string) error {
	images, err := image.Open(filepath.Join(dir, "store"))
	if err != nil {
		return err
	}
	b := &bench{dir: dir, steps: &counter{Executor: chroots{images}}}
	if b.Engine, err = Open(Options{Dir: filepath.Join(dir, "build"), Images: images, Executor: b.steps}); err != nil {
		return err
	}
	b.plans(commands("cat d*/f* > all; head -c 3M /dev/zero > big"))
	for n := 1; ; n++ {
		if _, told, err := b.build(context.Background(), platform.App{ID: 7, Name: "crashed"}, crashTree(n)); err != nil {
			return fmt.Errorf("%w\n%s", err, told)
		}
		fmt.Println("built")
	}
}

// kill -9 at any moment leaves whole layers, and drafts that the next start removes.
func TestKill(t *testing.T) {
	b := newBench(t)
	b.plans(commands("cat d*/f* > all; head -c 3M /dev/zero > big"))
	for range 8 {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), crasher+"="+b.dir, "TMPDIR="+b.dir)
		out := &safeBuffer{}
		cmd.Stdout, cmd.Stderr = out, out
		check(t, cmd.Start())
		time.Sleep(200*time.Millisecond + rand.N(600*time.Millisecond))
		check(t, cmd.Process.Kill())
		if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("%v\n%s", err, out.String())
		}
	}
	_, err := image.Open(filepath.Join(b.dir, "store"))
	check(t, err)
	if left := b.drafts(); len(left) > 0 {
		t.Errorf("drafts are left: %v", left)
	}
	for n := range 6 {
		src, app := crashTree(n), platform.App{ID: 7, Name: "crashed"}
		img, _ := b.mustBuild(app, src)
		got := strings.Fields(b.run(app, img, "cat d*/f* | cmp - all && stat -c %s big && find . -type f | wc -l"))
		if strings.Join(got, " ") != fmt.Sprint(3<<20, 302) {
			t.Errorf("tree %d: %v", n, got)
		}
	}
}
