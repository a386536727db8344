package dockerfile_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

var (
	peers    = flag.Bool("peers", false, "measure Dockerfile builds beside buildkitd and buildctl")
	peersDir = flag.String("peers-dir", "", "directory with buildkitd and buildctl (default: they are built; minutes)")
)

// What a build may take compared with BuildKit's own client against its own daemon.
const (
	allowedCold = 1.05
	allowedWarm = 1.5
)

// TestPeers prints a line for each figure: its name, our milliseconds, what is allowed beside the peer's, and their
// ratio. It needs runc (apt package) and, unless -peers-dir names them, a Go module proxy for buildkitd.
func TestPeers(t *testing.T) {
	if !*peers {
		t.Skip("-peers measures")
	}
	b := newBench(t)
	app := b.app()
	dir := t.TempDir()
	peer := startBuildkit(t)
	const rounds = 9
	var cold, warm [2][]time.Duration
	for round := range rounds {
		tree := workload(t, round)
		writeWorkload(t, dir, tree)
		ours := func() { b.mustBuild(app, files(tree...)) }
		theirs := func() { peer.build(t, dir) }
		cold[0], cold[1] = append(cold[0], took(ours)), append(cold[1], took(theirs))
		warm[0], warm[1] = append(warm[0], took(ours)), append(warm[1], took(theirs))
	}
	report("dockerfile-cold", cold, allowedCold)
	report("dockerfile-warm", warm, allowedWarm)
}

func took(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

func report(figure string, both [2][]time.Duration, allowed float64) {
	var ms [2]float64
	for i, list := range both {
		list = slices.Sorted(slices.Values(list[1:])) // the first starts what is started on demand
		ms[i] = float64(list[len(list)/2].Microseconds()) / 1000
	}
	fmt.Printf("%s\t%.1f\t%.1f\t%.2f\n", figure, ms[0], ms[1]*allowed, ms[0]/ms[1]/allowed)
}

// workload is an app of 200 files that nothing was ever made of: two stages, four RUNs, cached by nobody.
func workload(t *testing.T, round int) []string {
	t.Helper()
	busybox, err := os.ReadFile("/bin/busybox")
	check(t, err)
	tree := []string{"busybox", string(busybox), "round", fmt.Sprint(round, time.Now().UnixNano()), "Dockerfile", `FROM scratch AS base
COPY --chmod=755 busybox /bin/busybox
COPY round /round
RUN ["/bin/busybox", "--install", "-s", "/bin"]
FROM base AS build
WORKDIR /src
COPY src .
RUN mkdir /out && for f in *; do tr a-z A-Z < $f > /out/$f; done
RUN cat /out/* | md5sum > /out/sum
FROM base
RUN mkdir -p /app/data
COPY --from=build /out /app
WORKDIR /app
CMD ["cat", "sum"]
`}
	for i := range 200 {
		tree = append(tree, fmt.Sprintf("src/f%d", i), fmt.Sprintf("%d %d some text that is long enough to count\n", i, round))
	}
	return tree
}

func writeWorkload(t *testing.T, dir string, tree []string) {
	t.Helper()
	for i := 0; i < len(tree); i += 2 {
		path := filepath.Join(dir, tree[i])
		check(t, os.MkdirAll(filepath.Dir(path), 0o755))
		check(t, os.WriteFile(path, []byte(tree[i+1]), 0o644))
	}
}

// buildkit is the peer.
type buildkit struct{ programs, socket string }

func startBuildkit(t *testing.T) buildkit {
	t.Helper()
	p := buildkit{*peersDir, filepath.Join(t.TempDir(), "sock")}
	if p.programs == "" {
		p.programs = buildPeers(t)
	}
	cmd := exec.Command(filepath.Join(p.programs, "buildkitd"), "--addr", "unix://"+p.socket, "--root", t.TempDir(), "--containerd-worker=false", "--oci-worker-net=host")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	check(t, cmd.Start())
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		_ = cmd.Wait()
	})
	eventually(t, "buildkitd listens", func() bool {
		return exec.Command(filepath.Join(p.programs, "buildctl"), "--addr", "unix://"+p.socket, "debug", "workers").Run() == nil
	})
	return p
}

func (p buildkit) build(t *testing.T, dir string) {
	t.Helper()
	out, err := exec.Command(filepath.Join(p.programs, "buildctl"), "--addr", "unix://"+p.socket, "build",
		"--frontend", "dockerfile.v0", "--local", "context="+dir, "--local", "dockerfile="+dir).CombinedOutput()
	if err != nil {
		t.Fatalf("buildctl: %v\n%s", err, out)
	}
}

// buildPeers builds the module that we embed, in a module of its own with our versions.
func buildPeers(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join("..", "..", name))
		check(t, err)
		check(t, os.WriteFile(filepath.Join(dir, name), text, 0o644))
	}
	for _, args := range [][]string{
		{"mod", "edit", "-module", "peer"},
		{"build", "-mod=mod", "-o", dir, "github.com/moby/buildkit/cmd/buildkitd", "github.com/moby/buildkit/cmd/buildctl"},
	} {
		cmd := exec.Command("go", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go %v: %v\n%s", args, err, out)
		}
	}
	return dir
}
