package seccomp

import (
	"fmt"
	"slices"

	"github.com/elastic/go-seccomp-bpf/arch"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// CompileSpec gives the filter that a runtime-spec configuration describes (config-linux.md, "Seccomp"), in
// the form of Compile. The host's architecture is always among the filtered ones; i386 is if it is listed.
//
// A call that is newer than our table gets the default action, unless that is an errno: then it is ENOSYS,
// so that C libraries fall back to an older call.
func CompileSpec(rules *specs.LinuxSeccomp) ([]byte, error) {
	program, err := compileSpec(rules)
	if err != nil {
		return nil, fmt.Errorf("compile seccomp rules: %w", err)
	}
	const most = 4096 // BPF_MAXINSNS
	if len(program) > most {
		return nil, fmt.Errorf("compile seccomp rules: they need %d instructions, the kernel takes %d", len(program), most)
	}
	return assemble(program)
}

func compileSpec(rules *specs.LinuxSeccomp) ([]bpf.Instruction, error) {
	host, err := arch.GetInfo("")
	if err != nil {
		return nil, err
	}
	code, err := specTable(rules, host, true)
	if err != nil {
		return nil, err
	}
	program := []bpf.Instruction{bpf.LoadAbsolute{Off: offsetArch, Size: 4}}
	program = append(program, forArch(host, code)...)
	if slices.Contains(rules.Architectures, specs.ArchX86) {
		if code, err = specTable(rules, arch.I386, false); err != nil {
			return nil, err
		}
		program = append(program, forArch(arch.I386, code)...)
	}
	return append(program, bpf.RetConstant{Val: unix.SECCOMP_RET_KILL_PROCESS}), nil
}

// forArch goes on behind code if the accumulator holds another architecture.
func forArch(info *arch.Info, code []bpf.Instruction) []bpf.Instruction {
	return append([]bpf.Instruction{
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(info.ID), SkipTrue: 1},
		bpf.Jump{Skip: uint32(len(code) + 1)},
		bpf.LoadAbsolute{Off: offsetNumber, Size: 4},
	}, code...)
}

