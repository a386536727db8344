package runtime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"paas/platform"
	"paas/runtime/image"
	"paas/runtime/network"
	"paas/runtime/runtimetest/program"
)

// TestMain runs all tests in a machine of their own: new network and mount namespaces with an empty
// /run. With RUNTIME_TEST_DAEMON the program is the daemon that a test kills.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv("RUNTIME_TEST_DAEMON") != "":
		os.Exit(daemon())
	case os.Getenv("RUNTIME_TEST_SANDBOX") == "":
		os.Exit(rerun())
	}
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "prepare sandbox:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func rerun() int {
	dir, err := os.MkdirTemp("", "paas-runtime-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := program.Build(dir, program.Init); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), "RUNTIME_TEST_SANDBOX="+dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	runtime.LockOSThread() // Pdeathsig means the thread
	err = cmd.Run()
	err = errors.Join(err, sweepGroups("test-"+filepath.Base(dir)[len("paas-runtime-test-"):]))
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(exit.ExitCode(), 1)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "these tests need root and Linux:", err)
		return 1
	}
	return 0
}

// sweepGroups ends and removes what a test binary that panicked left. The rest ends with its namespaces.
func sweepGroups(id string) (err error) {
	for _, pattern := range []string{"/sys/fs/cgroup/paas-" + id + "*", "/sys/fs/cgroup/*/paas-" + id + "*"} {
		tops, _ := filepath.Glob(pattern)
		for _, top := range tops {
			if strings.HasSuffix(top, "-"+buildsGroup) {
				continue // found from its platform's
			}
			c := &cgroups{tops: map[string]string{"": top}, id: strings.TrimPrefix(filepath.Base(top), "paas-")}
			err = errors.Join(err, c.sweep(func(string) bool { return false }), c.destroy())
		}
	}
	return err
}

func prepare() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

// bench is everything a test needs. One at a time lives in a test.
type bench struct {
	*Runtime
	t      testing.TB
	dir    string
	images *image.Store
	net    *network.Network
	log    *safeBuffer
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
	b := &bench{t: t, dir: dir, images: images, log: &safeBuffer{}}
	mounts := mountTable(t)
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
		Dir: b.dir + "/state", Images: b.images, Network: b.net, ID: testID(),
		Init: program.Path(os.Getenv("RUNTIME_TEST_SANDBOX"), program.Init),
		Log:  slog.New(slog.NewTextHandler(b.log, nil)),
	}
}

// testID keeps test binaries that run at the same time apart.
func testID() string {
	return "test-" + filepath.Base(os.Getenv("RUNTIME_TEST_SANDBOX"))[len("paas-runtime-test-"):]
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
	equal(b.t, "mounts", mountTable(b.t), mounts)
	left := glob(b.t, "/sys/fs/cgroup/paas-"+testID(), "/sys/fs/cgroup/*/paas-"+testID(), b.dir+"/state/*")
	for _, path := range glob(b.t, "/proc/[0-9]*/uid_map") {
		m, err := os.ReadFile(path)
		if err == nil && !isZombie(path) && strings.Contains(string(m), " "+fmt.Sprint(firstUID+testApp()*rangeSize)+" ") {
			left = append(left, path)
		}
	}
	eventually(b.t, "interfaces are gone", func() bool { return links(b.t) == "lo" })
	if len(left) > 0 {
		b.t.Errorf("left: %v", left)
	}
}

// isZombie tells a process that ended from one that runs: orphans wait for the host's init to reap them.
func isZombie(uidMap string) bool {
	stat, err := os.ReadFile(filepath.Dir(uidMap) + "/stat")
	return err != nil || strings.Contains(string(stat), ") Z ")
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

func mountTable(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mounts")
	check(t, err)
	return string(b)
}

func links(t testing.TB) string {
	t.Helper()
	all, err := netlink.LinkList()
	check(t, err)
	var names []string
	for _, l := range all {
		names = append(names, l.Attrs().Name)
	}
	return strings.Join(names, " ")
}

// makeBase commits a layer with busybox and what images usually have.
func makeBase(t testing.TB, s *image.Store) {
	t.Helper()
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatalf("these tests need /bin/busybox (apt package busybox-static): %v", err)
	}
	d, err := s.Draft()
	check(t, err)
	defer func() { _ = d.Discard() }()
	for _, dir := range []string{"bin", "etc", "proc", "sys", "dev", "app", "root", "usr/bin", "var"} {
		check(t, os.MkdirAll(filepath.Join(d.Dir, dir), 0o755))
	}
	check(t, os.MkdirAll(d.Dir+"/tmp", 0o755))
	check(t, os.Chmod(d.Dir+"/tmp", 0o777|os.ModeSticky))
	check(t, os.Chown(d.Dir+"/app", 1000, 1000))
	check(t, os.WriteFile(d.Dir+"/bin/busybox", busybox, 0o755))
	out, err := exec.Command("/bin/busybox", "--list").Output()
	check(t, err)
	for applet := range strings.FieldsSeq(string(out)) {
		if applet != "busybox" {
			check(t, os.Symlink("busybox", filepath.Join(d.Dir, "bin", applet)))
		}
	}
	check(t, os.WriteFile(d.Dir+"/etc/passwd", []byte("root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/app:/bin/sh\n"), 0o644))
	check(t, os.Symlink("../run/systemd/resolve/stub-resolv.conf", d.Dir+"/etc/resolv.conf"))
	check(t, d.Commit(baseLayer))
}

// testApp is an app id whose uid range no other test or platform on this machine uses, most likely.
func testApp() int64 { return 15_000 + int64(crc32.ChecksumIEEE([]byte(testID()))%10_000) }

// spec is an instance that runs a shell script as the app's user.
func spec(script string) platform.InstanceSpec {
	return platform.InstanceSpec{
		AppID: testApp(), App: "hello", Release: 3, Epoch: 1, Type: platform.Web, Number: 1,
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
	case <-time.After(20 * time.Second):
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
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
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

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
