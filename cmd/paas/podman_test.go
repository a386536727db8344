package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A release that is written as an image runs under another engine as it is: Debian's podman (packages podman and runc) loads
// it, starts its web process, and gets its answer.
func TestReleaseRunsUnderPodman(t *testing.T) {
	needPrograms(t, "podman", "runc", "nsenter")
	p := newPlainPlatform(t) // a whole image is compressed
	work := t.TempDir()
	source := filepath.Join("testdata", "apps", "hello")
	script := `set -e
cp -r "$1" "$2/hello"; cd "$2/hello"; git init -q -b main; git add -A; git commit -qm first; git push -q paas:hello main
ssh paas images:save hello > "$2/hello.tar"`
	push := exec.Command("sh", "-c", script, "push", source, work)
	for name, value := range p.environ() {
		push.Env = append(push.Env, name+"="+value)
	}
	if out, err := push.CombinedOutput(); err != nil {
		t.Fatalf("push: %v\n%s", err, out)
	}
	podman := newPodman(t)
	podman.must(t, "load", "--quiet", "--input", filepath.Join(work, "hello.tar"))
	image := strings.Fields(podman.must(t, "images", "--quiet"))[0]
	// Hosts without CAP_SYS_RESOURCE cannot raise limits as podman would.
	podman.must(t, "run", "--detach", "--name", "hello", "--network", "none", "--env", "PORT=5000",
		"--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096", image)
	pid := podman.must(t, "inspect", "--format", "{{.State.Pid}}", "hello")
	if got := answerIn(t, pid); got != "Hello" {
		t.Errorf("under podman it answers %q\n%s", got, podman.must(t, "logs", "hello"))
	}
	if got := podman.must(t, "exec", "hello", "sh", "-c", "id -u; pwd; cat /etc/debian_version"); !strings.HasPrefix(got, "1000\n/app\n13.") {
		t.Errorf("inside it is %q", got)
	}
}

// answerIn asks a process's own network for a page, as soon as somebody listens there.
func answerIn(t *testing.T, pid string) (got string) {
	t.Helper()
	for range 100 {
		out, err := exec.Command("nsenter", "--target", pid, "--net", "curl", "-sS", "http://127.0.0.1:5000/").CombinedOutput()
		if got = strings.TrimSpace(string(out)); err == nil {
			return got
		}
		time.Sleep(100 * time.Millisecond)
	}
	return got
}

// podmanHere is podman with storage and state of its own.
type podmanHere []string

func newPodman(t *testing.T) podmanHere {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "paas-podman-") // not a tmpfs, for overlay
	if err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	p := podmanHere{
		"--root", in("root"), "--runroot", in("run"), "--tmpdir", in("tmp"), "--network-config-dir", in("networks"),
		"--storage-driver", "overlay", "--cgroup-manager", "cgroupfs", "--events-backend", "file",
		"--runtime", "runc", // crun refuses hosts that have controllers in both versions of cgroups
	}
	t.Cleanup(func() {
		_ = exec.Command("podman", append(p, "rm", "--all", "--force", "--time", "0")...).Run()
		for _, mount := range []string{in("root/overlay"), in("root")} {
			_ = unix.Unmount(mount, unix.MNT_DETACH) // overlay's own bind mount, if it made one
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
		for range 50 { // conmon leaves its group a moment after its container
			if removeGroups() {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
	return p
}

// removeGroups removes the parents of podman's groups, and tells whether none is left.
func removeGroups() bool {
	gone := true
	for _, pattern := range []string{"/sys/fs/cgroup/*/libpod_parent", "/sys/fs/cgroup/libpod_parent"} {
		below, _ := filepath.Glob(pattern + "/conmon")
		groups, _ := filepath.Glob(pattern)
		for _, group := range append(below, groups...) {
			gone = unix.Rmdir(group) == nil && gone // not if another podman uses it
		}
	}
	return gone
}

func (p podmanHere) must(t *testing.T, args ...string) string {
	t.Helper()
	var errs strings.Builder
	cmd := exec.Command("podman", append(append([]string{}, p...), args...)...)
	cmd.Stderr, cmd.WaitDelay = &errs, 10*time.Second
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("podman %s: %v\n%s%s", strings.Join(args, " "), err, out, &errs)
	}
	return strings.TrimSpace(string(out))
}
