package buildpacks

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"paas/buildpacks/treetest"
)

// goApp is the example with another line.
func goApp(t testing.TB, line int) *treetest.Tree {
	src := treetest.Dir(t, "../examples/go")
	src.Add("line.go", 0o100644, fmt.Appendf(nil, "package main\n\nconst line = %d\n\nfunc init() { _ = line }\n", line))
	return src
}

// A build after a change of one line costs little more than the compiler itself. The bound is wide: the machine that
// runs the tests does other things. BenchmarkGo tells the figure.
func TestGoOneLineIsAsFastAsByHand(t *testing.T) {
	b := newBench(t, "go")
	b.contain()
	b.Detect = Detect
	push, hand := goOneLine(b, 3)
	t.Logf("by push %v, by hand %v", push, hand)
	if push > 3*hand+2*time.Second {
		t.Errorf("a one-line change takes %v to build, by hand %v", push, hand)
	}
}

// goOneLine returns the best times of several changes: of the engine, and of go build in a directory.
func goOneLine(b *bench, changes int) (push, hand time.Duration) {
	app, dir := b.app(), b.t.TempDir()
	push, hand = time.Hour, time.Hour
	b.mustBuild(app, goApp(b.t, -1))
	toolchain, err := filepath.Glob(filepath.Join(b.dir, "store", "layers", "*", "opt", "go"))
	if err != nil || len(toolchain) == 0 {
		b.t.Fatalf("no toolchain: %v", err)
	}
	compile := func() time.Duration {
		cmd := exec.Command(filepath.Join(toolchain[0], "bin", "go"), "build", "-trimpath", "-ldflags=-s -w", "-o", "bin/", ".")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOTOOLCHAIN=local", "GOFLAGS=-modcacherw", "GOPATH="+filepath.Join(dir, ".go"), "GOCACHE="+filepath.Join(dir, ".cache"))
		start := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			b.t.Fatalf("%v\n%s", err, out)
		}
		return time.Since(start)
	}
	// Go's own packages are compiled once for both.
	if out, err := exec.Command("cp", "-a", filepath.Join(b.cacheDir(app.ID), "go-build"), filepath.Join(dir, ".cache")).CombinedOutput(); err != nil {
		b.t.Fatalf("%v\n%s", err, out)
	}
	everything := func(string) bool { return true }
	goApp(b.t, -1).Write(b.t, dir, everything)
	compile()
	for i := range changes {
		src := goApp(b.t, i)
		src.Write(b.t, dir, func(path string) bool { return strings.HasSuffix(path, "line.go") })
		hand = min(hand, compile())
		start := time.Now()
		b.mustBuild(app, src)
		push = min(push, time.Since(start))
	}
	return push, hand
}

func BenchmarkGoOneLine(bb *testing.B) {
	b := newBench(bb, "go")
	b.contain()
	b.Detect = Detect
	for bb.Loop() {
		push, hand := goOneLine(b, 10)
		bb.ReportMetric(float64(push.Milliseconds()), "push-ms")
		bb.ReportMetric(float64(hand.Milliseconds()), "hand-ms")
		bb.ReportMetric(float64(push)/float64(hand), "ratio")
	}
}
