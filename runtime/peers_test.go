package runtime

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"paas/platform"
	"paas/runtime/runtimetest/sandbox"

	profile "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// `make bench-runtime` measures us against Debian's crun, runc and bubblewrap, side by side in one run, and
// prints a line a figure: figure, ours, peer, ratio, and the spread of ours and theirs (10th to 90th
// percentile). Nothing here is an assertion about time.
var (
	peers = flag.Bool("peers", false, "run the benchmarks against peers (make bench-runtime)")
	turns = flag.Int("turns", 10_000, "how many containers are started one after the other")
)

const (
	rounds = 60                    // of each comparison
	repose = 40 * time.Millisecond // of quiet before each measurement, so that nobody pays for the one before
	crowd  = 1000                  // idle containers on one host
)

func TestPeers(t *testing.T) {
	if !*peers {
		return // `make bench-runtime` runs it; a test of the machine's speed has no place among the others
	}
	p := newPeers(t)
	fmt.Println("figure\tours\tpeer\tratio\tours 10-90 %\tpeer 10-90 %")
	p.starts()
	p.execs()
	p.parallel()
	p.idle()
	p.crowded()
	p.endurance()
}

// contest is the runtime and its peers on one root file system.
type contest struct {
	*bench
	job    platform.JobSpec
	rootfs string
	bundle map[string]string // of crun and runc
	count  int
}

func newPeers(t *testing.T) *contest {
	for _, name := range []string{"crun", "runc", "bwrap"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("this needs %s: apt-get install crun runc bubblewrap", name)
		}
	}
	c := &contest{bench: newBench(t), bundle: make(map[string]string)}
	c.layPlain()
	c.job.InstanceSpec = c.plain("")
	c.job.Command = []string{"/bin/true"}
	c.rootfs = c.reachable(c.images.Dir(plainLayer))
	for _, name := range []string{"crun", "runc"} {
		c.bundle[name] = c.makeBundle(name, c.isolate, "/bin/true")
	}
	c.bundle["plain crun"] = c.makeBundle("crun", asItIs, "/bin/true")
	hideHybrid(t)
	return c
}

// plainLayer is a root file system as base images are. The other tests' has a resolv.conf that leads nowhere, as on
// some hosts: that costs a start two files.
const plainLayer = "plain"

func (c *contest) layPlain() {
	d, err := c.images.Draft()
	check(c.t, err)
	defer func() { _ = d.Discard() }()
	check(c.t, command("cp", "-a", c.images.Dir(baseLayer)+"/.", d.Dir))
	resolv := filepath.Join(d.Dir, "etc", "resolv.conf")
	check(c.t, os.Remove(resolv))
	check(c.t, os.WriteFile(resolv, nil, 0o644)) //nolint:gosec // as in any image
	check(c.t, d.Commit(plainLayer))
}

// plain is an instance over plainLayer.
func (c *contest) plain(script string) platform.InstanceSpec {
	s := spec(script)
	s.Image.Layers = []string{plainLayer}
	return s
}

// reachable copies the root file system to where a peer's user namespace may go: the store is its owner's alone.
func (c *contest) reachable(rootfs string) string {
	dir, err := os.MkdirTemp("", "paas-peers-")
	check(c.t, err)
	c.t.Cleanup(func() { check(c.t, os.RemoveAll(dir)) })
	check(c.t, os.Chmod(dir, 0o755)) //nolint:gosec // that is the point
	check(c.t, command("cp", "-a", rootfs, filepath.Join(dir, "rootfs")))
	return filepath.Join(dir, "rootfs")
}

// makeBundle is the peer's own `spec` with our root file system and a command. Capabilities, masks and all
// namespaces but for user and cgroup are in it already; change adds what else there is.
func (c *contest) makeBundle(name string, change func(*specs.Spec), argv ...string) string {
	dir := c.t.TempDir()
	cmd := exec.Command(name, "spec")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		c.t.Fatalf("%s spec: %v\n%s", name, err, out)
	}
	path := filepath.Join(dir, "config.json")
	text, err := os.ReadFile(path)
	check(c.t, err)
	var config specs.Spec
	check(c.t, json.Unmarshal(text, &config))
	config.Process.Terminal, config.Process.Args = false, argv
	config.Process.Rlimits = nil // raising them needs a capability that not every host gives
	config.Root = &specs.Root{Path: c.rootfs, Readonly: true}
	change(&config)
	text, err = json.Marshal(config)
	check(c.t, err)
	check(c.t, os.WriteFile(path, text, 0o600))
	return dir
}

func asItIs(*specs.Spec) {}

