package runtime

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"

	"paas/platform"
	"paas/runtime/runtimetest/sandbox"

	"golang.org/x/sys/unix"
)

// status is /proc/self/status of a process inside.
func (b *bench) status(s platform.InstanceSpec) map[string]string {
	b.t.Helper()
	s.Command = []string{"/bin/cat", "/proc/self/status"}
	fields := make(map[string]string)
	for line := range strings.Lines(b.output(s)) {
		k, v, _ := strings.Cut(line, ":")
		fields[k] = strings.TrimSpace(v)
	}
	return fields
}

func TestRights(t *testing.T) {
	b := newBench(t)
	const none, podman = "0000000000000000", "00000000800405fb"
	for _, c := range []struct {
		who       string
		spec      platform.InstanceSpec
		uid, caps string
	}{
		{"app", spec(""), "1000\t1000\t1000\t1000", none},
		{"root", asRoot(spec("")), "0\t0\t0\t0", podman},
	} {
		got := b.status(c.spec)
		for field, want := range map[string]string{
			"Uid": c.uid, "Gid": c.uid, "CapEff": c.caps, "CapPrm": c.caps, "CapBnd": c.caps,
			"CapInh": none, "CapAmb": none, "NoNewPrivs": "1", "Seccomp": "2",
		} {
			equal(t, c.who+" "+field, got[field], want)
		}
	}
}

// Each script prints nothing when the wall holds.
func TestWalls(t *testing.T) {
	b := newBench(t)
	secret := b.dir + "/secret"
	check(t, os.WriteFile(secret, []byte("secret"), 0o644))
	for what, script := range map[string]string{
		"mknod":                   `mknod /tmp/null c 1 3 2>/dev/null && echo made`,
		"mount":                   `mount -t tmpfs none /tmp 2>/dev/null && echo mounted`,
		"unshare a user ns":       `unshare -U true 2>/dev/null && echo unshared`,
		"unshare a mount ns":      `unshare -m true 2>/dev/null && echo unshared`,
		"umount a mask":           `umount /proc/kcore 2>/dev/null && echo unmounted`,
		"write a sysctl":          `echo 1 2>/dev/null >/proc/sys/kernel/hostname && echo written`,
		"sysrq":                   `echo h 2>/dev/null >/proc/sysrq-trigger && echo written`,
		"packet socket":           `arping -c 1 -w 1 -I eth0 10.0.0.1 2>&1 | grep -q "ermi" || echo sent`,
		"write to sysfs":          `touch /sys/x 2>/dev/null && echo written`,
		"read kcore":              `head -c1 /proc/kcore 2>/dev/null | grep -q . && echo read`,
		"read keys":               `cat /proc/keys | grep . `,
		"see firmware":            `ls -A /sys/firmware`,
		"see the host's files":    `ls -d ` + secret + ` 2>/dev/null`,
		"see /proc of the host":   `ls -d /proc/[0-9]* | grep -v -e '^/proc/1$' | wc -l | awk '$1>8'`,
		"init's program":          `cat /proc/1/exe 2>/dev/null | head -c1`,
		"write init's program":    `(echo x >/proc/1/exe) 2>/dev/null && echo written`,
		"init's descriptors":      `for f in /proc/1/fd/* /proc/1/cwd /proc/1/root; do readlink $f; head -c1 $f; done 2>/dev/null`,
		"init's environment":      `cat /proc/1/environ 2>/dev/null`,
		"init's memory":           `head -c1 /proc/1/mem 2>/dev/null`,
		"init's root":             `ls /proc/1/root/ 2>/dev/null`,
		"kill init":               `kill -KILL 1; kill -SEGV 1; kill -ABRT 1; kill -STOP 1; kill -INT 1; kill -QUIT 1; true`,
		"a path of the host":      `grep -e ` + b.dir + ` /proc/mounts /proc/self/mountinfo`,
		"host interfaces":         `ls /sys/class/net | grep -v -e lo -e eth0`,
		"the cgroup's path":       `cut -d: -f3 /proc/self/cgroup | grep -v -x /`,
		"devices beyond Docker's": `ls /dev | grep -v -x -e null -e zero -e full -e random -e urandom -e tty -e ptmx -e pts -e shm -e mqueue -e fd -e std...*`,
		"chroot out":              `ls /../../../.. | grep -x -e home -e srv -e work`,
		"write /proc/bus":         `touch /proc/bus/x 2>/dev/null && echo written`,
		"leaked descriptors":      `ls /proc/self/fd | grep -v -x -e 0 -e 1 -e 2 -e 3`,
	} {
		for who, s := range map[string]platform.InstanceSpec{"app": spec(script + "; true"), "root": asRoot(spec(script + "; true"))} {
			if got := b.output(s); got != "" {
				t.Errorf("%s as %s: %s", what, who, got)
			}
		}
	}
}

