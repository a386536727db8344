package seccomp

import (
	"encoding/binary"
	"testing"

	"github.com/elastic/go-seccomp-bpf/arch"
	profile "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// filter runs the compiled program in a virtual machine. Its loads are big endian, so the words of
// seccomp_data are given in that order.
func filter(t *testing.T, caps ...string) func(archID uint32, nr int, args ...uint64) uint32 {
	t.Helper()
	rules, err := profile.GetDefaultProfile(&specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: caps}}})
	if err != nil {
		t.Fatal(err)
	}
	program, err := compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	vm, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
	return func(archID uint32, nr int, args ...uint64) uint32 {
		b := make([]byte, 64)
		binary.BigEndian.PutUint32(b, uint32(nr))
		binary.BigEndian.PutUint32(b[4:], archID)
		for i, a := range args {
			binary.BigEndian.PutUint32(b[16+8*i:], uint32(a))
			binary.BigEndian.PutUint32(b[20+8*i:], uint32(a>>32))
		}
		got, err := vm.Run(b)
		if err != nil {
			t.Fatal(err)
		}
		return uint32(got)
	}
}

func TestFilter(t *testing.T) {
	host, err := arch.GetInfo("")
	if err != nil {
		t.Fatal(err)
	}
	run := filter(t)
	const allow = unix.SECCOMP_RET_ALLOW
	eperm, enosys := errno(unix.EPERM), errno(unix.ENOSYS)
	for _, c := range []struct {
		what string
		nr   int
		args []uint64
		want uint32
	}{
		{"read", unix.SYS_READ, nil, allow},
		{"execve", unix.SYS_EXECVE, nil, allow},
		{"mount", unix.SYS_MOUNT, nil, eperm},
		{"bpf", unix.SYS_BPF, nil, eperm},
		{"chroot without its capability", unix.SYS_CHROOT, nil, eperm},
		{"io_uring_setup", unix.SYS_IO_URING_SETUP, nil, eperm},
		{"clone3 as if it were not there", unix.SYS_CLONE3, nil, enosys},
		{"fork by clone", unix.SYS_CLONE, []uint64{uint64(unix.SIGCHLD)}, allow},
		{"clone of a user namespace", unix.SYS_CLONE, []uint64{unix.CLONE_NEWUSER}, eperm},
		{"clone with high flag bits", unix.SYS_CLONE, []uint64{1 << 33}, allow},
		{"unshare", unix.SYS_UNSHARE, []uint64{unix.CLONE_NEWUSER}, eperm},
		{"an inet socket", unix.SYS_SOCKET, []uint64{unix.AF_INET}, allow},
		{"socket family 39", unix.SYS_SOCKET, []uint64{39}, allow},
		{"an AF_ALG socket", unix.SYS_SOCKET, []uint64{unix.AF_ALG}, eperm},
		{"an AF_VSOCK socket", unix.SYS_SOCKET, []uint64{unix.AF_VSOCK}, eperm},
		{"AF_ALG with a high word", unix.SYS_SOCKET, []uint64{1<<32 | unix.AF_ALG}, eperm},
		{"personality linux", unix.SYS_PERSONALITY, []uint64{0}, allow},
		{"personality query", unix.SYS_PERSONALITY, []uint64{0xffffffff}, allow},
		{"personality bsd", unix.SYS_PERSONALITY, []uint64{6}, eperm},
		{"personality with a high word", unix.SYS_PERSONALITY, []uint64{1 << 32}, eperm},
		{"a call of the future", 2000, nil, enosys},
		{"an x32 call", x32Bit | 1, nil, enosys},
	} {
		if got := run(uint32(host.ID), c.nr, c.args...); got != c.want {
			t.Errorf("%s: %#x, want %#x", c.what, got, c.want)
		}
	}
	if got := run(uint32(arch.I386.ID), 3); got != unix.SECCOMP_RET_KILL_PROCESS {
		t.Errorf("a 32-bit call: %#x", got)
	}
	if got := filter(t, "CAP_SYS_CHROOT")(uint32(host.ID), unix.SYS_CHROOT); got != allow {
		t.Errorf("chroot with its capability: %#x", got)
	}
}

// Every call of the profile must come out of the search tree as the profile has it.
func TestEveryCallOfTheProfile(t *testing.T) {
	host, err := arch.GetInfo("")
	if err != nil {
		t.Fatal(err)
	}
	rules, err := profile.GetDefaultProfile(&specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{}}})
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[int]uint32)
	for _, r := range rules.Syscalls {
		for _, name := range r.Names {
			if n, ok := host.SyscallNames[name]; ok && len(r.Args) == 0 {
				v, err := verdict(r.Action, r.ErrnoRet)
				if err != nil {
					t.Fatal(err)
				}
				want[n] = v.Val
			}
		}
	}
	run := filter(t)
	for name, n := range host.SyscallNames {
		if name == "socket" || name == "clone" || name == "personality" {
			continue
		}
		w, ok := want[n]
		if !ok {
			w = errno(unix.EPERM)
		}
		if got := run(uint32(host.ID), n); got != w {
			t.Errorf("%s: %#x, want %#x", name, got, w)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, err := Compile(nil); err != nil {
			b.Fatal(err)
		}
	}
}
