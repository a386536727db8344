package runtime

import (
	"context"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"paas/platform"
	"paas/runtime/image"
	"paas/runtime/runtimetest/sandbox"
)

// mounted runs a script as the app's user 1000 with volumes.
func (b *bench) mounted(script string, mounts ...platform.VolumeMount) (string, platform.Exit, error) {
	spec := platform.InstanceSpec{
		AppID: sandbox.App(0), App: "hello", Release: 3, Type: "run", Number: 1, Mounts: mounts,
		Image: platform.Image{Layers: []string{baseLayer}, UID: 1000, GID: 1000}, Command: []string{"/bin/sh", "-c", script},
	}
	var out sandbox.Buffer
	exit, err := b.Run(context.Background(), platform.JobSpec{InstanceSpec: spec}, nil, &out, &out)
	return out.String(), exit, err
}

// A volume is the app's own, keeps what is written, and what lies in it leads nowhere outside.
func TestVolumes(t *testing.T) { testVolumes(t, newBench(t)) }

// The same where mounts cannot map ids: nothing that the platform does to a volume follows what is in it.
func TestVolumesWithoutIDMappedMounts(t *testing.T) {
	b := newBench(t)
	check(t, b.Close())
	var err error
	b.images, err = image.OpenWith(image.Options{Dir: b.dir + "/images", Shift: true})
	check(t, err)
	b.open()
	testVolumes(t, b)
}

func testVolumes(t *testing.T, b *bench) {
	t.Helper()
	home, outside := b.dir+"/volume", b.dir+"/outside"
	check(t, os.Mkdir(home, 0o700))
	check(t, os.Mkdir(home+"/data", 0o755))
	check(t, os.WriteFile(outside, []byte("outside"), 0o600))
	data := platform.VolumeMount{Dir: home + "/data", Target: "/data"}
	out, exit, err := b.mounted("stat -c %u:%g /data && echo kept > /data/f && ln -s "+outside+" /data/out && mkdir /data/d && ln -s ../../.. /data/d/up && grep ' /data ' /proc/self/mountinfo", data)
	check(t, err)
	equal(t, out, exit.Code, 0)
	if !strings.HasPrefix(out, "1000:1000\n") || !strings.Contains(out, "nosuid,nodev") {
		t.Errorf("the app's volume: %s", out)
	}
	for range 2 { // nothing is changed by being mounted again
		out, exit, err = b.mounted("exec 2>&1; cat /ro/f; stat -c %u:%g /ro/f; cat /ro/out; ls /ro/d/up; echo x > /ro/g", platform.VolumeMount{Dir: home + "/data", Target: "/ro", ReadOnly: true})
		check(t, err)
		if exit.Code == 0 || !strings.HasPrefix(out, "kept\n1000:1000\n") || strings.Contains(out, "outside\n") || !strings.Contains(out, "Read-only") {
			t.Errorf("read-only: %+v %s", exit, out)
		}
	}
	var st unix.Stat_t
	check(t, unix.Lstat(outside, &st))
	equal(t, "owner of the file outside", st.Uid, uint32(os.Getuid()))

	check(t, os.Rename(home+"/data", home+"/elsewhere"))
	check(t, os.Symlink(b.dir, home+"/data")) // nobody inside could, but nevertheless
	if out, _, err := b.mounted("cat /data/outside", data); err == nil {
		t.Errorf("a symlink in the place of the volume: %s", out)
	}
	for _, target := range []string{"/proc/x", "/sys", "/dev", "/", "data"} {
		if out, _, err := b.mounted("true", platform.VolumeMount{Dir: home + "/elsewhere", Target: target}); err == nil {
			t.Errorf("at %s: %s", target, out)
		}
	}
}

// What an admin allowed is all of the host that a mount can show.
func TestHostDirectoryHasNoWayOut(t *testing.T) {
	b := newBench(t)
	home := b.dir + "/volume"
	check(t, os.Mkdir(home, 0o755))
	check(t, os.Symlink("/etc", home+"/sub"))
	if out, exit, err := b.mounted("cat /x/hostname", platform.VolumeMount{Dir: home, Sub: "sub", Target: "/x"}); err == nil && exit.Code == 0 {
		t.Errorf("a symlink out of the allowed directory: %s", out)
	}
}

// A renamed app's log is under its new name, with what it has there already, and can be moved twice.
func TestRenameMovesLogs(t *testing.T) {
	b := newBench(t)
	check(t, b.Note("old", "platform", "before"))
	check(t, b.Note("new", "platform", "beside"))
	for range 2 {
		check(t, b.Rename(context.Background(), "old", "new"))
	}
	var lines []string
	check(t, b.Logs(context.Background(), platform.LogQuery{App: "new", Lines: 10}, func(l platform.LogLine) error {
		lines = append(lines, l.Text)
		return nil
	}))
	equal(t, "lines", strings.Join(lines, " "), "before beside")
	if err := b.Rename(context.Background(), "../old", "new"); err == nil {
		t.Error("it moves what is no app's")
	}
}
