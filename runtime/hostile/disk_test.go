package hostile_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
	"paas/platform"
	"paas/runtime/runtimetest"
	"paas/runtime/runtimetest/sandbox"
)

// smallDisk is a file system of its own that ends with the test's mount namespace.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	image := t.TempDir() + "/disk"
	f, err := os.Create(image)
	sandbox.Check(t, err)
	sandbox.Check(t, f.Truncate(192*mebibyte))
	sandbox.Check(t, f.Close())
	for _, argv := range [][]string{
		{"mkfs.ext4", "-q", "-N", "8192", image}, // package e2fsprogs
		{"mount", "-o", "loop", image, dir},
	} {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", argv[0], err, out)
		}
	}
	t.Cleanup(func() { sandbox.Check(t, unix.Unmount(dir, 0)) })
	return dir
}

// While one container has filled the disk, with bytes or with files, others run on, can be asked and
// stopped, and when it is stopped there is room again.
func TestDiskIsFull(t *testing.T) {
	before := sandbox.Mounts(t)
	t.Cleanup(func() { sandbox.NothingMounted(t, before) })
	a := &arena{Host: openOn(t, smallDisk(t)), t: t}
	a.Layer(t, runtimetest.Base, sandbox.FillBase)
	a.Layer(t, attackLayer, func(dir string) error { return copyProgram(dir+"/attack", 0o755) })
	var err error
	a.neighbour, err = a.Start(context.Background(), runtimetest.Spec(neighbourApp, runtimetest.Shell(
		`cd /dev/shm; echo alive > index.html; exec httpd -f -p $PORT`)))
	sandbox.Check(t, err)
	sandbox.Eventually(t, "the neighbour answers", func() bool { _, err := a.probe(); return err == nil })
	for name, script := range map[string]string{
		"bytes": `/attack tmpfs /tmp/x; echo full; exec sleep 1000`,
		"files": `/attack inodes /tmp 100000; echo full; exec sleep 1000`,
	} {
		t.Run(name, func(t *testing.T) { a.in(t).fillDisk(script) })
	}
	sandbox.Check(t, a.Stop(context.Background(), a.neighbour.ID, 0))
}

func openOn(t *testing.T, dir string) *runtimetest.Host {
	t.Helper()
	h, err := runtimetest.Open(dir)
	sandbox.Check(t, err)
	t.Cleanup(func() {
		sandbox.Check(t, h.Destroy())
		sandbox.Check(t, h.Network.Destroy())
	})
	return h
}

func (a *arena) fillDisk(script string) {
	t := a.t
	free := freeSpace(t, a.Dir)
	s := attacker(false)
	s.Command = runtimetest.Shell(script)
	i, err := a.Start(context.Background(), s)
	sandbox.Check(t, err)
	sandbox.Eventually(t, "the disk is full", func() bool {
		now := freeSpace(t, a.Dir)
		return now.Bavail*uint64(now.Bsize) < 2*mebibyte || now.Ffree < 8 // ext4 keeps some for itself
	})
	if _, err := a.probe(); err != nil {
		t.Errorf("the neighbour does not answer: %v", err)
	}
	var out bytes.Buffer
	exit, err := a.Exec(context.Background(), a.neighbour.ID, []string{"echo", "here"}, &out)
	if err != nil || exit.Code != 0 || out.String() != "here\n" {
		t.Errorf("the neighbour cannot be asked: %+v, %v, %q", exit, err, out.String())
	}
	if _, err := a.Start(context.Background(), runtimetest.Spec(neighbourApp, runtimetest.Shell("exec sleep 1000"))); err == nil {
		t.Log("an instance started in what was left")
	} else {
		t.Logf("no instance starts: %v", err)
	}
	sandbox.Check(t, a.Stop(context.Background(), i.ID, 0))
	sandbox.Eventually(t, "there is room again", func() bool {
		now := freeSpace(t, a.Dir)
		return now.Bavail > free.Bavail*9/10 && now.Ffree > free.Ffree*9/10
	})
	if exit, err := a.Run(context.Background(), platform.JobSpec{InstanceSpec: runtimetest.Spec(neighbourApp, runtimetest.Shell("exit 3"))}, nil, nil, nil); err != nil || exit.Code != 3 {
		t.Errorf("a job afterwards: %+v, %v", exit, err)
	}
}

func freeSpace(t *testing.T, dir string) unix.Statfs_t {
	t.Helper()
	var st unix.Statfs_t
	sandbox.Check(t, unix.Statfs(dir, &st))
	return st
}
