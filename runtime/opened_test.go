package runtime

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"paas/platform"
	"paas/runtime/devrules"
	"paas/runtime/runtimetest/sandbox"

	"golang.org/x/sys/unix"
)

func opened(script string, s platform.Security) platform.InstanceSpec {
	i := spec(script)
	i.Security = s
	return i
}

func TestAddedCapability(t *testing.T) {
	b := newBench(t)
	net := platform.Security{Capabilities: []string{"NET_RAW"}}
	const raw, root = "0000000000002000", "00000000800425fb"
	got := b.status(opened("", net))
	for field, want := range map[string]string{"CapEff": raw, "CapPrm": raw, "CapBnd": raw, "CapAmb": raw, "NoNewPrivs": "1", "Seccomp": "2"} {
		equal(t, "app "+field, got[field], want)
	}
	got = b.status(asRoot(opened("", net)))
	for field, want := range map[string]string{"CapEff": root, "CapBnd": root, "CapAmb": "0000000000000000"} {
		equal(t, "root "+field, got[field], want)
	}
	// A raw socket is what it is for; arping has no other way.
	const ping = `arping -c 1 -w 1 -I lo 127.0.0.1 2>&1 | grep -c -i 'not permitted'; true`
	equal(t, "without it", b.output(spec(ping)), "1")
	equal(t, "with it", b.output(opened(ping, net)), "0")
	_, err := b.Start(context.Background(), opened("true", platform.Security{Capabilities: []string{"FLY"}}))
	equal(t, "kind of an unknown one", platform.KindOf(err), platform.Usage)
}

// A command beside the app has what the app has.
func TestExecHasOpenedRights(t *testing.T) {
	b := newBench(t)
	i := b.begin(opened("exec sleep 100", platform.Security{
		Capabilities: []string{"NET_RAW"}, Rlimits: map[string]platform.Rlimit{"nofile": {Soft: 100, Hard: 200}},
	}))
	equal(t, "capabilities", b.execIn(i, `grep CapEff /proc/self/status | cut -f2`), "0000000000002000")
	equal(t, "files", b.execIn(i, `ulimit -n; ulimit -Hn`), "100\n200")
}

func TestReadOnlyRoot(t *testing.T) {
	b := newBench(t)
	s := platform.Security{ReadOnly: true, Tmpfs: []platform.Tmpfs{{Path: "/app/cache", Size: 1 << 20}, {Path: "/app/cache/deep", Size: 1 << 20}}}
	const script = `for f in /app/x /x /etc/x /bin/busybox; do (echo x >$f) 2>/dev/null && echo wrote $f; done
		for f in /tmp/x /run/x /dev/shm/x /app/cache/x /app/cache/deep/x; do echo x >$f || echo cannot write $f; done
		rm -f /etc/hosts 2>/dev/null && echo removed; mount -o remount,rw / 2>/dev/null && echo remounted; true`
	equal(t, "app", b.output(opened(script, s)), "")
	equal(t, "root", b.output(asRoot(opened(script, s))), "")
	equal(t, "the directory is made for it", b.output(opened(`pwd`, s)), "/app")
}

func TestSizedFileSystems(t *testing.T) {
	b := newBench(t)
	s := platform.Security{SharedMemory: 1 << 20, Temporary: 2 << 20}
	const script = `for d in /dev/shm /tmp; do head -c 3000000 /dev/zero 2>/dev/null >$d/x; stat -c %s $d/x; done 2>/dev/null; df -k /tmp | awk 'END{print $2}'`
	equal(t, "sizes", b.output(opened(script, s)), "1048576\n2097152\n2048")
	equal(t, "usual /tmp", b.output(spec(`awk '$2=="/tmp"' /proc/mounts`)), "")
}

func TestSysctls(t *testing.T) {
	b := newBench(t)
	s := platform.Security{Sysctls: map[string]string{"net.ipv4.ip_local_port_range": "20000\t30000", "net.ipv4.tcp_fin_timeout": "17"}}
	const script = `cat /proc/sys/net/ipv4/ip_local_port_range /proc/sys/net/ipv4/tcp_fin_timeout; (echo 5 >/proc/sys/net/ipv4/tcp_fin_timeout) 2>/dev/null && echo wrote; true`
	equal(t, "values", b.output(opened(script, s)), "20000\t30000\n17")
	before := controlText("/proc/sys/kernel/panic")
	_, err := b.Start(context.Background(), opened("true", platform.Security{Sysctls: map[string]string{"kernel.panic": "7"}}))
	if platform.KindOf(err) != platform.Failed || !strings.Contains(err.Error(), "kernel.panic") {
		t.Errorf("a sysctl of the host: %v", err)
	}
	equal(t, "the host's", controlText("/proc/sys/kernel/panic"), before)
}

func TestRelaxedFilter(t *testing.T) {
	b := newBench(t)
	const script = `unshare -U true 2>/dev/null && echo unshared; true`
	equal(t, "usual", b.output(spec(script)), "")
	equal(t, "relaxed", b.output(opened(script, platform.Security{Syscalls: []string{"unshare"}})), "unshared")
	const masks = `unshare -U -m -r umount /proc/kcore 2>/dev/null && echo bare; true`
	equal(t, "masks", b.output(opened(masks, platform.Security{Syscalls: []string{"unshare", "umount2"}})), "")
	if _, err := b.Start(context.Background(), opened("true", platform.Security{Syscalls: []string{"make_coffee"}})); err == nil {
		t.Error("a system call that does not exist was allowed")
	}
}

