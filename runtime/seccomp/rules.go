package seccomp

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// tableOf orders the rules by system call number. Names the host does not have are passed over.
func tableOf(rules *specs.LinuxSeccomp, numbers map[string]int) ([]span, error) {
	otherwise, err := verdict(rules.DefaultAction, rules.DefaultErrnoRet)
	if err != nil {
		return nil, err
	}
	byNumber, err := codeByNumber(rules, numbers, otherwise)
	if err != nil {
		return nil, err
	}
	last := 0
	for _, n := range numbers {
		if n < x32Bit {
			last = max(last, n)
		}
	}
	var table []span
	for n := 0; n <= last; n++ {
		code, ok := byNumber[n]
		if !ok {
			code = []bpf.Instruction{otherwise}
		}
		if len(table) == 0 || !reflect.DeepEqual(table[len(table)-1].code, code) {
			table = append(table, span{uint32(n), code})
		}
	}
	unknown := bpf.RetConstant{Val: errno(unix.ENOSYS)}
	return append(table, span{uint32(last + 1), []bpf.Instruction{unknown}}), nil
}

// codeByNumber joins all rules of a call: the first whose arguments match decides.
func codeByNumber(rules *specs.LinuxSeccomp, numbers map[string]int, otherwise bpf.Instruction) (map[int][]bpf.Instruction, error) {
	conditional := make(map[int][]bpf.Instruction)
	final := make(map[int]bpf.Instruction)
	for _, rule := range rules.Syscalls {
		code, err := ruleCode(rule)
		if err != nil {
			return nil, err
		}
		for _, name := range rule.Names {
			n, known := numbers[name]
			switch {
			case !known:
			case len(rule.Args) > 0:
				conditional[n] = append(conditional[n], code...)
			default:
				final[n] = code[0]
			}
		}
	}
	out := make(map[int][]bpf.Instruction)
	for n, code := range conditional {
		out[n] = append(code, otherwise)
	}
	for n, ret := range final {
		out[n] = append(slices.Clone(conditional[n]), ret)
	}
	return out, nil
}

// ruleCode returns the rule's verdict if all its arguments match and goes on behind itself otherwise.
func ruleCode(rule specs.LinuxSyscall) ([]bpf.Instruction, error) {
	ret, err := verdict(rule.Action, rule.ErrnoRet)
	if err != nil {
		return nil, err
	}
	code := []bpf.Instruction{ret}
	for _, arg := range rule.Args {
		test, err := argumentTest(arg, len(code))
		if err != nil {
			return nil, err
		}
		code = append(test, code...)
	}
	return code, nil
}

func verdict(action specs.LinuxSeccompAction, number *uint) (bpf.RetConstant, error) {
	switch action {
	case specs.ActAllow:
		return bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}, nil
	case specs.ActErrno:
		if number == nil {
			return bpf.RetConstant{Val: errno(unix.EPERM)}, nil
		}
		return bpf.RetConstant{Val: errno(unix.Errno(*number))}, nil
	}
	return bpf.RetConstant{}, fmt.Errorf("action %s is not supported", action)
}

func errno(e unix.Errno) uint32 { return unix.SECCOMP_RET_ERRNO | uint32(e)&unix.SECCOMP_RET_DATA }

// argumentTest falls through when the argument matches and skips the after instructions that follow it when not.
//
// Only socket(2)'s family is compared by order, an int: the kernel ignores the high word, and so must the
// filter, or 1<<32|AF_ALG would pass as a large number.
func argumentTest(arg specs.LinuxSeccompArg, after int) ([]bpf.Instruction, error) {
	low, miss := bpf.LoadAbsolute{Off: offsetArgs + 8*uint32(arg.Index), Size: 4}, uint8(after)
	switch arg.Op {
	case specs.OpLessThan:
		return []bpf.Instruction{low, bpf.JumpIf{Cond: bpf.JumpLessThan, Val: uint32(arg.Value), SkipFalse: miss}}, nil
	case specs.OpGreaterThan:
		return []bpf.Instruction{low, bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: uint32(arg.Value), SkipFalse: miss}}, nil
	case specs.OpEqualTo, specs.OpMaskedEqual:
		return compare(arg, miss)
	}
	return nil, fmt.Errorf("comparison %s is not supported", arg.Op)
}