func TestWorldInside(t *testing.T) {
	b := newBench(t)
	for what, c := range map[string]struct{ script, want string }{
		"uid map":        {`awk '{print $1, $2, $3}' /proc/self/uid_map`, fmt.Sprint("0 ", firstUID+sandbox.App(0)*rangeSize, " 65536")},
		"hostname":       {`hostname; cat /etc/hostname`, "web-1\nweb-1"},
		"working dir":    {`pwd; echo $HOME`, "/app\n/app"},
		"environment":    {`echo $GREETING $DYNO; [ "$PORT" -gt 1024 ] && echo port; [ "$MEMORY_LIMIT" -gt 1048576 ] && echo memory; echo $PATH`, "hi web.1\nport\nmemory\n" + defaultPath},
		"hosts":          {`grep -c localhost /etc/hosts; grep -qE '^10\..*web-1$' /etc/hosts && echo own`, "2\nown"},
		"resolv.conf":    {`grep -c nameserver /etc/resolv.conf`, "1"},
		"/dev/null":      {`echo x >/dev/null && head -c4 /dev/zero | wc -c`, "4"},
		"/dev/shm":       {`touch /dev/shm/x && df -k /dev/shm | awk 'END{print $2}'; stat -c %a /dev/shm`, "65536\n1777"},
		"/dev/stdout":    {`echo again >/dev/stdout`, "again"},
		"/tmp":           {`touch /tmp/x && stat -c %a /tmp`, "1777"},
		"open files":     {`[ $(ulimit -n) -gt 1024 ] && echo many`, "many"},
		"mount options":  {`awk '$2=="/"{print $3, $4 ~ /nodev/, $4 ~ /nosuid/}' /proc/mounts`, "overlay 1 1"},
		"proc options":   {`awk '$2=="/proc"{print $4 ~ /nosuid/ && $4 ~ /nodev/ && $4 ~ /noexec/}' /proc/mounts`, "1"},
		"low ports":      {`nc -l -p 80 -e true & sleep 0.2; netstat -ltn | grep -c :80`, "1"},
		"orphans reaped": {`(sleep 0.1 & ) ; sleep 0.4; ps -o stat | grep -c Z`, "0"},
	} {
		equal(t, what, b.output(spec(c.script+"; true")), c.want)
	}
}

// A file with the set-user-ID bit or capabilities gives nothing.
func TestSetuidGivesNothing(t *testing.T) {
	b := newBench(t)
	equal(t, "effective user", b.setuid(spec("")), 1000&0xff)
}

// setuid runs a program of root's with the set-user-ID bit, and gives the last byte of whom it is then.
// busybox would give its rights up by itself.
func (b *bench) setuid(s platform.InstanceSpec) int {
	b.t.Helper()
	d, err := b.images.Draft()
	check(b.t, err)
	defer func() { _ = d.Discard() }()
	check(b.t, os.WriteFile(d.Dir+"/whoami", whoami(), 0o755))
	check(b.t, os.Chmod(d.Dir+"/whoami", 0o755|os.ModeSetuid))
	check(b.t, d.Commit("setuid"))
	s.Image.Layers = append(s.Image.Layers, "setuid")
	s.Command = []string{"/whoami"}
	exit, err := b.Run(context.Background(), platform.JobSpec{InstanceSpec: s}, nil, nil, nil)
	check(b.t, err)
	return exit.Code
}

