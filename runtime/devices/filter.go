// Package devices decides which device nodes a cgroup v2 group may use, by a small eBPF program
// (BPF_PROG_TYPE_CGROUP_DEVICE, Linux 4.15): version 2 has no devices controller. The rules have the meaning
// that they have for version 1 (Documentation/admin-guide/cgroup-v1/devices.rst): the last that fits decides,
// and what no rule speaks of is denied.
package devices

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The kernel's words for a request (linux/bpf.h, struct bpf_cgroup_dev_ctx): the type in the low half of the
// first word, the access in the high one.
const (
	typeBlock   = 1
	typeChar    = 2
	accessMknod = 1
	accessRead  = 2
	accessWrite = 4

	offsetAccess = 0
	offsetMajor  = 4
	offsetMinor  = 8
)

// instruction is struct bpf_insn.
type instruction struct {
	code   byte
	dst    byte
	src    byte
	offset int16
	value  int32
}

// The instructions that are needed (Documentation/bpf/standardization/instruction-set.rst).
const (
	loadWord     = 0x61 // dst = *(u32 *)(src + offset)
	moveRegister = 0xbf
	moveValue    = 0xb7
	andValue     = 0x57
	shiftRight   = 0x77
	jumpIfNot    = 0x55 // dst != value
	jumpIf       = 0x15 // dst == value
	exit         = 0x95
)

// Registers: the request taken apart, and one to compute in.
const (
	result  = 0
	context = 1
	kind    = 2
	access  = 3
	major   = 4
	minor   = 5
	scratch = 6
)

// Attach lets processes of the group use what the rules allow, and nothing else. group is the group's
// directory below a cgroup2 mount. An ancestor's filter counts too. The program lives as long as the group.
func Attach(group string, rules []specs.LinuxDeviceCgroup) error {
	program, err := load(compile(rules))
	if err != nil {
		return fmt.Errorf("load device filter: %w", err)
	}
	defer func() { _ = unix.Close(program) }()
	dir, err := unix.Open(group, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open cgroup %s: %w", group, err)
	}
	defer func() { _ = unix.Close(dir) }()
	// struct of BPF_PROG_ATTACH in union bpf_attr: target, program, type, flags
	attr := [4]uint32{uint32(dir), uint32(program), unix.BPF_CGROUP_DEVICE, unix.BPF_F_ALLOW_MULTI}
	_, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_ATTACH, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if errno != 0 {
		return fmt.Errorf("attach device filter to %s: %w", group, errno)
	}
	return nil
}

// compile looks at the rules from the last to the first: the first that fits then decides.
func compile(rules []specs.LinuxDeviceCgroup) []instruction {
	program := []instruction{
		{code: loadWord, dst: access, src: context, offset: offsetAccess},
		{code: moveRegister, dst: kind, src: access},
		{code: andValue, dst: kind, value: 0xffff},
		{code: shiftRight, dst: access, value: 16},
		{code: loadWord, dst: major, src: context, offset: offsetMajor},
		{code: loadWord, dst: minor, src: context, offset: offsetMinor},
	}
	for i := len(rules) - 1; i >= 0; i-- {
		code := rule(rules[i])
		program = append(program, code...)
		if len(code) == len(verdict(false)) { // it fits always; the kernel refuses code that is never reached
			return program
		}
	}
	return append(program, verdict(false)...)
}

func verdict(allowed bool) []instruction {
	value := int32(0)
	if allowed {
		value = 1
	}
	return []instruction{{code: moveValue, dst: result, value: value}, {code: exit}}
}

// rule returns its verdict or goes on behind itself. Allowing needs every kind of access that is asked for,
// denying needs one of them.
func rule(r specs.LinuxDeviceCgroup) []instruction {
	var tests []instruction
	miss := func(i instruction) { tests = append(tests, i) }
	switch r.Type {
	case "c":
		miss(instruction{code: jumpIfNot, dst: kind, value: typeChar})
	case "b":
		miss(instruction{code: jumpIfNot, dst: kind, value: typeBlock})
	}
	if r.Major != nil && *r.Major >= 0 {
		miss(instruction{code: jumpIfNot, dst: major, value: int32(*r.Major)})
	}
	if r.Minor != nil && *r.Minor >= 0 {
		miss(instruction{code: jumpIfNot, dst: minor, value: int32(*r.Minor)})
	}
	if mask := accessMask(r.Access); mask != accessMknod|accessRead|accessWrite {
		tests = append(tests, instruction{code: moveRegister, dst: scratch, src: access})
		if r.Allow {
			tests = append(tests, instruction{code: andValue, dst: scratch, value: ^mask})
			miss(instruction{code: jumpIfNot, dst: scratch, value: 0})
		} else {
			tests = append(tests, instruction{code: andValue, dst: scratch, value: mask})
			miss(instruction{code: jumpIf, dst: scratch, value: 0})
		}
	}
	end := len(tests) + 2
	for i := range tests {
		if tests[i].code == jumpIf || tests[i].code == jumpIfNot {
			tests[i].offset = int16(end - i - 1)
		}
	}
	return append(tests, verdict(r.Allow)...)
}

// accessMask of an empty string is everything.
func accessMask(s string) (mask int32) {
	for _, c := range s {
		switch c {
		case 'r':
			mask |= accessRead
		case 'w':
			mask |= accessWrite
		case 'm':
			mask |= accessMknod
		}
	}
	if mask == 0 {
		return accessMknod | accessRead | accessWrite
	}
	return mask
}

func encode(program []instruction) []byte {
	var b []byte
	for _, i := range program {
		b = append(b, i.code, i.dst|i.src<<4)
		b = binary.NativeEndian.AppendUint16(b, uint16(i.offset))
		b = binary.NativeEndian.AppendUint32(b, uint32(i.value))
	}
	return b
}

// loadAttr is the part of union bpf_attr that BPF_PROG_LOAD reads, up to the program's name.
type loadAttr struct {
	kind, count  uint32
	instructions uint64
	license      uint64
	logLevel     uint32
	logSize      uint32
	log          uint64
	version      uint32
	flags        uint32
}

func load(program []instruction) (int, error) {
	code, license := encode(program), []byte("Apache-2.0\x00")
	attr := loadAttr{
		kind: unix.BPF_PROG_TYPE_CGROUP_DEVICE, count: uint32(len(program)),
		instructions: uint64(uintptr(unsafe.Pointer(&code[0]))), license: uint64(uintptr(unsafe.Pointer(&license[0]))),
	}
	fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	runtime.KeepAlive(code)
	runtime.KeepAlive(license)
	if errno == unix.EPERM {
		return -1, errors.Join(errno, errors.New("loading one needs CAP_BPF and CAP_NET_ADMIN or CAP_SYS_ADMIN"))
	}
	if errno != 0 {
		return -1, errno
	}
	unix.CloseOnExec(int(fd))
	return int(fd), nil
}
