// Package seccomp compiles the system call filter of containers to classic BPF.
//
// What is allowed is the moby project's default profile, which Docker has run the world's images with.
// The form is our own:
//
//	other architecture than the host's  -> kill the process
//	number of the x32 ABI               -> ENOSYS
//	number newer than the table         -> ENOSYS, so that C libraries fall back to an older call
//	binary search over number ranges    -> the range's action, for some calls after a look at arguments
//
// 32-bit programs are not run: on them socketcall(2) would lead around the argument checks.
package seccomp

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/elastic/go-seccomp-bpf/arch"
	profile "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data (seccomp(2)).
const (
	offsetNumber = 0
	offsetArch   = 4
	offsetArgs   = 16
)

const x32Bit = 0x40000000 // __X32_SYSCALL_BIT, asm/unistd.h

// Compile gives the filter for a process that may have the named capabilities ("CAP_SYS_CHROOT"), as
// an array of struct sock_filter in the host's byte order.
func Compile(caps []string) ([]byte, error) { return CompileWith(caps, nil) }

// CompileWith is Compile with system calls that are allowed in addition, whatever their arguments. A name
// that the host's kernel headers do not have is an error.
func CompileWith(caps, allowed []string) ([]byte, error) {
	rules, err := profile.GetDefaultProfile(&specs.Spec{
		Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: caps}},
	})
	if err != nil {
		return nil, fmt.Errorf("read seccomp profile: %w", err)
	}
	if err := allow(rules, allowed); err != nil {
		return nil, err
	}
	program, err := compile(rules)
	if err != nil {
		return nil, fmt.Errorf("compile seccomp profile: %w", err)
	}
	return assemble(program)
}

// allow puts the calls in front: the first rule without conditions decides.
func allow(rules *specs.LinuxSeccomp, names []string) error {
	host, err := arch.GetInfo("")
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, known := host.SyscallNames[name]; !known {
			return fmt.Errorf("there is no system call %q", name)
		}
		for i, rule := range rules.Syscalls { // what the profile says of it elsewhere must not come after
			rules.Syscalls[i].Names = slices.DeleteFunc(slices.Clone(rule.Names), func(n string) bool { return n == name })
		}
	}
	if len(names) > 0 {
		rules.Syscalls = append(rules.Syscalls, specs.LinuxSyscall{Names: names, Action: specs.ActAllow})
	}
	return nil
}

func compile(rules *specs.LinuxSeccomp) ([]bpf.Instruction, error) {
	host, err := arch.GetInfo("")
	if err != nil {
		return nil, err
	}
	table, err := tableOf(rules, host.SyscallNames)
	if err != nil {
		return nil, err
	}
	program := []bpf.Instruction{
		bpf.LoadAbsolute{Off: offsetArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(host.ID), SkipTrue: 1},
		bpf.RetConstant{Val: unix.SECCOMP_RET_KILL_PROCESS},
		bpf.LoadAbsolute{Off: offsetNumber, Size: 4},
	}
	return append(program, search(table)...), nil
}

func assemble(program []bpf.Instruction) ([]byte, error) {
	raw, err := bpf.Assemble(program)
	if err != nil {
		return nil, fmt.Errorf("assemble seccomp filter: %w", err)
	}
	var b []byte
	for _, i := range raw {
		b = binary.NativeEndian.AppendUint16(b, i.Op)
		b = append(b, i.Jt, i.Jf)
		b = binary.NativeEndian.AppendUint32(b, i.K)
	}
	return b, nil
}

// span is a run of system call numbers from first up to the next span that are treated alike.
type span struct {
	first uint32
	code  []bpf.Instruction // always ends in a return
}

// search finds the span of the number in the accumulator by halving.
func search(spans []span) []bpf.Instruction {
	if len(spans) == 1 {
		return spans[0].code
	}
	middle := len(spans) / 2
	low, high := search(spans[:middle]), search(spans[middle:])
	// A conditional jump reaches 255 instructions, an unconditional one any number.
	code := []bpf.Instruction{
		bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: spans[middle].first, SkipFalse: 1},
		bpf.Jump{Skip: uint32(len(low))},
	}
	return append(append(code, low...), high...)
}
