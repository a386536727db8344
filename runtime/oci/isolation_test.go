package oci

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestIsolation(t *testing.T) {
	b := newBench(t)
	out := b.inContainer(`
		echo root $(ls /)
		echo fds $(ls /proc/self/fd)
		echo first $(head -c 2 /proc/1/cmdline)
		grep -E 'CapInh|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp:' /proc/self/status
		echo x > /proc/sys/kernel/hostname
		head -c 1 /proc/kcore | wc -c
		cat /proc/self/cgroup
		hostname
		mount | grep -E ' / | /sys '
	`, func(s *specs.Spec) {
		s.Root.Readonly = true
		s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow}
	})
	for _, want := range []string{
		"root bin dev etc proc run sys tmp", "fds 0 1 2 3\n", "CapInh:\t0000000000000000", "CapEff:\t0000000020000420",
		"CapBnd:\t0000000020000420", "CapAmb:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2", "Read-only file system",
		"\n0\n", "paas\n", " / type ", "(ro,",
	} {
		contains(t, "inside", out, want)
	}
	if strings.Contains(out, b.group) {
		t.Errorf("the container sees where its group is:\n%s", out)
	}
}

func userNamespaceOf(s *specs.Spec) {
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 300_000, Size: 1000}}
	s.Linux.GIDMappings = s.Linux.UIDMappings
}

// The bundle lies in directories that only the host's root may enter.
func TestUserNamespace(t *testing.T) {
	b := newBench(t)
	out := b.inContainer("id; cat /proc/self/uid_map; stat -c %t:%T /dev/null; echo x > /dev/null && echo written", userNamespaceOf)
	contains(t, "inside", out, "uid=0 gid=0")
	contains(t, "inside", out, "300000       1000")
	contains(t, "inside", out, "1:3\nwritten")
}

func TestExecInAUserNamespace(t *testing.T) {
	b := newBench(t)
	b.configure("exec sleep 100", userNamespaceOf)
	b.must("create", "--bundle", b.bundle, "a")
	defer b.end("a")
	b.must("start", "a")
	contains(t, "exec", b.must("exec", "a", "sh", "-c", "id -u; cat /proc/self/uid_map"), "300000")
}

// Ids on disk are not those that a mount with a map of its own shows.
func TestMappedMount(t *testing.T) {
	b := newBench(t)
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o644))
	check(t, os.Chown(filepath.Join(dir, "file"), 5, 5))
	out := b.inContainer("stat -c %u:%g /v/file", func(s *specs.Spec) {
		m := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1000, Size: 100}}
		s.Mounts = append(s.Mounts, specs.Mount{Destination: "/v", Type: "bind", Source: dir, Options: []string{"bind"}, UIDMappings: m, GIDMappings: m})
	})
	equal(t, "owner", out, "1005:1005")
}

func TestTimeNamespace(t *testing.T) {
	b := newBench(t)
	out := b.inContainer("cat /proc/uptime", func(s *specs.Spec) {
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
		s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: 1_000_000_000}}
	})
	if len(out) < 10 || out[0] != '1' {
		t.Errorf("uptime %s", out)
	}
}

func TestJoinedNamespaces(t *testing.T) {
	b := newBench(t)
	b.configure("exec sleep 100", nil)
	b.must("create", "--bundle", b.bundle, "a")
	defer b.end("a")
	b.must("start", "a")
	first := filepath.Join("/proc", strconv.Itoa(b.pid("a")), "ns")
	b.configure("ps; readlink /proc/self/ns/net", func(s *specs.Spec) {
		s.Linux.CgroupsPath += "-second"
		s.Hostname = ""
		for i, ns := range s.Linux.Namespaces {
			for _, k := range namespaceKinds() {
				if k.kind == ns.Type && ns.Type != specs.MountNamespace && ns.Type != specs.CgroupNamespace {
					s.Linux.Namespaces[i].Path = filepath.Join(first, k.file)
				}
			}
		}
	})
	out := b.must("run", "--bundle", b.bundle, "b")
	contains(t, "processes", out, "sleep 100")
	net, err := os.Readlink(filepath.Join(first, "net"))
	check(t, err)
	contains(t, "network", out, net)
}