func TestPrivilegesMayBeGained(t *testing.T) {
	b := newBench(t)
	s := opened("", platform.Security{Privileges: true})
	equal(t, "effective user", b.setuid(s), 0)
	got := b.status(opened("", platform.Security{Privileges: true}))
	for field, want := range map[string]string{"CapEff": "0000000000000000", "CapBnd": "00000000800405fb", "NoNewPrivs": "0", "Seccomp": "2"} {
		equal(t, field, got[field], want)
	}
}

func TestRlimits(t *testing.T) {
	b := newBench(t)
	equal(t, "core", b.output(spec(`ulimit -c; ulimit -Hc`)), "0\n0")
	s := platform.Security{Rlimits: map[string]platform.Rlimit{
		"nofile": {Soft: 64, Hard: 128}, "nproc": {Soft: 30, Hard: 30}, "fsize": {Soft: 1 << 20, Hard: 1 << 20}, "core": {Soft: 1 << 20, Hard: platform.NoLimit},
	}}
	equal(t, "limits", b.output(opened(`ulimit -n; ulimit -Hn; awk '/processes/{print $3, $4}' /proc/self/limits`, s)), "64\n128\n30 30")
	got := b.output(opened(`head -c 3000000 /dev/zero 2>/dev/null >/app/big; stat -c %s /app/big`, s))
	equal(t, "a file", got, "1048576")
	many := platform.Security{Rlimits: map[string]platform.Rlimit{"nofile": {Soft: 1 << 40, Hard: 1 << 40}}}
	if got := b.output(opened(`ulimit -n`, many)); got == "" || got == "0" {
		t.Errorf("more files than any host allows became %q", got)
	}
}

// A device that was opened can be opened inside, with its numbers, by the app's user; no other can.
func TestOpenedDevice(t *testing.T) {
	b := newBench(t)
	const path = "/dev/loop-control" // every Linux host has it, and opening it does nothing
	d, err := b.OpenDevice(path)
	check(t, err)
	s := platform.Security{Devices: []platform.Device{d}}
	const script = `stat -c '%u %g %a' ` + path + `; (exec 3<>` + path + `) 2>&1 && echo opened; (exec 3<>/dev/zero) && echo zero`
	equal(t, "opened", b.output(opened(script, s)), "1000 1000 660\nopened\nzero")
	equal(t, "without", b.output(spec(`(exec 3<>`+path+`) 2>/dev/null && echo opened; true`)), "")
	d.Access = "r"
	got := b.output(opened(`(exec 3<`+path+`) 2>/dev/null && echo read; (exec 3>`+path+`) 2>/dev/null && echo write; true`, platform.Security{Devices: []platform.Device{d}}))
	equal(t, "for reading", got, "read")
	_, err = b.OpenDevice("/dev/nothing")
	equal(t, "kind of a missing one", platform.KindOf(err), platform.NotFound)
	_, err = b.OpenDevice("/etc/passwd")
	equal(t, "kind of a file", platform.KindOf(err), platform.Usage)
}

// The second wall: even root of the host, with the node at hand, cannot open a device in a container's group.
func TestDeviceRulesHoldForRoot(t *testing.T) {
	own := func(t *testing.T, h hierarchies) {
		c, err := openCgroups(h, sandbox.ID()+"dev")
		check(t, err)
		t.Cleanup(func() { check(t, c.destroy()) })
		equal(t, "lack", c.lacks["device"], "")
		g, err := c.create(appsGroup, "one")
		check(t, err)
		t.Cleanup(func() { check(t, g.remove()) })
		equal(t, "usual", tryDevices(t, g), "null\n")
		check(t, g.allow([]platform.Device{{Path: "/dev/loop-control", Major: 10, Minor: 237, Access: "rw"}}))
		equal(t, "allowed", tryDevices(t, g), "null\nloop-control\n")
	}
	h, err := findHierarchies()
	check(t, err)
	t.Run("own", func(t *testing.T) { own(t, h) })
	if h.v2 == "" {
		t.Run("v2", func(t *testing.T) { own(t, v2Tree(t)) })
	}
}

// tryDevices opens devices as the host's root in a group, and says which could be.
func tryDevices(t *testing.T, g cgroup) string {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command("/bin/sh", "-c", `read go; for d in null loop-control; do (exec 3<>/dev/$d) 2>/dev/null && echo $d; done`)
	cmd.Stdout = &out
	in, err := cmd.StdinPipe()
	check(t, err)
	check(t, cmd.Start())
	dir, extended := g.dir("devices")
	if g.of.v2 {
		check(t, writeControl(filepath.Join(g.dirs()[0], "cgroup.procs"), itoa(cmd.Process.Pid)))
	} else {
		check(t, g.place(cmd.Process.Pid))
		if extended && exists(dir) {
			check(t, writeControl(filepath.Join(dir, "cgroup.procs"), itoa(cmd.Process.Pid)))
		}
	}
	_, err = in.Write([]byte("go\n"))
	check(t, err)
	_ = cmd.Wait()
	return out.String()
}

func itoa(n int) string { return number(int64(n)) }

func TestRuleForms(t *testing.T) {
	for want, r := range map[string]devrules.Rule{
		"c 1:3 rwm":  {Major: 1, Minor: 3, Access: "rwm"},
		"b 8:* r":    {Block: true, Major: 8, Minor: devrules.Any, Access: "r"},
		"c *:* m":    {Major: devrules.Any, Minor: devrules.Any, Access: "m"},
		"c 136:* rw": {Major: 136, Minor: devrules.Any, Access: "rw"},
	} {
		equal(t, "rule", r.V1(), want)
	}
	equal(t, "all capabilities have names", len(capabilityNames(1<<(unix.CAP_LAST_CAP+1)-1)), unix.CAP_LAST_CAP+1)
}
