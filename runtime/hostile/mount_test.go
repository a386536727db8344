package hostile_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"paas/platform"
	"paas/runtime/runtimetest"
	"paas/runtime/runtimetest/sandbox"
)

// step is a build step of the hostile app that runs a script as root.
func (a *arena) step(upper, script string, binds ...platform.Bind) (platform.Exit, string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), sandbox.Patience)
	defer cancel()
	var out bytes.Buffer
	exit, err := a.Step(ctx, platform.StepSpec{
		AppID: sandbox.App(attackerApp), App: "app0", Name: "Hostile step", Layers: []string{runtimetest.Base, attackLayer},
		Upper: upper, Argv: runtimetest.Shell(script), Dir: "/", Binds: binds,
	}, &out)
	return exit, out.String(), err
}

// upper is a directory that takes a step's writes, with its siblings.
func upper(t *testing.T) string {
	t.Helper()
	dir := t.TempDir() + "/upper"
	sandbox.Check(t, os.Mkdir(dir, 0o755))
	return dir
}

// A process that shares a volume swaps a directory for a symlink and back, thousands of times a second,
// while other containers are given mounts below it (CVE-2021-30465).
func TestMountTargetIsSwapped(t *testing.T) {
	a := newArena(t)
	for _, link := range []string{"/../../../../../../../run/paas-hostile-victim", "/proc", "/dev", "/sys", "/etc", "/proc/self/root"} {
		t.Run(link, func(t *testing.T) { a.in(t).raceMounts(link) })
	}
}

func (a *arena) raceMounts(link string) {
	t := a.t
	victim := "/run/paas-hostile-victim"
	sandbox.Check(t, os.MkdirAll(victim, 0o777))
	t.Cleanup(func() { sandbox.Check(t, os.RemoveAll(victim)) })
	volume, source := t.TempDir(), t.TempDir()
	for _, dir := range []string{volume, source} {
		sandbox.Check(t, os.Chmod(dir, 0o777))
	}
	sandbox.Check(t, os.WriteFile(source+"/file", []byte("bound"), 0o644))
	sandbox.Check(t, os.Mkdir(volume+"/a", 0o777))
	sandbox.Check(t, os.Symlink(link, volume+"/b"))

	ctx, stop := context.WithCancel(context.Background())
	swapping := make(chan error, 1)
	upperDir := upper(t)
	go func() {
		var out bytes.Buffer
		_, err := a.Step(ctx, platform.StepSpec{
			AppID: sandbox.App(attackerApp), App: "app0", Name: "swap", Layers: []string{runtimetest.Base, attackLayer},
			Upper: upperDir, Argv: []string{"/attack", "swap", "/v/a", "/v/b"}, Dir: "/",
			Binds: []platform.Bind{{Source: volume, Target: "/v"}},
		}, &out)
		swapping <- err
	}()
	inside, before := 0, sandbox.Mounts(t)
	for end := time.Now().Add(700 * time.Millisecond); time.Now().Before(end); {
		_, out, err := a.step(upper(t), "cat /v/a/deep/target/file; cat /v/a/deep/file; ls -A "+a.secret+" /run/paas-hostile-victim 2>/dev/null",
			platform.Bind{Source: volume, Target: "/v"},
			platform.Bind{Source: source, Target: "/v/a/deep/target", ReadOnly: true},
			platform.Bind{Source: source + "/file", Target: "/v/a/deep/file"})
		if err == nil && bytes.Contains([]byte(out), []byte("bound")) {
			inside++
		}
		if bytes.Contains([]byte(out), []byte(a.secret)) {
			t.Errorf("the host was seen: %s", out)
		}
	}
	stop()
	<-swapping
	if now := names(t, victim); now != "[]" {
		t.Errorf("outside there is now %s", now)
	}
	sandbox.NothingMounted(t, before)
	t.Logf("%d mounts hit their target", inside)
}

