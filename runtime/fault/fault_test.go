package fault_test

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"paas/platform"
	"paas/runtime/runtimetest"
	"paas/runtime/runtimetest/sandbox"
)

var rounds = flag.Int("rounds", 15, "how many times something is killed")

// trial is a host whose daemon is killed again and again.
type trial struct {
	t        *testing.T
	dir      string
	baseline map[string]int // what there is when nothing runs
}

// A way to kill, and what may be expected of exit statuses after it.
type fate struct {
	name  string
	kill  func(*trial, *exec.Cmd)
	exact bool // instances end as they meant to
}

func fates() []fate {
	return []fate{
		{"the daemon", func(_ *trial, d *exec.Cmd) { _ = d.Process.Kill() }, true},
		{"the daemon while it opens", func(_ *trial, d *exec.Cmd) { _ = d.Process.Kill() }, true},
		{"inits, then the daemon", func(x *trial, d *exec.Cmd) { x.killInits(); _ = d.Process.Kill() }, false},
		{"the daemon, then inits", func(x *trial, d *exec.Cmd) { _ = d.Process.Kill(); x.killInits() }, false},
		{"everything at once", func(_ *trial, d *exec.Cmd) { _ = d.Process.Kill(); sandbox.KillGroups() }, false},
		{"everything but the daemon, then it", func(_ *trial, d *exec.Cmd) {
			sandbox.KillGroups()
			time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
			_ = d.Process.Kill()
		}, false},
	}
}

// Whatever is killed at whatever moment: what ran runs on, what ended is told with its status, and
// nothing else is left.
func TestKillAnythingAnytime(t *testing.T) {
	before := sandbox.Mounts(t)
	x := &trial{t: t, dir: t.TempDir()}
	t.Cleanup(func() {
		x.destroy()
		sandbox.LeavesNothing(t, x.dir, before)
	})
	h := x.open()
	h.Layer(t, runtimetest.Base, sandbox.FillBase)
	x.baseline = x.census()
	sandbox.Check(t, h.Shut())
	all := fates()
	for n := range *rounds {
		f := all[n%len(all)]
		if !t.Run(fmt.Sprintf("%d %s", n, f.name), func(t *testing.T) { x.in(t).round(f) }) {
			break
		}
	}
}

func (x *trial) in(t *testing.T) *trial { return &trial{t, x.dir, x.baseline} }

func (x *trial) open() *runtimetest.Host {
	x.t.Helper()
	h, err := runtimetest.Open(x.dir)
	sandbox.Check(x.t, err)
	return h
}

func (x *trial) destroy() {
	h := x.open()
	sandbox.Check(x.t, h.Destroy())
	sandbox.Check(x.t, h.Network.Destroy())
}

func (x *trial) round(f fate) {
	sandbox.Check(x.t, os.WriteFile(x.dir+diaryFile, nil, 0o600))
	x.doom(f)
	if f.exact {
		x.troubles()
	}
	h := x.open()
	x.compare(h, f)
	x.stopAll(h)
	for line := range strings.Lines(h.Log.String()) {
		if !strings.Contains(line, "adopt the network of a running instance") { // it was just ending
			x.t.Errorf("the runtime complained: %s", line)
		}
	}
	sandbox.Check(x.t, h.Shut())
	x.nothingGrew()
}

// doom runs a daemon for a moment.
func (x *trial) doom(f fate) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), daemonEnv+"="+x.dir)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	out, err := cmd.StdoutPipe()
	sandbox.Check(x.t, err)
	sandbox.Check(x.t, cmd.Start())
	opening := strings.Contains(f.name, "opens")
	if !opening {
		if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
			x.t.Errorf("the daemon did not open: %v", err)
		}
	}
	time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
	f.kill(x, cmd)
	_ = cmd.Wait()
}

