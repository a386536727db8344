package buildpacks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"paas/buildpacks/plan"
	"paas/buildpacks/treetest"
	"paas/platform"
	"paas/runtime/image"
)

// shared keeps between runs what takes minutes to make and is the same for all: the base image and
// toolchains. Tests have a store of their own with hard links to it.
const shared = "/var/tmp/paas-test"

// bench is an engine over a store of its own.
type bench struct {
	*Engine
	t     testing.TB
	dir   string
	steps *counter
	apps  int64
}

// counter counts the steps that really run.
type counter struct {
	Executor
	ran atomic.Int32
}

func (c *counter) Step(ctx context.Context, s platform.StepSpec, out io.Writer) (platform.Exit, error) {
	c.ran.Add(1)
	return c.Executor.Step(ctx, s, out)
}

// hostEngine is over what all tests share.
func hostEngine(t testing.TB) *Engine {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("builds make mounts and namespaces: run the tests as root")
	}
	images, err := image.Open(filepath.Join(shared, "store"))
	check(t, err)
	e, err := Open(Options{
		Dir: filepath.Join(shared, "build"), Images: images, Executor: chroots{images},
		Machine: ReadMachine(context.Background(), os.Getenv), Static: "/proc/self/exe",
	})
	check(t, err)
	t.Cleanup(func() { check(t, e.Close()) })
	return e
}

// newBench has the base image and the toolchains named: "tools" are compilers, "+a,b" are Debian packages.
func newBench(t testing.TB, toolchains ...string) *bench {
	t.Helper()
	host := hostEngine(t)
	dir, err := os.MkdirTemp(filepath.Dir(shared), "paas-engine-")
	check(t, err)
	t.Cleanup(func() { check(t, os.RemoveAll(dir)) })
	images, err := image.Open(filepath.Join(dir, "store"))
	check(t, err)
	for _, layer := range hostLayers(t, host, toolchains) {
		link(t, host.Images.Dir(layer), images.Dir(layer))
	}
	link(t, filepath.Join(host.Dir, "known"), filepath.Join(dir, "build", "known"))
	b := &bench{t: t, dir: dir, steps: &counter{Executor: chroots{images}}, apps: 100}
	b.Engine, err = Open(Options{
		Dir: filepath.Join(dir, "build"), Images: images, Executor: b.steps, Machine: host.Machine,
		Static: "/proc/self/exe", Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	check(t, err)
	t.Cleanup(func() { check(t, b.Close()) })
	return b
}

func hostLayers(t testing.TB, host *Engine, toolchains []string) []string {
	t.Helper()
	story := platform.NewStory(t.Output(), nil)
	base, err := host.baseLayer(t.Context(), story)
	check(t, err)
	layers := []string{base}
	for _, name := range toolchains {
		if name == "tools" {
			layer, err := host.packages(t.Context(), base, buildPackages, story)
			check(t, err)
			layers = append(layers, layer)
			continue
		}
		if pkg, ok := strings.CutPrefix(name, "+"); ok {
			layer, err := host.packages(t.Context(), base, strings.Split(pkg, ","), story)
			check(t, err)
			layers = append(layers, layer)
			continue
		}
		name, version, _ := strings.Cut(name, "@")
		m, err := host.toolchain(t.Context(), base, plan.Toolchain{Name: name, Version: version}, story)
		check(t, err)
		layers = append(layers, m.layer)
	}
	return layers
}

// link copies a tree by hard links: layers are never written to.
func link(t testing.TB, from, to string) {
	t.Helper()
	check(t, os.MkdirAll(filepath.Dir(to), 0o700))
	if out, err := exec.Command("cp", "-al", from, to).CombinedOutput(); err != nil {
		t.Fatalf("link %s: %v\n%s", from, err, out)
	}
}

// app is a new app.
func (b *bench) app() platform.App {
	b.apps++
	return platform.App{ID: b.apps, Name: platform.AppName(fmt.Sprint("app-", b.apps))}
}

// plans makes the engine use the plan for every source.
func (b *bench) plans(p plan.Plan) {
	b.Detect = func(context.Context, platform.Tree) (plan.Plan, error) { return p, nil }
}

// commands is a plan of the whole source and then the commands.
func commands(list ...string) plan.Plan {
	return plan.Plan{Builder: plan.Procfile, Steps: []plan.Step{
		{Name: "app", Files: []string{"/"}}, {Name: "build", Commands: list},
	}}
}

// build builds and returns what was told.
func (b *bench) build(ctx context.Context, app platform.App, src platform.Tree) (platform.Image, string, error) {
	var out safeBuffer
	story := platform.NewStory(&out, nil)
	img, err := b.Build(ctx, platform.BuildRequest{App: app, Source: src, Commit: strings.Repeat("1", 40), Story: story})
	return img, out.String(), err
}

func (b *bench) mustBuild(app platform.App, src platform.Tree) (platform.Image, string) {
	b.t.Helper()
	img, told, err := b.build(b.t.Context(), app, src)
	if err != nil {
		b.t.Fatalf("%v (%s)\n%s", err, hint(err), told)
	}
	return img, told
}

func hint(err error) string {
	var e *platform.Error
	if errors.As(err, &e) {
		return e.Hint
	}
	return ""
}

// run runs a command in the image, as its user.
func (b *bench) run(app platform.App, img platform.Image, command string) string {
	b.t.Helper()
	var out safeBuffer
	check(b.t, b.scratch(func(dir string) error {
		exit, err := b.Executor.Step(b.t.Context(), platform.StepSpec{
			AppID: app.ID, App: app.Name, Name: "look", Layers: img.Layers, Upper: dir, Env: img.Env, Dir: img.WorkDir,
			UID: img.UID, GID: img.GID, Argv: append(append([]string(nil), img.Shell...), command),
		}, &out)
		if err == nil && exit.Code != 0 {
			err = fmt.Errorf("`%s` %s: %s", command, exit, out.String())
		}
		return err
	}))
	return strings.TrimSpace(out.String())
}

// drafts lists what is left of unfinished layers.
func (b *bench) drafts() []string {
	b.t.Helper()
	found, err := filepath.Glob(filepath.Join(b.dir, "store", "drafts", "*"))
	check(b.t, err)
	return found
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func files(pairs ...string) *treetest.Tree {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return treetest.Files(m)
}

type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