// A step leaves symlinks where the next step on the same directory, or the cleaning up after it, goes.
func TestUpperIsSwapped(t *testing.T) {
	a := newArena(t)
	victim := "/run/paas-hostile-victim"
	sandbox.Check(t, os.MkdirAll(victim+"/made", 0o777))
	t.Cleanup(func() { sandbox.Check(t, os.RemoveAll(victim)) })
	source := t.TempDir()
	up := "../../../../../../../.."
	bind := platform.Bind{Source: source, Target: "/mnt/made"}
	for what, script := range map[string]string{
		"the mount point's parent":    `mkdir /other; cp -a /bin/busybox /other; umount /mnt/made; mv /mnt /gone; ln -s ` + up + victim + ` /mnt`,
		"etc by a link out":           `rm -rf /etc; ln -s ` + up + victim + ` /etc`,
		"etc/hosts by a link out":     `rm -f /etc/hosts; ln -s ` + up + victim + `/hosts /etc/hosts`,
		"dev by a link":               `umount /dev; mv /dev /dev2; ln -s ` + up + victim + ` /dev`,
		"everything by links":         `for d in /mnt /etc /var /app /tmp; do mv $d $d.old; ln -s ` + up + victim + ` $d; done`,
		"the overlay's own directory": `ls -la / /proc/self/mountinfo; rm -rf /work; ln -s ` + up + victim + ` /work; mkdir -p /fs`,
		"whiteouts by hand":           `mknod /etc/passwd2 c 0 0; rm /etc/passwd; mkdir /opaque; rmdir /opaque`,
	} {
		t.Run(what, func(t *testing.T) {
			a := a.in(t)
			dir := upper(t)
			for range 2 {
				_, out, err := a.step(dir, script+"; true", bind)
				t.Logf("%v %s", err, out)
			}
			if now := names(t, victim) + names(t, victim+"/made"); now != "[made][]" {
				t.Errorf("outside there is now %s", now)
			}
		})
	}
	if now := names(t, source); now != "[]" {
		t.Errorf("the bound directory has now %s", now)
	}
}

// A volume cannot be a symlink, and what lies in it cannot be a device.
func TestVolumeTricks(t *testing.T) {
	a := newArena(t)
	volume := t.TempDir()
	sandbox.Check(t, os.Chmod(volume, 0o777))
	sandbox.Check(t, (planted{path: "/link", link: "/run"}).plant(volume))
	sandbox.Check(t, nodesLayer(volume))
	sandbox.Check(t, rightsLayer(volume))
	if _, out, err := a.step(upper(t), "ls /v", platform.Bind{Source: volume + "/link", Target: "/v"}); err == nil {
		t.Errorf("a symlink was bound: %s", out)
	}
	_, out, err := a.step(upper(t), `cat /v/nodes/mem | head -c1; cat /v/link/paas-hostile-secret; echo over >/v/link/paas-hostile-secret; true`,
		platform.Bind{Source: volume, Target: "/v"})
	sandbox.Check(t, err)
	if bytes.Contains([]byte(out), []byte("secret\n")) {
		t.Errorf("the host's file was read: %s", out)
	}
	for _, program := range []string{"setuid", "setgid", "filecaps", "filecaps3"} {
		s := platform.StepSpec{
			AppID: sandbox.App(attackerApp), App: "app0", Name: "gain", Layers: []string{runtimetest.Base}, Upper: upper(t),
			Argv: []string{"/v/rights/" + program, "whoami"}, Dir: "/", UID: 1000, GID: 1000,
			Binds: []platform.Bind{{Source: volume, Target: "/v"}},
		}
		var got bytes.Buffer
		_, err := a.Step(context.Background(), s, &got)
		sandbox.Check(t, err)
		if want := fmt.Sprintln(1000, 1000, "0000000000000000"); got.String() != want {
			t.Errorf("%s in a volume made it %q", program, got.String())
		}
	}
}