// isolate gives a peer what ours have and a specification can ask for: a user namespace, the same system call
// filter, limits of memory and processes. It has no words for an address, and an overlay is its caller's work.
func (c *contest) isolate(config *specs.Spec) {
	base, err := uidBase(sandbox.App(0))
	check(c.t, err)
	ids := []specs.LinuxIDMapping{{HostID: base, Size: rangeSize}}
	config.Linux.UIDMappings, config.Linux.GIDMappings = ids, ids
	config.Linux.Namespaces = append(config.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	if config.Linux.Seccomp, err = profile.GetDefaultProfile(config); err != nil {
		c.t.Fatal(err)
	}
	limits := limitsOr(c.job.Limits, defaultMemory, defaultPIDs)
	config.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &limits.Memory}
	config.Linux.Resources.Pids = &specs.LinuxPids{Limit: new(int64(limits.Processes))}
}

// hideHybrid lets crun work on a host with cgroup v1 and a v2 tree that offers a controller, which it
// refuses: here, in the tests' own mount namespace, the tree offers none.
func hideHybrid(t *testing.T) {
	const controllers = "/sys/fs/cgroup/unified/cgroup.controllers"
	if _, err := os.Stat(controllers); err != nil {
		return
	}
	empty := filepath.Join(t.TempDir(), "empty")
	check(t, os.WriteFile(empty, nil, 0o600))
	check(t, unix.Mount(empty, controllers, "", unix.MS_BIND, ""))
	t.Cleanup(func() { check(t, unix.Unmount(controllers, unix.MNT_DETACH)) })
}

func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

func (c *contest) ours() error {
	_, err := c.Run(context.Background(), c.job, nil, io.Discard, io.Discard)
	return err
}

func (c *contest) theirs(name string) func() error {
	return func() error {
		c.count++
		program := name[strings.LastIndexByte(name, ' ')+1:]
		return command(program, "run", "--bundle", c.bundle[name], "paas-bench-"+strconv.Itoa(c.count))
	}
}

// sample is the times of one contestant, sorted, in milliseconds.
type sample []float64

func (s sample) at(percent int) float64 { return s[(len(s)-1)*percent/100] }

