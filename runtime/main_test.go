package runtime

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"paas/platform"
	"paas/runtime/image"
	"paas/runtime/network"
	"paas/runtime/runtimetest/program"
	"paas/runtime/runtimetest/sandbox"
)

// TestMain runs all tests in a sandbox. With RUNTIME_TEST_DAEMON the program is the daemon that a test kills.
func TestMain(m *testing.M) {
	if os.Getenv("RUNTIME_TEST_DAEMON") != "" {
		os.Exit(daemon())
	}
	os.Exit(sandbox.Main(m))
}

// bench is everything a test needs. One at a time lives in a test.
type bench struct {
	*Runtime
	t      testing.TB
	dir    string
	images *image.Store
	net    *network.Network
	log    *sandbox.Buffer
}

// settle waits for what the runtime does in the background.
func (b *bench) settle() {
	for _, p := range b.pools {
		p.work.Wait()
	}
	b.janitor.tasks.Wait()
}

// directories counts those of instances.
func (b *bench) directories() int {
	b.settle()
	return len(glob(b.t, b.dir+"/state/instances/*")) + len(glob(b.t, b.Runtime.options.Run+"/*"))
}

// anyRuns tells whether a container was seen to start.
func (b *bench) anyRuns() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.containers {
		if c.record.Phase == running {
			return true
		}
	}
	return false
}

// used counts the groups of containers that are not waiting in the pool.
func (b *bench) used(group string) int {
	b.settle()
	p := b.pools[group]
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(b.groups.names(group)) - len(p.ready)
}

const baseLayer = "base"

// host is opened once a test; the runtime on it may be closed and opened again.
func newBench(t testing.TB) *bench {
	t.Helper()
	dir := t.TempDir()
	images, err := image.Open(dir + "/images")
	check(t, err)
	makeBase(t, images)
	b := &bench{t: t, dir: dir, images: images, log: &sandbox.Buffer{}}
	mounts := sandbox.Mounts(t)
	t.Cleanup(func() { b.leavesNothing(mounts) })
	b.net, err = network.Open(network.Options{ID: "rt", Dir: dir + "/network"})
	check(t, err)
	b.open()
	t.Cleanup(func() {
		if b.Runtime == nil { // the test failed to open it again
			return
		}
		check(t, b.Destroy())
		check(t, b.net.Destroy())
		if text := b.log.String(); text != "" {
			t.Errorf("the runtime complained:\n%s", text)
		}
	})
	return b
}

func (b *bench) options() Options {
	return Options{
		Dir: b.dir + "/state", Images: b.images, Network: b.net, ID: sandbox.ID(),
		Init: sandbox.Program(program.Init),
		Log:  slog.New(slog.NewTextHandler(b.log, nil)),
	}
}

func (b *bench) open() {
	b.t.Helper()
	var err error
	b.Runtime, err = Open(context.Background(), b.options())
	check(b.t, err)
}

// reopen is a restart of the daemon.
func (b *bench) reopen() {
	b.t.Helper()
	check(b.t, b.Close())
	b.open()
}

// leavesNothing compares the host with how it was.
func (b *bench) leavesNothing(mounts string) {
	sandbox.LeavesNothing(b.t, b.dir, mounts)
}

func glob(t testing.TB, patterns ...string) (found []string) {
	t.Helper()
	for _, p := range patterns {
		f, err := filepath.Glob(p)
		check(t, err)
		found = append(found, f...)
	}
	return found
}

// makeBase commits a layer with busybox and what images usually have. Names are asked where no image says.
func makeBase(t testing.TB, s *image.Store) {
	t.Helper()
	d, err := s.Draft()
	check(t, err)
	defer func() { _ = d.Discard() }()
	check(t, sandbox.FillBase(d.Dir))
	check(t, os.Symlink("../run/systemd/resolve/stub-resolv.conf", d.Dir+"/etc/resolv.conf"))
	check(t, d.Commit(baseLayer))
}

// spec is an instance that runs a shell script as the app's user.
func spec(script string) platform.InstanceSpec {
	return platform.InstanceSpec{
		AppID: sandbox.App(0), App: "hello", Release: 3, Epoch: 1, Type: platform.Web, Number: 1,
		Image:   platform.Image{Layers: []string{baseLayer}, WorkDir: "/app", UID: 1000, GID: 1000},
		Command: []string{"/bin/sh", "-c", script},
		Env:     map[string]string{"GREETING": "hi"},
	}
}

func asRoot(s platform.InstanceSpec) platform.InstanceSpec {
	s.Image.UID, s.Image.GID = 0, 0
	return s
}

func (b *bench) start(script string) platform.Instance {
	b.t.Helper()
	i, err := b.Start(context.Background(), spec(script))
	check(b.t, err)
	return i
}

// output runs a script as a job and gives its trimmed stdout.
func (b *bench) output(s platform.InstanceSpec) string {
	b.t.Helper()
	var out, errs bytes.Buffer
	exit, err := b.Run(context.Background(), platform.JobSpec{InstanceSpec: s}, nil, &out, &errs)
	check(b.t, err)
	if exit.Code != 0 {
		b.t.Fatalf("exit %+v\n%s\n%s", exit, out.String(), errs.String())
	}
	return strings.TrimSpace(out.String())
}

// ends waits for the next instance on Exits.
func (b *bench) ends() platform.Instance {
	b.t.Helper()
	select {
	case i := <-b.Exits():
		return i
	case <-time.After(sandbox.Patience):
		b.t.Fatal("no instance ended")
		return platform.Instance{}
	}
}

// lines are the texts of an app's log.
func (b *bench) lines() []string {
	b.t.Helper()
	var out []string
	err := b.Logs(context.Background(), platform.LogQuery{App: "hello", Lines: 10_000}, func(l platform.LogLine) error {
		out = append(out, l.Text)
		return nil
	})
	check(b.t, err)
	return out
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	sandbox.Eventually(t, what, holds)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}