// killInits ends about a third of the containers from outside.
func (x *trial) killInits() {
	for _, dir := range sandbox.Processes(x.t) {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err == nil && isInit(dir) && rand.IntN(3) == 0 {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// isInit tells the first process of a PID namespace by its number in it.
func isInit(dir string) bool {
	text, err := os.ReadFile(dir + "/status")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if ids, ok := strings.CutPrefix(line, "NSpid:"); ok {
			fields := strings.Fields(ids)
			return len(fields) > 1 && fields[len(fields)-1] == "1"
		}
	}
	return false
}

// troubles are what failed in the daemon though nothing but the daemon was going to be killed.
func (x *trial) troubles() {
	text, err := os.ReadFile(x.dir + diaryFile)
	sandbox.Check(x.t, err)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "trouble") {
			x.t.Error(line)
		}
	}
}

// compare holds what the new daemon knows against the diary of the old one.
func (x *trial) compare(h *runtimetest.Host, f fate) {
	instances := x.settled(h)
	started, stopped := x.diary()
	for id, kind := range started {
		i, known := instances[id]
		switch {
		case !known && !stopped[id]:
			x.t.Errorf("%s was forgotten", id)
		case !known || stopped[id]:
		case i.Exit == nil && kind != "stays":
			x.t.Errorf("%s should have ended", id)
		case i.Exit != nil:
			x.rightEnd(i, kind, f)
			if f.exact && len(started) <= keptLogs {
				x.wholeLog(h, i)
			}
		}
	}
	for id, i := range instances {
		if i.Exit == nil {
			x.answers(h, id)
		}
	}
	x.onlyTheirs(h, x.settled(h))
}

func (x *trial) rightEnd(i platform.Instance, kind string, f fate) {
	killed := i.Exit.Code == 137 && !f.exact
	if i.Exit.Lost || (strconv.Itoa(i.Exit.Code) != kind && !killed) {
		x.t.Errorf("%s ended with %+v, not %s", i.ID, *i.Exit, kind)
	}
}

// keptLogs is how many ended instances' logs an app has at least.
const keptLogs = 20

// wholeLog expects both lines, the one before and the one after the daemon was killed.
func (x *trial) wholeLog(h *runtimetest.Host, i platform.Instance) {
	var lines []string
	err := h.Logs(context.Background(), platform.LogQuery{App: i.App, ID: i.ID, Lines: 10}, func(l platform.LogLine) error {
		lines = append(lines, l.Text)
		return nil
	})
	if err != nil || strings.Join(lines, " ") != "hello bye" {
		x.t.Errorf("the log of %s is %q, %v", i.ID, lines, err)
	}
}

// settled waits until the short-lived instances have ended and those that were killed are known to be.
func (x *trial) settled(h *runtimetest.Host) map[platform.InstanceID]platform.Instance {
	go func() {
		for {
			select {
			case <-h.Exits():
			case <-time.After(2 * time.Second):
				return
			}
		}
	}()
	started, stopped := x.diary()
	instances := make(map[platform.InstanceID]platform.Instance)
	sandbox.Eventually(x.t, "what must end has ended", func() bool {
		all, err := h.Instances(context.Background())
		sandbox.Check(x.t, err)
		clear(instances)
		done := true
		for _, i := range all {
			instances[i.ID] = i
			kind, known := started[i.ID]
			if i.Exit == nil && (!known || kind != "stays" || stopped[i.ID]) {
				done = done && !ends(h, i.ID)
			}
		}
		return done
	})
	return instances
}

// ends tells whether an instance that nobody knows the kind of is about to end: it does not only sleep.
func ends(h *runtimetest.Host, id platform.InstanceID) bool {
	var out bytes.Buffer
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err := h.Exec(ctx, id, runtimetest.Shell("cat /proc/*/cmdline"), &out)
	return err != nil || !strings.Contains(out.String(), "sleep\x001000")
}

