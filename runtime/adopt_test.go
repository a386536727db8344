package runtime

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"paas/platform"
	"paas/runtime/image"
	"paas/runtime/network"
	"paas/runtime/runtimetest/sandbox"

	"golang.org/x/sys/unix"
)

// daemon is the program that tests kill: a Runtime over the directory in RUNTIME_TEST_DAEMON that does
// what RUNTIME_TEST_DO says, and tells on stdout when it did.
func daemon() int {
	dir := os.Getenv("RUNTIME_TEST_DAEMON")
	images, err := image.Open(dir + "/images")
	if err != nil {
		return complain(err)
	}
	net, err := network.Open(network.Options{ID: "rt", Dir: dir + "/network"})
	if err != nil {
		return complain(err)
	}
	b := &bench{dir: dir, images: images, net: net, log: &sandbox.Buffer{}}
	if b.Runtime, err = Open(context.Background(), b.options()); err != nil {
		return complain(err)
	}
	script := os.Getenv("RUNTIME_TEST_SCRIPT")
	switch os.Getenv("RUNTIME_TEST_DO") {
	case "start":
		i, err := b.Start(context.Background(), spec(script))
		if err != nil {
			return complain(err)
		}
		fmt.Println(i.ID)
		select {}
	case "pause", "pause and resume":
		return pauseFor(b, script)
	case "enter":
		return enterFor(b, script)
	case "commit":
		return commitForEver(b, script)
	case "run":
		job := platform.JobSpec{InstanceSpec: spec(script)}
		_, err := b.Run(context.Background(), job, nil, os.Stdout, os.Stderr)
		return complain(err)
	}
	for n := 0; ; n++ {
		s := spec(script)
		s.Number = n
		if _, err := b.Start(context.Background(), s); err != nil {
			return complain(err)
		}
		fmt.Println(n)
	}
}

// pauseFor starts an instance and pauses it; told to, it then pauses and resumes for ever.
func pauseFor(b *bench, script string) int {
	i, err := b.Start(context.Background(), spec(script))
	if err != nil {
		return complain(err)
	}
	for n := 0; ; n++ {
		if err := b.Pause(context.Background(), i.ID); err != nil {
			return complain(err)
		}
		if n == 0 {
			fmt.Println(i.ID)
		}
		if os.Getenv("RUNTIME_TEST_DO") == "pause" {
			select {}
		}
		if err := b.Resume(context.Background(), i.ID); err != nil {
			return complain(err)
		}
	}
}

// commitForEver starts an instance and, when it is ready, copies and commits what it wrote, for ever.
func commitForEver(b *bench, script string) int {
	i, err := b.Start(context.Background(), spec(script))
	for err == nil {
		exit, failed := b.Exec(context.Background(), i.ID, []string{"test", "-s", "/app/big"}, io.Discard)
		if err = failed; err == nil && exit.Code == 0 {
			break
		}
	}
	for n := 0; err == nil; n++ {
		if n == 0 {
			fmt.Println(i.ID)
		}
		if _, err = b.Commit(context.Background(), i.ID); err == nil {
			err = b.CopyOut(context.Background(), i.ID, "/app", io.Discard)
		}
	}
	return complain(err)
}

// enterFor runs a command on a terminal in an instance.
func enterFor(b *bench, script string) int {
	i, err := b.Start(context.Background(), spec(script))
	if err != nil {
		return complain(err)
	}
	cmd := platform.Command{
		Argv:     []string{"/bin/sh", "-c", "trap '' HUP; echo " + string(i.ID) + "; sleep 999"},
		Terminal: &platform.Terminal{Cols: 80, Rows: 24},
	}
	_, err = b.Enter(context.Background(), i.ID, cmd, nil, os.Stdout, nil)
	return complain(err)
}

func complain(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// doomed runs a daemon until it told its first line, which it returns, and kills it after a while more.
func (b *bench) doomed(do, script string, after time.Duration) string {
	b.t.Helper()
	check(b.t, b.Close())
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "RUNTIME_TEST_DAEMON="+b.dir, "RUNTIME_TEST_DO="+do, "RUNTIME_TEST_SCRIPT="+script)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	out, err := cmd.StdoutPipe()
	check(b.t, err)
	check(b.t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = cmd.Wait()
		b.t.Fatalf("the daemon told nothing: %v", err)
	}
	time.Sleep(after)
	check(b.t, cmd.Process.Kill())
	_ = cmd.Wait()
	return strings.TrimSpace(line)
}

func TestInstanceOutlivesTheDaemon(t *testing.T) {
	b := newBench(t)
	id := platform.InstanceID(b.doomed("start", `echo page > index.html
		trap 'echo stopping; exit 17' TERM
		httpd -p $PORT
		n=0; while :; do n=$((n+1)); echo line $n; sleep 0.05; done`, 0))
	time.Sleep(time.Second) // lines are written while nobody is there
	b.open()
	all, err := b.Instances(context.Background())
	check(t, err)
	if len(all) != 1 || all[0].ID != id || all[0].Exit != nil || all[0].Release != 3 || !all[0].Addr.IsValid() {
		t.Fatalf("instances: %+v", all)
	}
	r, err := http.Get("http://" + all[0].Addr.String() + "/index.html")
	check(t, err)
	body, err := io.ReadAll(r.Body)
	check(t, err)
	check(t, r.Body.Close())
	equal(t, "page", string(body), "page\n")
	lines := b.lines()
	if len(lines) < 6 {
		t.Errorf("lines: %q", lines)
	}
	for n, line := range lines {
		equal(t, "line", line, fmt.Sprintf("line %d", n+1))
	}
	var out sandbox.Buffer
	exit, err := b.Exec(context.Background(), id, []string{"echo", "adopted"}, &out)
	check(t, err)
	equal(t, "exec", fmt.Sprint(exit.Code, out.String()), "0adopted\n")
	check(t, b.Stop(context.Background(), id, 10*time.Second))
	b.awaitLine("stopping")
}

