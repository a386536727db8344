package seccomp

import (
	"encoding/binary"
	"testing"

	"github.com/elastic/go-seccomp-bpf/arch"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// decide runs the rules' filter in a virtual machine, whose loads are big endian.
func decide(t *testing.T, rules *specs.LinuxSeccomp, archID uint32, nr uint32, args ...uint64) uint32 {
	t.Helper()
	program, err := compileSpec(rules)
	if err != nil {
		t.Fatal(err)
	}
	vm, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 64)
	binary.BigEndian.PutUint32(b, nr)
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

// Every comparison is right on both sides of the value, also where only the high words differ.
func TestComparisonsSeeAll64Bits(t *testing.T) {
	const value = 5<<32 | 7
	around := []uint64{0, 7, 4<<32 | 7, 4<<32 | 9, 5<<32 | 6, value, 5<<32 | 8, 6 << 32, 6<<32 | 7, ^uint64(0)}
	for op, holds := range map[specs.LinuxSeccompOperator]func(a uint64) bool{
		specs.OpEqualTo:      func(a uint64) bool { return a == value },
		specs.OpNotEqual:     func(a uint64) bool { return a != value },
		specs.OpLessThan:     func(a uint64) bool { return a < value },
		specs.OpLessEqual:    func(a uint64) bool { return a <= value },
		specs.OpGreaterThan:  func(a uint64) bool { return a > value },
		specs.OpGreaterEqual: func(a uint64) bool { return a >= value },
		specs.OpMaskedEqual:  func(a uint64) bool { return a&value == 1<<32|1 },
	} {
		rules := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{
			Names: []string{"socket"}, Action: specs.ActErrno,
			Args: []specs.LinuxSeccompArg{
				{Index: 2, Value: value, ValueTwo: 1<<32 | 1, Op: op}, {Index: 0, Value: 9, Op: specs.OpEqualTo},
			},
		}}}
		for _, a := range append(around, 1<<32|1, 3<<32|1) {
			for _, other := range []uint64{9, 1<<32 | 9} {
				want := uint32(unix.SECCOMP_RET_ALLOW)
				if holds(a) && other == 9 {
					want = errno(unix.EPERM)
				}
				if got := decide(t, rules, uint32(arch.X86_64.ID), unix.SYS_SOCKET, other, 0, a); got != want {
					t.Errorf("%#x %s %#x with %#x: %#x, want %#x", a, op, uint64(value), other, got, want)
				}
			}
		}
	}
}

func TestActionsAndArchitectures(t *testing.T) {
	number := uint(unix.EXDEV)
	rules := &specs.LinuxSeccomp{
		DefaultAction: specs.ActErrno, DefaultErrnoRet: &number, Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchX86},
		Syscalls: []specs.LinuxSyscall{
			{Names: []string{"read"}, Action: specs.ActAllow},
			{Names: []string{"write"}, Action: specs.ActKillProcess},
			{Names: []string{"getpid"}, Action: specs.ActTrap},
			{Names: []string{"read"}, Action: specs.ActKill}, // too late: the first rule decides
		},
	}
	host, i386 := uint32(arch.X86_64.ID), uint32(arch.I386.ID)
	for _, c := range []struct {
		what     string
		arch, nr uint32
		want     uint32
	}{
		{"read", host, unix.SYS_READ, unix.SECCOMP_RET_ALLOW},
		{"write", host, unix.SYS_WRITE, unix.SECCOMP_RET_KILL_PROCESS},
		{"getpid", host, unix.SYS_GETPID, unix.SECCOMP_RET_TRAP},
		{"the default", host, unix.SYS_MOUNT, errno(unix.EXDEV)},
		{"a call of the future", host, 5000, errno(unix.ENOSYS)},
		{"an x32 call", host, x32Bit, errno(unix.ENOSYS)},
		{"read of i386", i386, 3, unix.SECCOMP_RET_ALLOW},
		{"mount of i386", i386, 21, errno(unix.EXDEV)},
		{"another machine", 1, 0, unix.SECCOMP_RET_KILL_PROCESS},
	} {
		if got := decide(t, rules, c.arch, c.nr); got != c.want {
			t.Errorf("%s: %#x, want %#x", c.what, got, c.want)
		}
	}
	if _, err := CompileSpec(&specs.LinuxSeccomp{DefaultAction: "SCMP_ACT_DANCE"}); err == nil {
		t.Error("an unknown action was taken")
	}
}