// specTable is the search for one architecture. On x86-64 the numbers of the x32 ABI do not exist.
func specTable(rules *specs.LinuxSeccomp, info *arch.Info, x32 bool) ([]bpf.Instruction, error) {
	otherwise, err := specVerdict(rules.DefaultAction, rules.DefaultErrnoRet)
	if err != nil {
		return nil, err
	}
	byNumber, err := specCode(rules, info.SyscallNames, otherwise)
	if err != nil {
		return nil, err
	}
	numbers := make([]int, 0, len(info.SyscallNames))
	for _, n := range info.SyscallNames {
		if n < x32Bit {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	table := spansOf(slices.Max(numbers), byNumber, otherwise)
	unknown := otherwise
	if rules.DefaultAction == specs.ActErrno {
		unknown = bpf.RetConstant{Val: errno(unix.ENOSYS)}
	}
	table = append(table, span{uint32(slices.Max(numbers) + 1), []bpf.Instruction{unknown}})
	if x32 {
		table = append(table, span{x32Bit, []bpf.Instruction{bpf.RetConstant{Val: errno(unix.ENOSYS)}}})
	}
	return search(table), nil
}

// spansOf joins neighbouring numbers that are treated alike.
func spansOf(last int, byNumber map[int][]bpf.Instruction, otherwise bpf.Instruction) []span {
	var table []span
	for n := 0; n <= last; n++ {
		code, ok := byNumber[n]
		if !ok {
			code = []bpf.Instruction{otherwise}
		}
		if len(table) == 0 || !slices.Equal(table[len(table)-1].code, code) {
			table = append(table, span{uint32(n), code})
		}
	}
	return table
}

// specCode joins the rules of each call in their order: the first that matches decides.
func specCode(rules *specs.LinuxSeccomp, numbers map[string]int, otherwise bpf.Instruction) (map[int][]bpf.Instruction, error) {
	code := make(map[int][]bpf.Instruction)
	final := make(map[int]bool)
	for _, rule := range rules.Syscalls {
		ret, err := specVerdict(rule.Action, rule.ErrnoRet)
		if err != nil {
			return nil, err
		}
		test, err := specTest(rule.Args)
		if err != nil {
			return nil, err
		}
		for _, name := range rule.Names {
			n, known := numbers[name]
			if !known || final[n] {
				continue
			}
			code[n] = append(slices.Concat(code[n], test), ret)
			final[n] = len(rule.Args) == 0
		}
	}
	for n := range code {
		if !final[n] {
			code[n] = append(code[n], otherwise)
		}
	}
	return code, nil
}

// specVerdict is the kernel's word for an action (seccomp(2)).
func specVerdict(action specs.LinuxSeccompAction, number *uint) (bpf.RetConstant, error) {
	simple := map[specs.LinuxSeccompAction]uint32{
		specs.ActAllow: unix.SECCOMP_RET_ALLOW, specs.ActLog: unix.SECCOMP_RET_LOG, specs.ActTrap: unix.SECCOMP_RET_TRAP,
		specs.ActKill: unix.SECCOMP_RET_KILL_THREAD, specs.ActKillThread: unix.SECCOMP_RET_KILL_THREAD,
		specs.ActKillProcess: unix.SECCOMP_RET_KILL_PROCESS,
	}
	data := uint32(unix.EPERM)
	if number != nil {
		data = uint32(*number) & unix.SECCOMP_RET_DATA
	}
	switch action {
	case specs.ActErrno:
		return bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | data}, nil
	case specs.ActTrace:
		return bpf.RetConstant{Val: unix.SECCOMP_RET_TRACE | data}, nil
	}
	value, ok := simple[action]
	if !ok {
		return bpf.RetConstant{}, fmt.Errorf("action %q is not supported", action)
	}
	return bpf.RetConstant{Val: value}, nil
}

// SpecActions and SpecOperators are what CompileSpec understands.
func SpecActions() []specs.LinuxSeccompAction {
	return []specs.LinuxSeccompAction{
		specs.ActAllow, specs.ActErrno, specs.ActKill, specs.ActKillProcess, specs.ActKillThread, specs.ActLog, specs.ActTrace,
		specs.ActTrap,
	}
}

// SpecOperators are the comparisons.
func SpecOperators() []specs.LinuxSeccompOperator {
	return []specs.LinuxSeccompOperator{
		specs.OpEqualTo, specs.OpGreaterEqual, specs.OpGreaterThan, specs.OpLessEqual, specs.OpLessThan, specs.OpMaskedEqual,
		specs.OpNotEqual,
	}
}

// specTest falls through to the one instruction behind it when all arguments match, passes over it when one
// does not, and leaves the accumulator's value to nobody.
func specTest(args []specs.LinuxSeccompArg) ([]bpf.Instruction, error) {
	var code []bpf.Instruction
	for i := len(args) - 1; i >= 0; i-- {
		test, err := compare(args[i], uint8(len(code)+1))
		if err != nil {
			return nil, err
		}
		if code = append(test, code...); len(code) > 200 { // jumps reach 255 instructions
			return nil, fmt.Errorf("a rule with %d arguments is too long", len(args))
		}
	}
	return code, nil
}

// compare looks at all 64 bits, the high word first. miss is how many instructions behind it are passed
// over when the argument does not match.
func compare(arg specs.LinuxSeccompArg, miss uint8) ([]bpf.Instruction, error) {
	if arg.Index > 5 {
		return nil, fmt.Errorf("argument %d does not exist", arg.Index)
	}
	low := bpf.LoadAbsolute{Off: offsetArgs + 8*uint32(arg.Index), Size: 4}
	high := bpf.LoadAbsolute{Off: low.Off + 4, Size: 4}
	l, h := uint32(arg.Value), uint32(arg.Value>>32)
	switch arg.Op {
	case specs.OpEqualTo:
		return []bpf.Instruction{
			high, bpf.JumpIf{Cond: bpf.JumpEqual, Val: h, SkipFalse: miss + 2},
			low, bpf.JumpIf{Cond: bpf.JumpEqual, Val: l, SkipFalse: miss},
		}, nil
	case specs.OpNotEqual:
		return []bpf.Instruction{
			high, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: h, SkipTrue: 2},
			low, bpf.JumpIf{Cond: bpf.JumpEqual, Val: l, SkipTrue: miss},
		}, nil
	case specs.OpMaskedEqual: // Value is the mask, ValueTwo what must be left
		return []bpf.Instruction{
			high, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: h},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(arg.ValueTwo >> 32), SkipFalse: miss + 3},
			low, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: l},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(arg.ValueTwo), SkipFalse: miss},
		}, nil
	}
	return ordered(arg.Op, high, low, h, l, miss)
}

// ordered compares by size: the high word decides unless it is equal.
func ordered(op specs.LinuxSeccompOperator, high, low bpf.LoadAbsolute, h, l uint32, miss uint8) ([]bpf.Instruction, error) {
	conditions := map[specs.LinuxSeccompOperator]bpf.JumpTest{
		specs.OpLessThan: bpf.JumpLessThan, specs.OpLessEqual: bpf.JumpLessOrEqual,
		specs.OpGreaterThan: bpf.JumpGreaterThan, specs.OpGreaterEqual: bpf.JumpGreaterOrEqual,
	}
	last, ok := conditions[op]
	if !ok {
		return nil, fmt.Errorf("comparison %q is not supported", op)
	}
	first := bpf.JumpGreaterThan
	if op == specs.OpLessThan || op == specs.OpLessEqual {
		first = bpf.JumpLessThan
	}
	return []bpf.Instruction{
		high,
		bpf.JumpIf{Cond: first, Val: h, SkipTrue: 3},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: h, SkipTrue: miss + 2},
		low, bpf.JumpIf{Cond: last, Val: l, SkipFalse: miss},
	}, nil
}
