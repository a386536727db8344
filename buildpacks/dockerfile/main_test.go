package dockerfile_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"paas/buildpacks"
	"paas/buildpacks/dockerfile"
	"paas/buildpacks/dockerfile/wire"
	"paas/buildpacks/treetest"
	"paas/platform"
	"paas/runtime/image/exchange"
	"paas/runtime/runtimetest"
	"paas/runtime/runtimetest/sandbox"
)

// TestMain runs the tests with the real runtime, in a machine of their own as far as namespaces go. With the
// word builder it is the builder process.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "builder" {
		if err := builderMain(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "builder:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(sandbox.Main(m))
}

func builderMain(args []string) error {
	p := dockerfile.Process{Serve: 3, Daemon: 4, Stderr: os.Stderr}
	set := flag.NewFlagSet("builder", flag.ContinueOnError)
	set.StringVar(&p.Dir, "dir", "", "")
	set.StringVar(&p.Store, "store", "", "")
	set.BoolVar(&p.Private, "private", false, "")
	if err := set.Parse(args); err != nil {
		return err
	}
	return dockerfile.Main(context.Background(), p)
}

// bench is an engine over a runtime, with busybox as the only image.
type bench struct {
	*buildpacks.Engine
	*runtimetest.Host
	t     testing.TB
	apps  int64
	limit platform.Limits
	base  wire.Base
	idle  time.Duration
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{t: t, Host: runtimetest.New(t), limit: platform.Limits{Memory: 256 << 20, Processes: 64, CPUs: 2}}
	config, err := json.Marshal(ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"},
		Config: ocispec.ImageConfig{Env: []string{"PATH=/bin:/usr/bin"}, Cmd: []string{"sh"}}})
	check(t, err)
	b.base = wire.Base{Digest: buildpacks.LayersDigest([]string{runtimetest.Base}, config), Layers: []string{runtimetest.Base}, Config: config}
	b.open()
	t.Cleanup(func() { check(t, b.Engine.Close()); b.races() })
	return b
}

// open opens the engine, as after a restart if it was open before.
func (b *bench) open() {
	b.t.Helper()
	x, err := exchange.Open(exchange.Options{Dir: filepath.Join(b.Dir, "made"), Images: b.Images})
	check(b.t, err)
	b.Engine, err = buildpacks.Open(buildpacks.Options{
		Dir: filepath.Join(b.Dir, "build"), Images: b.Images, Executor: b.Host.Runtime, Limits: b.limit,
		Log: slog.New(slog.NewTextHandler(b.t.Output(), nil)),
		Docker: buildpacks.Docker{
			Command: []string{"/proc/self/exe", "builder"}, Private: true, Describe: x.Plain, Idle: b.idle,
			Environ: []string{"GORACE=exitcode=0 log_path=" + filepath.Join(b.Dir, "race")},
			Base: func(_ context.Context, name string, _ *platform.Story) (wire.Base, error) {
				if strings.HasPrefix(name, "docker.io/library/busybox") {
					return b.base, nil
				}
				return wire.Base{}, platform.Errorf(platform.Failed, "the image %s cannot be had", name)
			},
		},
	})
	check(b.t, err)
}

// races fails for what the race detector says of the builder, but for what BuildKit 0.33 does to itself: every
// stage sets the same flag to the same value.
func (b *bench) races() {
	reports, err := filepath.Glob(filepath.Join(b.Dir, "race.*"))
	check(b.t, err)
	for _, name := range reports {
		text, err := os.ReadFile(name)
		check(b.t, err)
		for report := range strings.SplitSeq(string(text), "WARNING: DATA RACE") {
			if strings.Contains(report, "Write at") && !strings.Contains(report, "builder/resolvecache.go:30") {
				b.t.Errorf("the builder has a race:\n%s", report)
			}
		}
	}
}

func (b *bench) app() platform.App {
	b.apps++
	return platform.App{ID: sandbox.App(int(b.apps % 8)), Name: platform.AppName(fmt.Sprintf("app-%d", b.apps))}
}

func (b *bench) build(ctx context.Context, app platform.App, config platform.Config, tree platform.Tree) (platform.Image, string, error) {
	var out safeBuffer
	img, err := b.Build(ctx, platform.BuildRequest{
		App: app, Source: tree, Commit: strings.Repeat("1", 40), Config: config, Story: platform.NewStory(&out, nil),
	})
	return img, out.String(), err
}

func (b *bench) mustBuild(app platform.App, tree platform.Tree) (platform.Image, string) {
	b.t.Helper()
	img, told, err := b.build(b.t.Context(), app, nil, tree)
	if err != nil {
		b.t.Fatalf("%v\n%s", err, told)
	}
	return img, told
}

// run runs a command in the image and returns what it says.
func (b *bench) run(app platform.App, img platform.Image, command string) string {
	b.t.Helper()
	d, err := b.Images.Draft()
	check(b.t, err)
	defer func() { _ = d.Discard() }()
	var out safeBuffer
	exit, err := b.Step(b.t.Context(), platform.StepSpec{
		AppID: app.ID, App: app.Name, Name: "look", Layers: img.Layers, Upper: d.Dir, Env: img.Env, Dir: img.WorkDir,
		UID: img.UID, GID: img.GID, Groups: img.Groups, Argv: []string{"/bin/sh", "-c", command},
	}, &out)
	check(b.t, err)
	if exit.Code != 0 {
		b.t.Fatalf("`%s` %s: %s", command, exit, out.String())
	}
	return strings.TrimSpace(out.String())
}

func files(pairs ...string) *treetest.Tree {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return treetest.Files(m)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		var human *platform.Error
		if errors.As(err, &human) {
			t.Fatalf("%v (%s)", err, human.Hint)
		}
		t.Fatal(err)
	}
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for range 1500 {
		if holds() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
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