// interleave times the functions in turn, round after round.
func (c *contest) interleave(n int, each ...func() error) []sample {
	samples := make([]sample, len(each))
	for range n {
		for i, f := range each {
			time.Sleep(repose)
			start := time.Now()
			check(c.t, f())
			samples[i] = append(samples[i], milliseconds(time.Since(start)))
		}
	}
	for _, s := range samples {
		slices.Sort(s)
	}
	return samples
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func figure(name string, ours, peer sample) {
	fmt.Printf("%s\t%.2f\t%.2f\t%.2f\t%.2f-%.2f\t%.2f-%.2f\n", name, ours.at(50), peer.at(50), ours.at(50)/peer.at(50),
		ours.at(10), ours.at(90), peer.at(10), peer.at(90))
}

// starts: from the wish for a container that runs /bin/true until its exit status is known. Ours has a
// user namespace, an overlay, an address, limits and a seccomp filter more than crun's and runc's;
// bubblewrap has neither cgroup nor masks.
func (c *contest) starts() {
	m := c.interleave(rounds, c.ours, c.theirs("crun"), c.theirs("runc"), func() error {
		return command("bwrap", "--unshare-all", "--bind", c.rootfs, "/", "--proc", "/proc", "--dev", "/dev", "/bin/true")
	}, c.theirs("plain crun"))
	figure("start-vs-crun", m[0], m[1])
	figure("start-vs-runc", m[0], m[2])
	figure("start-vs-bwrap", m[0], m[3])
	figure("start-vs-plain-crun", m[0], m[4])
}

// execs: /bin/true in a running container, from the wish to its exit status.
func (c *contest) execs() {
	i := c.start("exec sleep 100000")
	defer func() { check(c.t, c.Stop(context.Background(), i.ID, 0)) }()
	sleeper := c.makeBundle("crun", c.isolate, "/bin/sleep", "100000")
	check(c.t, detached("crun", "run", "--detach", "--bundle", sleeper, "paas-bench-sleeper"))
	defer func() { check(c.t, command("crun", "delete", "--force", "paas-bench-sleeper")) }()
	m := c.interleave(rounds,
		func() error {
			_, err := c.Exec(context.Background(), i.ID, []string{"/bin/true"}, io.Discard)
			return err
		},
		func() error { return command("crun", "exec", "paas-bench-sleeper", "/bin/true") })
	figure("exec-vs-crun", m[0], m[1])
}

// detached does not wait for the output's end: the container keeps it open.
func detached(name string, args ...string) error {
	return exec.Command(name, args...).Run()
}

// parallel: 100 idle containers, two at a time.
func (c *contest) parallel() {
	const n = 100
	var ours, peer sample
	sleeper := c.makeBundle("crun", c.isolate, "/bin/sleep", "100000")
	for range 3 {
		ids := make([]platform.InstanceID, n)
		ours = append(ours, c.twoByTwo(n, func(k int) error {
			i, err := c.Start(context.Background(), c.plain("exec sleep 100000"))
			ids[k] = i.ID
			return err
		}))
		for _, id := range ids {
			check(c.t, c.Stop(context.Background(), id, 0))
		}
		c.settle()
		name := func(k int) string { return "paas-bench-p" + strconv.Itoa(k) }
		peer = append(peer, c.twoByTwo(n, func(k int) error {
			return detached("crun", "run", "--detach", "--bundle", sleeper, name(k))
		}))
		for k := range n {
			check(c.t, command("crun", "delete", "--force", name(k)))
		}
	}
	slices.Sort(ours)
	slices.Sort(peer)
	figure("parallel100-vs-crun", ours, peer)
}

// twoByTwo is how long n calls of f take, two at a time.
func (c *contest) twoByTwo(n int, f func(k int) error) float64 {
	time.Sleep(time.Second)
	var work sync.WaitGroup
	errs := make([]error, n)
	begin := time.Now()
	for half := range 2 {
		work.Go(func() {
			for k := half; k < n; k += 2 {
				errs[k] = f(k)
			}
		})
	}
	work.Wait()
	took := milliseconds(time.Since(begin))
	for _, err := range errs {
		check(c.t, err)
	}
	return took
}

// idle: what 100 idle containers add, divided by 100. Docker published 1.5 MB and less than 100 kB.
func (c *contest) idle() {
	const n = 100
	c.settle()
	memory, disk := usedMemory(c.t), usedDisk(c.t, c.dir)
	ids := c.crowd(n)
	memory, disk = usedMemory(c.t)-memory, usedDisk(c.t, c.dir)-disk
	fmt.Printf("memory-per-idle-kib\t%.0f\t1465\t%.2f\t\tpublished by Docker\n", float64(memory)/n, float64(memory)/n/1465)
	fmt.Printf("disk-per-container-kib\t%.0f\t98\t%.2f\t\tpublished by Docker\n", float64(disk)/n, float64(disk)/n/98)
	c.disperse(ids)
}

func (c *contest) crowd(n int) []platform.InstanceID {
	var ids []platform.InstanceID
	for range n {
		i, err := c.Start(context.Background(), c.plain("exec sleep 100000"))
		check(c.t, err)
		ids = append(ids, i.ID)
	}
	c.settle()
	return ids
}

func (c *contest) disperse(ids []platform.InstanceID) {
	for _, id := range ids {
		check(c.t, c.Stop(context.Background(), id, 0))
	}
	c.settle()
}

// usedMemory is everything that processes and the kernel hold and cannot drop, in KiB: the app's own
// pages, init's, the daemon's and the kernel's objects.
func usedMemory(t testing.TB) int {
	time.Sleep(2 * time.Second) // the kernel frees some of it late
	f, err := os.Open("/proc/meminfo")
	check(t, err)
	defer func() { _ = f.Close() }()
	total := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, rest, _ := strings.Cut(lines.Text(), ":")
		switch name {
		case "AnonPages", "Shmem", "Slab", "KernelStack", "PageTables", "SecPageTables", "Percpu", "VmallocUsed":
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			check(t, err)
			total += n
		}
	}
	return total
}

// usedDisk is what the files of a tree take, in KiB.
func usedDisk(t testing.TB, dir string) int {
	blocks := int64(0)
	check(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		var st unix.Stat_t
		if err == nil {
			err = unix.Lstat(path, &st)
		}
		blocks += st.Blocks
		return err
	}))
	return int(blocks / 2) // of 512 bytes
}

// crowded: a start beside 1,000 idle containers, against one on an idle host.
func (c *contest) crowded() {
	alone := c.interleave(rounds, c.ours)[0]
	ids := c.crowd(crowd)
	figure("start-at-1000", c.interleave(rounds, c.ours)[0], alone)
	c.disperse(ids)
}

// endurance: a start after 10,000 others, against one of the first.
func (c *contest) endurance() {
	first := c.interleave(rounds, c.ours)[0]
	for range *turns {
		check(c.t, c.ours())
	}
	c.settle()
	figure(fmt.Sprintf("start-after-%d", *turns), c.interleave(rounds, c.ours)[0], first)
}