// CVE-2019-19921, CVE-2023-27561: an image in which /proc is a symlink is refused.
func TestASymlinkedProcIsRefused(t *testing.T) {
	b := newBench(t)
	check(t, os.Remove(b.inRoot("proc")))
	check(t, os.Symlink("/tmp", b.inRoot("proc")))
	b.configure("true", nil)
	equal(t, "create", b.run("create", "--bundle", b.bundle, "a"), 1)
	contains(t, "error", b.output(), "/proc: too many levels of symbolic links")
}

// CVE-2021-30465: mount points behind the image's links stay in the image.
func TestMountPointsStayInside(t *testing.T) {
	b := newBench(t)
	outside := t.TempDir()
	check(t, os.Symlink(outside, b.inRoot("way")))
	check(t, os.MkdirAll(b.inRoot(outside), 0o755))
	check(t, os.Symlink("../../../../../../../..", b.inRoot("up")))
	check(t, os.WriteFile(filepath.Join(outside, "kept"), nil, 0o644))
	source := t.TempDir()
	b.inContainer("true", func(s *specs.Spec) {
		for _, at := range []string{"/way/x", "/up/etc/y", "/../../z"} {
			s.Mounts = append(s.Mounts, specs.Mount{Destination: at, Type: "bind", Source: source, Options: []string{"bind"}})
		}
	})
	entries, err := os.ReadDir(outside)
	check(t, err)
	equal(t, "entries outside", len(entries), 1)
	for _, made := range []string{filepath.Join(outside, "x"), "etc/y", "z"} {
		if _, err := os.Stat(b.inRoot(made)); err != nil {
			t.Errorf("not made in the image: %v", err)
		}
	}
}

// CVE-2024-21626: a working directory in /proc could be one of the host's.
func TestAWorkingDirectoryOfTheHostIsRefused(t *testing.T) {
	b := newBench(t)
	for _, cwd := range []string{"/proc/self/fd/3", "/proc/self/fd/7", "/proc/1/cwd", "/proc/self/fd/200"} {
		b.configure("pwd", func(s *specs.Spec) { s.Process.Cwd = cwd })
		if code := b.run("run", "--bundle", b.bundle, "a"); code == 0 {
			t.Errorf("%s was taken: %s", cwd, b.output())
		}
		_ = b.output()
	}
}

// CVE-2025-31133: what hides a path is /dev/null of the host, not what an image has there.
func TestMasksAreTheHosts(t *testing.T) {
	b := newBench(t)
	check(t, os.WriteFile(b.inRoot("etc/secret"), []byte("secret"), 0o644))
	check(t, os.WriteFile(b.inRoot("etc/other"), []byte("secret"), 0o644))
	check(t, os.Symlink("/etc/other", b.inRoot("etc/alias")))
	check(t, os.MkdirAll(b.inRoot("hidden"), 0o755))
	check(t, os.WriteFile(b.inRoot("hidden/file"), nil, 0o644))
	out := b.inContainer("cat /etc/secret /etc/other; stat -c %t:%T /etc/secret; ls /hidden; touch /hidden/x; touch /etc/new; true", func(s *specs.Spec) {
		s.Linux.MaskedPaths = []string{"/etc/secret", "/etc/alias", "/hidden", "/not/there"}
		s.Linux.ReadonlyPaths = []string{"/etc"}
	})
	equal(t, "inside", out, "1:3\ntouch: /hidden/x: Read-only file system\ntouch: /etc/new: Read-only file system")
}

func TestDevices(t *testing.T) {
	b := newBench(t)
	mode := os.FileMode(0o640)
	uid := uint32(4)
	major, minor := int64(1), int64(7)
	out := b.inContainer("stat -c '%a %u %t:%T' /dev/mine /dev/deep/zero; echo x > /dev/null && echo null; head -c 1 /dev/mine | wc -c; head -c 1 /dev/deep/zero | wc -c", func(s *specs.Spec) {
		s.Linux.Devices = []specs.LinuxDevice{
			{Path: "/dev/mine", Type: "c", Major: 1, Minor: 7, FileMode: &mode, UID: &uid},
			{Path: "/dev/deep/zero", Type: "c", Major: 10, Minor: 200},
		}
		s.Linux.Resources.Devices = append(s.Linux.Resources.Devices, specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: &major, Minor: &minor, Access: "r"})
	})
	contains(t, "inside", out, "640 4 1:7\n666 0 a:c8\nnull\n1\n0")
	contains(t, "inside", out, "Operation not permitted") // the second one is no allowed one
}

