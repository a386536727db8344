package conformance

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// podman is Debian's, with storage, state and network of its own and our runtime.
type podman struct {
	dir    string
	global []string
}

// busyboxImage is the only image.
const busyboxImage = "localhost/paas-busybox"

func newPodman(t *testing.T) *podman {
	t.Helper()
	lookPath(t, "podman")
	dir, err := os.MkdirTemp("/var/tmp", "paas-podman-") // not a tmpfs, for overlay
	if err != nil {
		t.Fatal(err)
	}
	p := &podman{dir: dir}
	in := func(name string) string { return filepath.Join(dir, name) }
	p.global = []string{
		"--root", in("root"), "--runroot", in("run"), "--tmpdir", in("tmp"), "--network-config-dir", in("networks"),
		"--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "file", "--runtime", binary(t),
	}
	ownNetwork(t)
	t.Cleanup(func() { p.remove(t) })
	conf := "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n"
	if err := os.WriteFile(in("containers.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	p.load(t)
	return p
}

// ownNetwork gives this goroutine's thread, from which podman is started, a network namespace: bridges and
// firewall rules of podman are not for the host. The thread ends with the goroutine.
func ownNetwork(t *testing.T) {
	t.Helper()
	goruntime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("bring lo up: %v\n%s", err, out)
	}
}

// remove takes back everything, whatever a test left.
func (p *podman) remove(t *testing.T) {
	_, _ = p.try("rm", "--all", "--force", "--time", "0")
	unmountBelow(p.dir)
	for _, dir := range libpodGroups() {
		_ = unix.Rmdir(dir) // not if another podman uses it
	}
	if err := os.RemoveAll(p.dir); err != nil {
		t.Error(err)
	}
}

// libpodGroups are the parents that podman makes, inner ones first.
func libpodGroups() []string {
	tops, _ := filepath.Glob("/sys/fs/cgroup/libpod_parent")
	v1, _ := filepath.Glob("/sys/fs/cgroup/*/libpod_parent")
	var dirs []string
	for _, top := range append(tops, v1...) {
		below, _ := filepath.Glob(filepath.Join(top, "*/"))
		dirs = append(append(dirs, below...), top)
	}
	return dirs
}

// load makes the image of the host's busybox.
func (p *podman) load(t *testing.T) {
	t.Helper()
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatalf("install Debian's package busybox-static: %v", err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, dir := range []string{"bin", "tmp", "etc", "data"} {
		if err := w.WriteHeader(&tar.Header{Name: dir + "/", Mode: 0o1777, Typeflag: tar.TypeDir}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.WriteHeader(&tar.Header{Name: "bin/busybox", Mode: 0o755, Size: int64(len(program)), Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(program); err != nil {
		t.Fatal(err)
	}
	for _, applet := range []string{"sh", "cat", "id", "pwd", "ls", "sleep", "true", "grep", "hostname", "tty", "df", "tail", "touch", "stat", "head", "wc", "ps"} {
		if err := w.WriteHeader(&tar.Header{Name: "bin/" + applet, Linkname: "busybox", Typeflag: tar.TypeSymlink}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := p.command("import", "--change", "CMD [\"sh\"]", "-", busyboxImage)
	cmd.Stdin = &b
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("podman import: %v\n%s", err, out)
	}
}

func (p *podman) command(args ...string) *exec.Cmd {
	cmd := exec.Command("podman", append(append([]string{}, p.global...), args...)...)
	// A pod's own container takes its limits from here only; see limits.
	cmd.Env = append(os.Environ(), "CONTAINERS_CONF="+filepath.Join(p.dir, "containers.conf"))
	return cmd
}

// try runs podman and returns everything it printed, and its exit status.
func (p *podman) try(args ...string) (string, int) {
	cmd := p.command(args...)
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		return err.Error(), -1
	}
	return strings.TrimSpace(string(out)), cmd.ProcessState.ExitCode()
}

// limits: hosts without CAP_SYS_RESOURCE cannot raise limits as podman would by default.
func limits() []string {
	return []string{"--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096"}
}

// run is `podman run --rm` of a command.
func (p *podman) run(options []string, command ...string) (string, int) {
	args := append([]string{"run", "--rm"}, limits()...)
	if !strings.Contains(strings.Join(options, " "), "--network") {
		args = append(args, "--network", "none")
	}
	args = append(append(args, options...), busyboxImage)
	return p.try(append(args, command...)...)
}

// podmanCase is one line of the list in docs/conformance.md.
type podmanCase struct {
	name    string
	options []string // of podman run
	command []string
	want    string // in what is printed
	status  int
	quick   bool // also in the normal suite
}

// runCases are commands that end by themselves.
func (p *podman) runCases() []podmanCase {
	sh := func(script string) []string { return []string{"sh", "-c", script} }
	volume := filepath.Join(p.dir, "volume")
	return []podmanCase{
		{"exit status", nil, sh("exit 3"), "", 3, true},
		{"environment", []string{"-e", "COLOR=blue"}, sh("echo $COLOR"), "blue", 0, false},
		{"working directory", []string{"-w", "/tmp"}, []string{"pwd"}, "/tmp", 0, false},
		{"user and group", []string{"-u", "1000:1001", "--group-add", "77"}, []string{"id"}, "uid=1000 gid=1001 groups=77,1001", 0, true},
		{"umask", []string{"--umask", "0077"}, sh("umask"), "0077", 0, false},
		{"hostname", []string{"--hostname", "hugo"}, []string{"hostname"}, "hugo", 0, false},
		{"no such program", nil, []string{"/none"}, "not found", 127, false},
		{"not a program", nil, []string{"/tmp"}, "permission denied", 126, false},
		{"volume", []string{"-v", volume + ":/v"}, sh("echo inside > /v/file; cat /v/file"), "inside", 0, true},
		{"read-only volume", []string{"-v", volume + ":/v:ro"}, sh("echo x > /v/other"), "Read-only file system", 1, false},
		{"file as volume", []string{"-v", "/bin/busybox:/deep/down/busybox:ro"}, []string{"/deep/down/busybox", "echo", "there"}, "there", 0, false},
		{"volume that gets the host's later mounts", []string{"--mount", "type=bind,src=" + volume + ",dst=/v,bind-propagation=rslave"}, []string{"ls", "/v"}, "file", 0, false},
		{"read-only root with tmpfs over /tmp", []string{"--read-only"}, sh("exec 2>&1; touch /x; echo y > /tmp/y; cat /tmp/y"), "Read-only file system\ny", 0, false},
		{"tmpfs with a size", []string{"--tmpfs", "/t:size=1m"}, []string{"df", "/t"}, " 1024 ", 0, false},
		{"/dev/shm with a size", []string{"--shm-size", "2m"}, []string{"df", "/dev/shm"}, " 2048 ", 0, false},
		{"all capabilities dropped", []string{"--cap-drop", "ALL"}, []string{"grep", "CapBnd", "/proc/self/status"}, "0000000000000000", 0, false},
		{"a capability added", []string{"--cap-drop", "ALL", "--cap-add", "NET_ADMIN"}, []string{"grep", "CapEff", "/proc/self/status"}, "0000000000001000", 0, false},
		{"no new privileges", []string{"--security-opt", "no-new-privileges"}, []string{"grep", "NoNewPrivs", "/proc/self/status"}, "NoNewPrivs:\t1", 0, false},
		{"podman's seccomp profile", nil, []string{"grep", "Seccomp:", "/proc/self/status"}, "Seccomp:\t2", 0, false},
		{"no seccomp", []string{"--security-opt", "seccomp=unconfined"}, []string{"grep", "Seccomp:", "/proc/self/status"}, "Seccomp:\t0", 0, false},
		{"privileged", []string{"--privileged"}, sh("touch /proc/sys/kernel/hostname && echo written"), "written", 0, false},
		{"masked and read-only paths", nil, sh("head -c 1 /proc/kcore | wc -c; echo x > /proc/sys/kernel/hostname"), "Read-only file system", 1, false},
		{"memory limit kills", []string{"--memory", "16m", "--memory-swap", "16m"}, []string{"tail", "/dev/zero"}, "", 137, false},
		{"limit of processes", []string{"--pids-limit", "7"}, sh("cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max 2>/dev/null; true"), "7", 0, false},
		{"CPU limit", []string{"--cpus", "0.5"}, sh("cat /sys/fs/cgroup/cpu.max /sys/fs/cgroup/cpu*/cpu.cfs_quota_us 2>/dev/null; true"), "50000", 0, false},
		{"limit of open files", []string{"--ulimit", "nofile=99:99"}, sh("ulimit -n"), "99", 0, false},
		{"OOM score", []string{"--oom-score-adj", "300"}, []string{"cat", "/proc/self/oom_score_adj"}, "300", 0, false},
		{"device", []string{"--device", "/dev/zero:/dev/nought"}, sh("head -c 3 /dev/nought | wc -c"), "3", 0, false},
		{"sysctl", []string{"--sysctl", "net.ipv4.ip_forward=1"}, []string{"cat", "/proc/sys/net/ipv4/ip_forward"}, "1", 0, false},
		{"user namespace", []string{"--uidmap", "0:100000:1000", "--gidmap", "0:100000:1000"}, sh("id -u; cat /proc/self/uid_map"), "100000", 0, false},
		{"network: none", nil, []string{"ls", "/sys/class/net"}, "lo", 0, false},
		{"network: the host's", []string{"--network", "host"}, []string{"ls", "/sys/class/net"}, "lo", 0, false},
		{"network: a bridge", []string{"--network", "podman"}, []string{"ls", "/sys/class/net"}, "eth0", 0, false},
		{"the host's processes", []string{"--pid", "host"}, sh("test $$ -gt 1 && echo outside"), "outside", 0, false},
		{"the host's IPC and name", []string{"--ipc", "host", "--uts", "host"}, []string{"true"}, "", 0, false},
	}
}

func TestPodmanRun(t *testing.T) {
	p := newPodman(t)
	if err := os.Mkdir(filepath.Join(p.dir, "volume"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range p.runCases() {
		if !c.quick && !*all {
			continue
		}
		out, status := p.run(c.options, c.command...)
		p.judge(t, c.name, status == c.status && strings.Contains(out, c.want), fmt.Sprintf("%d: %s", status, out))
	}
}

// judge notes a case's result; out says what was seen instead.
func (p *podman) judge(t *testing.T, name string, ok bool, out string) {
	t.Helper()
	result := "pass"
	if !ok {
		result = "**fail**"
		t.Errorf("%s: %s", name, out)
	}
	report.podman += fmt.Sprintf("| %s | %s |\n", name, result)
}

// A container's life in the background. The order counts.
func TestPodmanLife(t *testing.T) {
	p := newPodman(t)
	script := `trap "echo bye; exit 5" TERM; echo hello; while :; do sleep 0.1; done`
	start := append(append([]string{"run", "-d", "--name", "life", "--network", "none"}, limits()...), busyboxImage, "sh", "-c", script)
	p.follow(t, []podmanStep{
		{"detached", start, "", 0},
		{"logs", []string{"logs", "life"}, "hello", 0},
		{"inspect: running", []string{"inspect", "-f", "{{.State.Status}}", "life"}, "running", 0},
		{"exec: exit status, user, environment, directory", []string{"exec", "-u", "33", "-e", "X=1", "-w", "/tmp", "life", "sh", "-c", "id -u; pwd; echo $X; exit 9"}, "33\n/tmp\n1", 9},
		{"exec: no such program", []string{"exec", "life", "/none"}, "not found", 127},
		{"exec: detached", []string{"exec", "-d", "life", "sleep", "100"}, "", 0},
		{"top", []string{"top", "life", "args"}, "sleep 100", 0},
		{"stats", []string{"stats", "--no-stream", "--format", "{{.PIDs}}", "life"}, "3", 0},
		{"update of the memory limit", []string{"update", "--memory", "64m", "life"}, "", 0},
		{"pause", []string{"pause", "life"}, "life", 0},
		{"inspect: paused", []string{"inspect", "-f", "{{.State.Status}}", "life"}, "paused", 0},
		{"unpause", []string{"unpause", "life"}, "life", 0},
		{"stop with the stop signal", []string{"stop", "-t", "5", "life"}, "life", 0},
		{"exit status after stop", []string{"inspect", "-f", "{{.State.ExitCode}}", "life"}, "5", 0},
		{"logs after stop", []string{"logs", "life"}, "hello\nbye", 0},
		{"start again", []string{"start", "life"}, "life", 0},
		{"kill", []string{"kill", "-s", "KILL", "life"}, "life", 0},
		{"wait", []string{"wait", "life"}, "137", 0},
		{"rm", []string{"rm", "life"}, "", 0},
	})
}

// Containers that podman restarts, asks for their health and joins with others.
func TestPodmanTogether(t *testing.T) {
	if !*all {
		return // make conformance runs it; runtime/oci tests joined namespaces by itself
	}
	newPodman(t).follow(t, []podmanStep{
		{"run with a restart policy", started("again", "--restart", "on-failure:2", "exit 3"), "", 0},
		{"restarted on failure", []string{"wait", "again"}, "3", 0},
		{"as often as said", []string{"inspect", "-f", "{{.RestartCount}}", "again"}, "2", 0},
		{"run with a health check", started("well", "--health-cmd", "test -e /tmp/ok", "touch /tmp/ok; exec sleep 1000", "--health-interval", "disable"), "", 0},
		{"healthcheck", []string{"healthcheck", "run", "well"}, "", 0},
		{"namespaces of another container", joined("--network", "--ipc", "--pid"), "sleep 1000", 0},
		{"restart", []string{"restart", "-t", "0", "well"}, "well", 0},
		{"a pod", []string{"pod", "create", "--name", "pod", "--network", "none", "--infra-image", busyboxImage, "--infra-command", "sleep 1000"}, "", 0},
		{"a container in the pod", append(append([]string{"run", "--rm", "--pod", "pod"}, limits()...), busyboxImage, "sh", "-c", "hostname"), "pod", 0},
		{"stop of the pod", []string{"pod", "stop", "-t", "0", "pod"}, "", 0},
		{"rm of the pod", []string{"pod", "rm", "-f", "-t", "0", "pod"}, "", 0},
		{"rm of one that runs", []string{"rm", "-f", "-t", "0", "again", "well"}, "", 0},
	})
}

// podmanStep is one line of the list in docs/conformance.md, which needs those before it.
type podmanStep struct {
	name   string
	args   []string
	want   string // in what is printed
	status int
}

func (p *podman) follow(t *testing.T, steps []podmanStep) {
	t.Helper()
	for _, s := range steps {
		ok, seen := p.eventually(func() (bool, string) {
			out, status := p.try(s.args...)
			return status == s.status && strings.Contains(out, s.want), fmt.Sprintf("%d: %s", status, out)
		}, strings.Contains(s.name, "logs"))
		p.judge(t, s.name, ok, seen)
	}
}

// started is a run in the background, with an option and its value, and more after the script.
func started(name, option, value, script string, more ...string) []string {
	args := append(append([]string{"run", "-d", "--name", name, "--network", "none", option, value}, more...), limits()...)
	return append(args, busyboxImage, "sh", "-c", script)
}

// joined looks from one container at the processes of another whose namespaces it shares.
func joined(options ...string) []string {
	args := append([]string{"run", "--rm"}, limits()...)
	for _, o := range options {
		args = append(args, o, "container:well")
	}
	return append(args, busyboxImage, "ps")
}

// eventually gives output the time to arrive in podman's log.
func (p *podman) eventually(check func() (bool, string), patient bool) (ok bool, seen string) {
	for range 50 {
		if ok, seen = check(); ok || !patient {
			return ok, seen
		}
		time.Sleep(50 * time.Millisecond)
	}
	return ok, seen
}

// Terminals: podman needs one of its own, which script(1) gives.
func TestPodmanTerminal(t *testing.T) {
	if !*all {
		return // make conformance runs it; runtime/oci tests terminals by itself
	}
	p := newPodman(t)
	args := append(append([]string{"run", "--rm", "-it", "--network", "none"}, limits()...), busyboxImage, "tty")
	line := "podman " + strings.Join(append(append([]string{}, p.global...), args...), " ")
	out, err := exec.Command("script", "-qec", line, "/dev/null").CombinedOutput()
	p.judge(t, "terminal", err == nil && strings.Contains(string(out), "/dev/pts/0"), fmt.Sprintf("%v: %s", err, out))
}
