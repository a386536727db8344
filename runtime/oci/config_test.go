package oci

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// configText is the example with a change.
func configText(t testing.TB, change func(*specs.Spec)) []byte {
	t.Helper()
	s := Example()
	if change != nil {
		change(s)
	}
	text, err := json.Marshal(s)
	check(t, err)
	return text
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	number := 2000
	for want, change := range map[string]func(*specs.Spec){
		"ociVersion":               func(s *specs.Spec) { s.Version = "2.0.0" },
		"root.path is missing":     func(s *specs.Spec) { s.Root = nil },
		"has no destination":       func(s *specs.Spec) { s.Mounts[0].Destination = "" },
		"zero byte":                func(s *specs.Spec) { s.Process.Args = []string{"a\x00b"} },
		"is named twice":           func(s *specs.Spec) { s.Linux.Namespaces = append(s.Linux.Namespaces, s.Linux.Namespaces[0]) },
		"type \"moon\" is unknown": func(s *specs.Spec) { s.Linux.Namespaces[0].Type = "moon" },
		"a hostname needs":         func(s *specs.Spec) { s.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.MountNamespace}} },
		"needs uidMappings": func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
		},
		"need a user namespace": func(s *specs.Spec) { s.Linux.UIDMappings = []specs.LinuxIDMapping{{Size: 1}} },
		"is not a range": func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
			s.Linux.UIDMappings = []specs.LinuxIDMapping{{HostID: 2, Size: ^uint32(0)}}
			s.Linux.GIDMappings = s.Linux.UIDMappings
		},
		"belongs to the host":    func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{"kernel.core_pattern": "|/bin/sh"} },
		"is not a name":          func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{"net/../kernel/core_pattern": "x"} },
		"is not absolute":        func(s *specs.Spec) { s.Linux.Devices = []specs.LinuxDevice{{Path: "null", Type: "c"}} },
		"no such number":         func(s *specs.Spec) { s.Linux.Devices = []specs.LinuxDevice{{Path: "/a", Type: "c", Major: -1}} },
		"device rule 0":          func(s *specs.Spec) { s.Linux.Resources.Devices[0].Access = "x" },
		"hook path":              func(s *specs.Spec) { s.Hooks = &specs.Hooks{Prestart: []specs.Hook{{Path: "sh"}}} },
		"rootfsPropagation":      func(s *specs.Spec) { s.Linux.RootfsPropagation = "wild" },
		"process.args is empty":  func(s *specs.Spec) { s.Process.Args = nil },
		"process.cwd":            func(s *specs.Spec) { s.Process.Cwd = "tmp" },
		"oomScoreAdj":            func(s *specs.Spec) { s.Process.OOMScoreAdj = &number },
		"capability \"CAP_FLY\"": func(s *specs.Spec) { s.Process.Capabilities.Ambient = []string{"CAP_FLY"} },
		"rlimit \"RLIMIT_TIME\"": func(s *specs.Spec) { s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_TIME"}} },
		"above the hard one":     func(s *specs.Spec) { s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_CPU", Soft: 2, Hard: 1}} },
		"notifications": func(s *specs.Spec) {
			s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerPath: "/x"}
		},
		"SCMP_ACT_DANCE":           func(s *specs.Spec) { s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: "SCMP_ACT_DANCE"} },
		"scheduler policy":         func(s *specs.Spec) { s.Process.Scheduler = &specs.Scheduler{Policy: "SCHED_NEVER"} },
		"ioPriority":               func(s *specs.Spec) { s.Process.IOPriority = &specs.LinuxIOPriority{Class: "IOPRIO_CLASS_X"} },
		"maps only one":            func(s *specs.Spec) { s.Mounts[0].UIDMappings = []specs.LinuxIDMapping{{Size: 1}} },
		"selinuxLabel":             func(s *specs.Spec) { s.Process.SelinuxLabel = "a:b:c" },
		"time offsets need a time": func(s *specs.Spec) { s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: 1}} },
	} {
		_, err := Parse(configText(t, change))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestUnknownPropertiesAreIgnored(t *testing.T) {
	text := strings.Replace(string(configText(t, nil)), "{", `{"unheardOf": {"a": [1]},`, 1)
	if _, err := Parse([]byte(text)); err != nil {
		t.Error(err)
	}
}

// Whatever a configuration holds, it is refused or can be written as scripts.
func FuzzParse(f *testing.F) {
	f.Add(configText(f, nil))
	f.Add(configText(f, func(s *specs.Spec) {
		s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{
			{Names: []string{"read"}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{{Index: 1, Op: specs.OpMaskedEqual}}},
		}}
		s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 1, Hard: 2}}
		s.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"}
		s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/a/b", Type: "c", Major: 1, Minor: 3}}
	}))
	f.Add([]byte(`{"ociVersion":"1.0.0","root":{"path":"/"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		spec, err := Parse(text)
		if err != nil {
			return
		}
		p := &plan{spec: spec, rootfs: "/", groups: groups{"": "/sys/fs/cgroup/x"}}
		_ = stageScript(spec, nil)
		_ = p.steps()
		_ = settingsV1(resourcesOf(spec))
		_ = settingsV2(resourcesOf(spec))
		if _, err := p.finishScript(0); err != nil {
			t.Errorf("what was taken cannot be written: %v", err)
		}
	})
}

func resourcesOf(s *specs.Spec) *specs.LinuxResources {
	if s.Linux.Resources == nil {
		return &specs.LinuxResources{}
	}
	return s.Linux.Resources
}

func TestMountOptions(t *testing.T) {
	p := planMount(specs.Mount{Destination: "a/../b", Type: "tmpfs", Options: []string{
		"ro", "nosuid", "rw", "rnoexec", "noatime", "strictatime", "rslave", "size=1k", "mode=755", "defaults",
	}})
	want := attrs{unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_STRICTATIME, unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR__ATIME}
	if p.attrs != want || p.below.set != unix.MOUNT_ATTR_NOEXEC || p.spread != unix.MS_SLAVE|unix.MS_REC || p.Destination != "/b" {
		t.Errorf("%+v", p)
	}
	if !slices.Equal(p.data, []string{"size=1k", "mode=755"}) || p.bind {
		t.Errorf("%+v", p)
	}
}

func TestGroupPaths(t *testing.T) {
	for _, c := range []struct {
		path    string
		systemd bool
		want    string // empty: refused
	}{
		{"", false, "/paas-oci/id"}, {"/a/b", false, "/a/b"}, {"a/b", false, "/a/b"}, {"../../etc", false, "/etc"}, {"/", false, ""}, {"..", false, ""},
		{"", true, "/system.slice/paas-oci-id.scope"},
		{"machine.slice:libpod:x", true, "/machine.slice/libpod-x.scope"},
		{"user-1000.slice:a:b", true, "/user.slice/user-1000.slice/a-b.scope"},
		{"-.slice:a:b", true, "/a-b.scope"}, {"a:b", true, ""}, {"a/b:c:d", true, ""},
	} {
		got, err := groupPath(c.path, "id", c.systemd)
		if got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%q: %q, %v", c.path, got, err)
		}
	}
}

// settings finds the value of a file.
func valueIn(settings []setting, file string) string {
	for _, s := range settings {
		if s.file == file {
			return s.value
		}
	}
	return ""
}

func TestResourcesInBothVersions(t *testing.T) {
	limit, swap, quota := int64(64<<20), int64(96<<20), int64(50_000)
	shares, period, weight := uint64(1024), uint64(100_000), uint16(500)
	r := &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: &limit, Swap: &swap},
		CPU:    &specs.LinuxCPU{Shares: &shares, Quota: &quota, Period: &period, Cpus: "0"},
		Pids:   &specs.LinuxPids{Limit: new(int64(-1))},
		BlockIO: &specs.LinuxBlockIO{Weight: &weight, ThrottleReadBpsDevice: []specs.LinuxThrottleDevice{
			{LinuxBlockIODevice: specs.LinuxBlockIODevice{Major: 8}, Rate: 100},
		}},
		Unified: map[string]string{"memory.high": "1"},
	}
	one, two := settingsV1(r), settingsV2(r)
	for file, want := range map[string]string{
		"memory.limit_in_bytes": "67108864", "memory.memsw.limit_in_bytes": "100663296", "cpu.cfs_quota_us": "50000",
		"pids.max": "max", "blkio.throttle.read_bps_device": "8:0 100", "cpuset.cpus": "0",
	} {
		equal(t, file, valueIn(one, file), want)
	}
	for file, want := range map[string]string{
		"memory.max": "67108864", "memory.swap.max": "33554432", "cpu.max": "50000 100000", "cpu.weight": "39",
		"pids.max": "max", "io.weight": "default 4950", "io.max": "8:0 rbps=100", "memory.high": "1",
	} {
		equal(t, file, valueIn(two, file), want)
	}
}

func TestIDs(t *testing.T) {
	for id, ok := range map[string]bool{"a": true, "A.b_c+d-1": true, "": false, ".": false, "..": false, "a/b": false, "a b": false} {
		if err := checkID(id); (err == nil) != ok {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// A pid that was given to another process is not the container's.
func TestAReusedPidIsNotMistaken(t *testing.T) {
	_, start, err := processStat(os.Getpid())
	check(t, err)
	c := &container{record: record{PID: os.Getpid(), StartTime: start}}
	if !c.alive() {
		t.Error("this process is not alive")
	}
	c.StartTime--
	if c.alive() {
		t.Error("a process that began at another time is taken for ours")
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