func TestEndIsSeenWhileAdopted(t *testing.T) {
	b := newBench(t)
	id := b.doomed("start", `trap 'exit 21' HUP; while :; do sleep 0.05; done`, 0)
	b.open()
	c, err := b.running(platform.InstanceID(id))
	check(t, err)
	c.init.signal(unix.SIGHUP)
	i := b.ends()
	equal(t, "id", string(i.ID), id)
	equal(t, "code", i.Exit.Code, 21)
}

func TestEndWhileNobodyWatches(t *testing.T) {
	b := newBench(t)
	id := b.doomed("start", `sleep 0.3; echo last; exit 33`, 0)
	time.Sleep(600 * time.Millisecond)
	b.open()
	i := b.ends()
	equal(t, "id", string(i.ID), id)
	equal(t, "code", i.Exit.Code, 33)
	equal(t, "lines", strings.Join(b.lines(), " "), "last")
	eventually(t, "the report is noted", func() bool {
		rec, err := loadRecord(b.instanceDir(i.ID))
		return err == nil && rec.Reported
	})
	b.reopen()
	select {
	case i := <-b.Exits():
		t.Errorf("it was reported twice: %+v", i)
	case <-time.After(200 * time.Millisecond):
	}
	all, err := b.Instances(context.Background())
	check(t, err)
	if len(all) != 1 || all[0].Exit == nil || all[0].Exit.Code != 33 {
		t.Errorf("instances: %+v", all)
	}
}

func TestJobDiesWithTheDaemon(t *testing.T) {
	b := newBench(t)
	equal(t, "output", b.doomed("run", `echo ready; exec sleep 1000`, 0), "ready")
	b.open()
	equal(t, "directories", b.directories(), 0)
	equal(t, "groups", b.used(buildsGroup), 0)
}

// Wherever in a start the daemon is killed: what is listed runs, and nothing else is left.
func TestDaemonIsKilledWhileItStarts(t *testing.T) {
	b := newBench(t)
	for round := range 8 {
		b.doomed("start many", "exec sleep 1000", time.Duration(40+7*round)*time.Millisecond)
		b.open()
		var want []string
		all, err := b.Instances(context.Background())
		check(t, err)
		for _, i := range all {
			want = append(want, string(i.ID))
			c, err := b.running(i.ID)
			check(t, err)
			if err := unix.Kill(c.init.pid, 0); err != nil {
				t.Errorf("%s is listed and does not run: %v", i.ID, err)
			}
		}
		slices.Sort(want)
		if len(want) == 0 {
			t.Error("no instance was adopted")
		}
		b.settle()
		var dirs, groups, shells []string
		for _, path := range glob(t, b.dir+"/state/instances/*") {
			dirs = append(dirs, path[strings.LastIndexByte(path, '/')+1:])
		}
		for _, c := range b.all() {
			shells = append(shells, c.record.Shell)
		}
		for name := range b.groups.names(appsGroup) {
			groups = append(groups, name)
		}
		slices.Sort(groups)
		slices.Sort(shells)
		if !slices.Equal(dirs, want) || !slices.Equal(groups, shells) {
			t.Errorf("directories %v, want %v\ngroups %v, want %v", dirs, want, groups, shells)
		}
		for _, i := range all {
			check(t, b.Stop(context.Background(), i.ID, 0))
		}
	}
}

func TestMachineWentDown(t *testing.T) {
	b := newBench(t)
	i := b.start("exec sleep 1000")
	c, err := b.running(i.ID)
	check(t, err)
	check(t, b.Close())
	rec, err := loadRecord(c.dir)
	check(t, err)
	check(t, unix.Kill(rec.PID, unix.SIGKILL))
	rec.Boot = "another boot"
	check(t, rec.save(c.dir))
	b.open()
	got := b.ends()
	if got.ID != i.ID || got.Exit == nil || !got.Exit.Lost {
		t.Errorf("it was reported as %+v", got)
	}
}

func TestDamagedRecord(t *testing.T) {
	b := newBench(t)
	i := b.start("exec sleep 1000")
	check(t, b.Close())
	check(t, os.WriteFile(b.instanceDir(i.ID)+"/"+recordFile, []byte("{"), 0o600))
	b.open()
	all, err := b.Instances(context.Background())
	check(t, err)
	equal(t, "instances", len(all), 0)
	equal(t, "groups", b.used(appsGroup), 0)
}

// A restart in an orderly way loses nothing either.
func TestReopen(t *testing.T) {
	b := newBench(t)
	i := b.start(`trap 'exit 5' HUP; echo up; while :; do sleep 0.05; done`)
	b.awaitLine("up")
	for range 3 {
		b.reopen()
	}
	c, err := b.running(i.ID)
	check(t, err)
	c.init.signal(unix.SIGHUP)
	equal(t, "code", b.ends().Exit.Code, 5)
}

// A daemon that is killed between releasing an ended container and noting its end has lost no exit status.
func TestKilledBeforeTheEndIsNoted(t *testing.T) {
	b := newBench(t)
	id := platform.InstanceID(b.doomed("start", `exit 33`, time.Second))
	rec, err := loadRecord(b.instanceDir(id))
	check(t, err)
	rec.Phase, rec.Exit, rec.Reported = running, nil, false
	check(t, rec.save(b.instanceDir(id)))
	b.open()
	equal(t, "code", b.ends().Exit.Code, 33)
}