func TestLimits(t *testing.T) {
	b := newBench(t)
	limit := int64(64 << 20)
	score := 500
	umask := uint32(0o27)
	out := b.inContainer("ulimit -n; cat /proc/self/oom_score_adj; umask; id; cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; true", func(s *specs.Spec) {
		s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &limit}
		s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 77, Hard: 88}}
		s.Process.OOMScoreAdj, s.Process.User = &score, specs.User{UID: 1000, GID: 1001, AdditionalGids: []uint32{5, 6}, Umask: &umask}
		s.Mounts = append(s.Mounts, specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "ro"}})
	})
	equal(t, "inside", out, "77\n500\n0027\nuid=1000 gid=1001 groups=5,6\n67108864")
}

func TestAmbientCapabilities(t *testing.T) {
	b := newBench(t)
	out := b.inContainer("grep Cap /proc/self/status", func(s *specs.Spec) {
		s.Process.User.UID = 1000
		net := []string{"CAP_NET_BIND_SERVICE"}
		both := []string{"CAP_NET_BIND_SERVICE", "CAP_KILL"}
		s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: both, Permitted: both, Effective: net, Inheritable: net, Ambient: net}
	})
	for _, want := range []string{"CapInh:\t0000000000000400", "CapPrm:\t0000000000000400", "CapEff:\t0000000000000400", "CapBnd:\t0000000000000420", "CapAmb:\t0000000000000400"} {
		contains(t, "capabilities", out, want)
	}
}

// A tmpfs with tmpcopyup begins with what the image has there.
func TestTmpfsGetsTheImagesFiles(t *testing.T) {
	b := newBench(t)
	check(t, os.MkdirAll(b.inRoot("run/lock"), 0o1777))
	check(t, os.WriteFile(b.inRoot("run/file"), []byte("text\n"), 0o604))
	check(t, os.Lchown(b.inRoot("run/file"), 7, 8))
	check(t, os.Symlink("/etc/shadow", b.inRoot("run/link")))
	out := b.inContainer("cat /run/file; stat -c %a:%u:%g /run/file; readlink /run/link; touch /run/new", func(s *specs.Spec) {
		s.Mounts = append(s.Mounts, specs.Mount{Destination: "/run", Type: "tmpfs", Source: "tmpfs", Options: []string{"tmpcopyup", "size=1m"}})
	})
	equal(t, "inside", out, "text\n604:7:8\n/etc/shadow")
	if _, err := os.Stat(b.inRoot("run/new")); err == nil {
		t.Error("the image was written to")
	}
}

// Without a mount namespace the container's mounts are the host's, until it is deleted.
func TestNoMountNamespace(t *testing.T) {
	b := newBench(t)
	out := b.inContainer("ls /; echo x > /tmp/mark", func(s *specs.Spec) {
		var list []specs.LinuxNamespace
		for _, ns := range s.Linux.Namespaces {
			if ns.Type != specs.MountNamespace {
				list = append(list, ns)
			}
		}
		s.Linux.Namespaces = list
	})
	contains(t, "inside", out, "proc")
	table, err := os.ReadFile("/proc/self/mounts")
	check(t, err)
	if strings.Contains(string(table), b.bundle) {
		t.Error("mounts are left on the host")
	}
}

// The seccomp filter counts, and for all the process's children.
func TestSeccomp(t *testing.T) {
	b := newBench(t)
	number := uint(unix.EXDEV)
	for _, nnp := range []bool{true, false} {
		out := b.inContainer("sh -c 'mkdir /tmp/x'; true", func(s *specs.Spec) {
			s.Process.NoNewPrivileges = nnp
			s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
				{Names: []string{"mkdir", "mkdirat"}, Action: specs.ActErrno, ErrnoRet: &number},
			}}
		})
		contains(t, "mkdir", out, "mkdir")
	}
}