// answers expects the instance to serve a command, or to be just ending.
func (x *trial) answers(h *runtimetest.Host, id platform.InstanceID) {
	var out bytes.Buffer
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	exit, err := h.Exec(ctx, id, []string{"echo", "here"}, &out)
	if err == nil && exit.Code == 0 && out.String() == "here\n" {
		return
	}
	for range 100 {
		if x.hasEnded(h, id) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	x.t.Errorf("%s is said to run and does not answer: %+v, %v, %q", id, exit, err, out.String())
}

func (x *trial) hasEnded(h *runtimetest.Host, id platform.InstanceID) bool {
	all, err := h.Instances(context.Background())
	sandbox.Check(x.t, err)
	for _, i := range all {
		if i.ID == id {
			return i.Exit != nil
		}
	}
	return true
}

// diary reads what was started, and what was, maybe, stopped.
func (x *trial) diary() (started map[platform.InstanceID]string, stopped map[platform.InstanceID]bool) {
	started, stopped = make(map[platform.InstanceID]string), make(map[platform.InstanceID]bool)
	text, err := os.ReadFile(x.dir + diaryFile)
	sandbox.Check(x.t, err)
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		switch {
		case words[0] == "start" && len(words) == 3:
			started[platform.InstanceID(words[1])] = words[2]
		case words[0] == "stop" && len(words) == 2:
			stopped[platform.InstanceID(words[1])] = true
		}
	}
	return started, stopped
}

// onlyTheirs checks that directories and groups are those of the instances that there are, and no others. The
// firewall knows no instances.
func (x *trial) onlyTheirs(h *runtimetest.Host, instances map[platform.InstanceID]platform.Instance) {
	dirs, err := os.ReadDir(x.dir + "/state/instances")
	sandbox.Check(x.t, err)
	for _, d := range dirs {
		if _, known := instances[platform.InstanceID(d.Name())]; !known {
			x.t.Errorf("directory %s is nobody's", d.Name())
		}
	}
	for _, group := range sandbox.Groups() {
		name := filepath.Base(group)
		i, known := instances[platform.InstanceID(name)]
		if strings.HasPrefix(name, "app") && name != "apps" && (!known || i.Exit != nil) {
			x.t.Errorf("group %s is nobody's", group)
		}
	}
}

func (x *trial) stopAll(h *runtimetest.Host) {
	all, err := h.Instances(context.Background())
	sandbox.Check(x.t, err)
	for _, i := range all {
		sandbox.Check(x.t, h.Stop(context.Background(), i.ID, 0))
	}
}

// spare is how much more than at first there may be of what a runtime keeps ready.
const spare = 16

// census counts what must not grow.
func (x *trial) census() map[string]int {
	dirs, err := filepath.Glob(x.dir + "/state/instances/*")
	sandbox.Check(x.t, err)
	records, err := filepath.Glob(x.dir + "/run/*")
	sandbox.Check(x.t, err)
	dirs = append(dirs, records...)
	return map[string]int{
		"mounts": strings.Count(sandbox.Mounts(x.t), "\n"), "groups": len(sandbox.Groups()), "interfaces": len(sandbox.Links(x.t)),
		"tables": len(sandbox.Tables(x.t)), "processes": len(sandbox.Processes(x.t)), "directories": len(dirs),
		"namespaces": namespaces(x.t),
	}
}

// namespaces counts the network namespaces that processes of this test's apps are in.
func namespaces(t *testing.T) int {
	seen := make(map[string]bool)
	for _, dir := range sandbox.Processes(t) {
		if ns, err := os.Readlink(dir + "/ns/net"); err == nil {
			seen[ns] = true
		}
	}
	return len(seen)
}

func (x *trial) nothingGrew() {
	x.t.Helper()
	var what string
	deadline := time.Now().Add(20 * time.Second)
	for ; time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		what = x.grown()
		if what == "" {
			return
		}
	}
	x.t.Errorf("left: %s", what)
}

func (x *trial) grown() (what string) {
	for name, now := range x.census() {
		allowed := x.baseline[name]
		if name == "groups" || name == "interfaces" || name == "directories" {
			allowed += spare
		}
		if now > allowed {
			what += fmt.Sprintf(" %d %s, at first %d;", now, name, x.baseline[name])
		}
	}
	return what
}
