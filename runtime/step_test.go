package runtime

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"paas/platform"
	"paas/runtime/runtimetest/sandbox"
)

func (b *bench) step(script string) (platform.StepSpec, func()) {
	b.t.Helper()
	d, err := b.images.Draft()
	check(b.t, err)
	return platform.StepSpec{
		AppID: sandbox.App(0), App: "hello", Name: "Build app", Layers: []string{baseLayer}, Upper: d.Dir,
		Argv: []string{"/bin/sh", "-ec", script}, Env: map[string]string{"KEY": "value"}, Dir: "/app",
	}, func() { _ = d.Discard() }
}

func TestStepWritesALayer(t *testing.T) {
	b := newBench(t)
	cache := b.dir + "/cache"
	check(t, os.Mkdir(cache, 0o755))
	check(t, os.WriteFile(b.dir+"/file", []byte("bound"), 0o644))
	s, discard := b.step(`
		echo "$KEY $HOME $(id -u) $(hostname)"; echo warn >&2
		mkdir -p /opt; echo built > /opt/out; chown 1000:1000 /opt/out; rm /etc/passwd
		echo cached > /var/cache/deep/x; cat /file
		echo no >/readonly/x || echo protected`)
	defer discard()
	s.Binds = []platform.Bind{
		{Source: cache, Target: "/var/cache/deep"}, {Source: b.dir + "/file", Target: "/file", ReadOnly: true},
		{Source: cache, Target: "/readonly", ReadOnly: true},
	}
	var out sandbox.Buffer
	exit, err := b.Step(context.Background(), s, &out)
	check(t, err)
	equal(t, "code", exit.Code, 0)
	for _, want := range []string{"value /root 0 build-app\n", "warn\n", "bound", "protected\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in %q", want, out.String())
		}
	}
	tree, err := exec.Command("find", s.Upper, "-mindepth", "1", "-printf", "%P %U:%G %y\n").Output()
	check(t, err)
	for _, gone := range []string{"var/cache", "file ", "readonly", "proc", "dev", "hosts", "resolv"} {
		if strings.Contains(string(tree), gone) {
			t.Errorf("%q is left in the layer:\n%s", gone, tree)
		}
	}
	for _, want := range []string{"opt 0:0 d", "opt/out 1000:1000 f", "etc/passwd 0:0 c"} {
		if !strings.Contains(string(tree), want) {
			t.Errorf("%q is not in the layer:\n%s", want, tree)
		}
	}
	cached, err := os.Stat(cache + "/x")
	check(t, err)
	equal(t, "the cache's owner", cached.Sys().(*syscall.Stat_t).Uid, 0)
}

func TestStepFails(t *testing.T) {
	b := newBench(t)
	s, discard := b.step(`echo trouble; exit 12`)
	defer discard()
	var out sandbox.Buffer
	exit, err := b.Step(context.Background(), s, &out)
	check(t, err)
	equal(t, "code", exit.Code, 12)
	equal(t, "output", out.String(), "trouble\n")
	s.Argv = []string{"/no/such/program"}
	_, err = b.Step(context.Background(), s, &out)
	equal(t, "kind", platform.KindOf(err), platform.Failed)
}

func TestStepsOverOneUpper(t *testing.T) {
	b := newBench(t)
	s, discard := b.step(`echo first > first`)
	defer discard()
	var out sandbox.Buffer
	_, err := b.Step(context.Background(), s, &out)
	check(t, err)
	s.Argv = []string{"cat", "first"}
	_, err = b.Step(context.Background(), s, &out)
	check(t, err)
	equal(t, "output", out.String(), "first\n")
}

func TestStepIsCancelled(t *testing.T) {
	b := newBench(t)
	s, discard := b.step(`trap '' HUP TERM; echo started; while :; do sleep 0.1; done`)
	defer discard()
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	begin := time.Now()
	_, err := b.Step(ctx, s, &sandbox.Buffer{})
	equal(t, "error", errors.Is(err, context.DeadlineExceeded), true)
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	equal(t, "groups", b.used(buildsGroup), 0)
}

func TestStepOutOfMemory(t *testing.T) {
	b := newBench(t)
	s, discard := b.step(`exec tail -c 300000000 /dev/zero`)
	defer discard()
	s.Limits.Memory = 32 << 20
	exit, err := b.Step(context.Background(), s, &sandbox.Buffer{})
	check(t, err)
	equal(t, "oom", exit.OOM, true)
}
