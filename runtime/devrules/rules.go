// Package devrules says which device nodes the processes of a control group may open: by a program for the
// kernel on cgroup v2 (BPF_PROG_TYPE_CGROUP_DEVICE, Linux 4.15), by the devices controller on v1.
package devrules

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Rule allows access to devices.
type Rule struct {
	Block  bool   // else character devices
	Major  uint32 // Any: all
	Minor  uint32 // Any: all
	Access string // of "r", "w" and "m" (make a node)
}

// Any is a number that fits all.
const Any = ^uint32(0)

// Usual is what every container may open, Docker's list: null, zero, full, random, urandom, tty, console,
// ptmx and the terminals. A node may be made of any device, which gives no access to it; overlayfs makes
// some to hide files.
func Usual() []Rule {
	rules := []Rule{{Major: Any, Minor: Any, Access: "m"}, {Block: true, Major: Any, Minor: Any, Access: "m"}}
	for _, minor := range []uint32{3, 5, 7, 8, 9} {
		rules = append(rules, Rule{Major: 1, Minor: minor, Access: "rwm"})
	}
	for _, minor := range []uint32{0, 1, 2} {
		rules = append(rules, Rule{Major: 5, Minor: minor, Access: "rwm"})
	}
	return append(rules, Rule{Major: 136, Minor: Any, Access: "rwm"})
}

// V1 is the rule as devices.allow takes it: "c 1:3 rwm".
func (r Rule) V1() string {
	kind := "c"
	if r.Block {
		kind = "b"
	}
	return fmt.Sprintf("%s %s:%s %s", kind, orStar(r.Major), orStar(r.Minor), r.Access)
}

func orStar(n uint32) string {
	if n == Any {
		return "*"
	}
	return fmt.Sprint(n)
}

// What the kernel tells the program (struct bpf_cgroup_dev_ctx, linux/bpf.h).
const (
	offsetAccess = 0 // kind in the low half, access in the high one
	offsetMajor  = 4
	offsetMinor  = 8

	kindBlock, kindCharacter            = 1, 2
	accessMake, accessRead, accessWrite = 1, 2, 4
)

// Instruction codes that golang.org/x/sys/unix has no names for (instruction-set.rst).
const (
	load32    = unix.BPF_LDX | unix.BPF_MEM | unix.BPF_W
	move      = unix.BPF_ALU64 | unix.BPF_MOV | unix.BPF_K
	moveReg   = unix.BPF_ALU64 | unix.BPF_MOV | unix.BPF_X
	and32     = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	right32   = unix.BPF_ALU | unix.BPF_RSH | unix.BPF_K
	skipUnequ = unix.BPF_JMP | unix.BPF_JNE | unix.BPF_K
	leave     = unix.BPF_JMP | unix.BPF_EXIT

	instructionSize = 8
)

// Registers: the kernel gives the context in 1 and takes the verdict from 0.
const (
	verdict = iota
	context
	kind
	access
	major
	minor
	scratch
)

type program []byte

func (p *program) add(code, destination, source int, offset int16, value int32) {
	b := binary.NativeEndian.AppendUint16([]byte{byte(code), byte(destination | source<<4)}, uint16(offset))
	*p = append(*p, binary.NativeEndian.AppendUint32(b, uint32(value))...)
}

// compile: the first rule that fits allows, and none refuses.
func compile(rules []Rule) program {
	var p program
	p.add(load32, kind, context, offsetAccess, 0)
	p.add(moveReg, access, kind, 0, 0)
	p.add(and32, kind, 0, 0, 0xffff)
	p.add(right32, access, 0, 0, 16)
	p.add(load32, major, context, offsetMajor, 0)
	p.add(load32, minor, context, offsetMinor, 0)
	for _, r := range rules {
		p = append(p, r.compile()...)
	}
	p.add(move, verdict, 0, 0, 0)
	p.add(leave, 0, 0, 0, 0)
	return p
}

// compile jumps behind the rule unless everything of it fits.
func (r Rule) compile() program {
	tests := []func(p *program, behind int16){
		func(p *program, behind int16) { p.add(skipUnequ, kind, 0, behind, r.kind()) },
		func(p *program, behind int16) { p.add(skipUnequ, scratch, 0, behind, 0) },
	}
	if r.Major != Any {
		tests = append(tests, func(p *program, behind int16) { p.add(skipUnequ, major, 0, behind, int32(r.Major)) })
	}
	if r.Minor != Any {
		tests = append(tests, func(p *program, behind int16) { p.add(skipUnequ, minor, 0, behind, int32(r.Minor)) })
	}
	var p program
	p.add(moveReg, scratch, access, 0, 0) // what is asked for and not allowed
	p.add(and32, scratch, 0, 0, ^r.access())
	const allow = 2 // instructions at the end
	for i, test := range tests {
		test(&p, int16(len(tests)-i-1+allow))
	}
	p.add(move, verdict, 0, 0, 1)
	p.add(leave, 0, 0, 0, 0)
	return p
}

func (r Rule) kind() int32 {
	if r.Block {
		return kindBlock
	}
	return kindCharacter
}

func (r Rule) access() (mask int32) {
	for letter, bit := range map[string]int32{"m": accessMake, "r": accessRead, "w": accessWrite} {
		if strings.Contains(r.Access, letter) {
			mask |= bit
		}
	}
	return mask
}

// Attach makes the rules those of a v2 group, whose directory group is, and of groups below that have none
// of their own. It replaces what was attached before. It needs CAP_SYS_ADMIN or CAP_BPF and CAP_NET_ADMIN.
func Attach(group int, rules []Rule) error {
	fd, err := load(compile(rules))
	if err != nil {
		return fmt.Errorf("load device rules: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	attr := struct{ target, program, kind, flags uint32 }{
		uint32(group), uint32(fd), unix.BPF_CGROUP_DEVICE, unix.BPF_F_ALLOW_OVERRIDE,
	}
	if _, err := bpf(unix.BPF_PROG_ATTACH, unsafe.Pointer(&attr), unsafe.Sizeof(attr)); err != nil {
		return fmt.Errorf("attach device rules: %w", err)
	}
	return nil
}

// load gives the program to the kernel. Its licence is none of those that give more helpers; it calls none.
func load(p program) (int, error) {
	licence := []byte("MIT\x00")
	attr := struct {
		kind, count         uint32
		program, licence    *byte
		level, logSize      uint32
		log                 uint64
		version, flags      uint32
		name                [unix.BPF_OBJ_NAME_LEN]byte
		ifindex, attachKind uint32
	}{
		kind: unix.BPF_PROG_TYPE_CGROUP_DEVICE, count: uint32(len(p) / instructionSize),
		program: &p[0], licence: &licence[0],
		attachKind: unix.BPF_CGROUP_DEVICE,
	}
	copy(attr.name[:], "paas_devices")
	fd, err := bpf(unix.BPF_PROG_LOAD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	runtime.KeepAlive(&attr)
	return fd, err
}

func bpf(command int, attr unsafe.Pointer, size uintptr) (int, error) {
	fd, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(command), uintptr(attr), size)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

// With is Usual and more.
func With(more ...Rule) []Rule { return slices.Concat(Usual(), more) }