// whoami is an x86-64 ELF program that ends with its effective user id (elf(5)).
func whoami() []byte {
	code := []byte{0xb8, 107, 0, 0, 0, 0x0f, 0x05 /* geteuid */, 0x89, 0xc7, 0xb8, 60, 0, 0, 0, 0x0f, 0x05 /* exit */}
	const base, headers = 0x400000, 64 + 56
	size := uint64(headers + len(code))
	b := append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 9)...)
	for _, field := range []any{
		uint16(2), uint16(62), uint32(1), uint64(base + headers), uint64(64), uint64(0), uint32(0),
		uint16(64), uint16(56), uint16(1), uint16(0), uint16(0), uint16(0),
		uint32(1), uint32(5), uint64(0), uint64(base), uint64(base), size, size, uint64(4096),
	} {
		b, _ = binary.Append(b, binary.LittleEndian, field)
	}
	return append(b, code...)
}

// An image that has a symlink where the runtime mounts is refused, and nothing outside is touched.
func TestHostileImages(t *testing.T) {
	b := newBench(t)
	for _, dir := range []string{"proc", "sys", "dev"} {
		d, err := b.images.Draft()
		check(t, err)
		check(t, os.Symlink("/app", d.Dir+"/"+dir))
		check(t, d.Commit("hostile-"+dir))
		check(t, d.Discard())
		s := spec("true")
		s.Image.Layers = append(s.Image.Layers, "hostile-"+dir)
		if _, err := b.Start(context.Background(), s); err == nil {
			t.Errorf("an image whose /%s is a symlink was started", dir)
		}
	}
	outside := b.dir + "/outside"
	check(t, os.WriteFile(outside, []byte("untouched"), 0o644))
	d, err := b.images.Draft()
	check(t, err)
	check(t, os.Mkdir(d.Dir+"/etc", 0o755))
	check(t, os.Symlink("../../../../../../../.."+outside, d.Dir+"/etc/hosts"))
	check(t, d.Commit("hostile-hosts"))
	check(t, d.Discard())
	s := spec("grep -c localhost /etc/hosts")
	s.Image.Layers = append(s.Image.Layers, "hostile-hosts")
	equal(t, "hosts", b.output(s), "2")
	text, err := os.ReadFile(outside)
	check(t, err)
	equal(t, "the file outside", string(text), "untouched")
}

func TestForkBomb(t *testing.T) {
	b := newBench(t)
	s := spec(`i=0; while [ $i -lt 200 ]; do sleep 30 & i=$((i+1)); done; echo survived`)
	s.Limits.Processes = 40
	var out, errs bytes.Buffer
	exit, err := b.Run(context.Background(), platform.JobSpec{InstanceSpec: s}, nil, &out, &errs)
	check(t, err)
	if exit.Code == 0 || !strings.Contains(errs.String(), "fork") {
		t.Errorf("exit %+v, stderr %q", exit, errs.String())
	}
}

func TestOutOfMemory(t *testing.T) {
	b := newBench(t)
	s := spec(`exec tail -c 300000000 /dev/zero`)
	s.Limits.Memory = 32 << 20
	_, err := b.Start(context.Background(), s)
	check(t, err)
	exit := b.ends().Exit
	if exit == nil || !exit.OOM || exit.Code != 137 || exit.Signal != "SIGKILL" {
		t.Errorf("exit %+v", exit)
	}
}

func TestCPULimit(t *testing.T) {
	b := newBench(t)
	s := spec(`exec sleep 100`)
	s.Limits.CPUs = 0.5
	i, err := b.Start(context.Background(), s)
	check(t, err)
	if !b.groups.v2 {
		c, err := b.running(i.ID)
		check(t, err)
		text, err := os.ReadFile(b.groups.tops["cpu"] + "/" + c.group.path + "/cpu.cfs_quota_us")
		check(t, err)
		equal(t, "quota", strings.TrimSpace(string(text)), "50000")
	}
}

// A container whose init is killed from outside ends with all its processes.
func TestInitIsKilled(t *testing.T) {
	b := newBench(t)
	i := b.start(`sleep 1000 & exec sleep 1000`)
	c, err := b.running(i.ID)
	check(t, err)
	check(t, unix.Kill(c.init.pid, unix.SIGKILL))
	exit := b.ends().Exit
	if exit == nil || exit.Code != 137 || exit.Signal != "SIGKILL" || exit.OOM {
		t.Errorf("exit %+v", exit)
	}
}
