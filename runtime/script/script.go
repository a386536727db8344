// Package script writes what a container's init does: a list of system calls, executed one after the other
// by a tiny program inside fresh namespaces (cmd/paas-init/init.c, which has the same numbers).
//
//	s := script.New()
//	root := s.Inherit()                              // the first descriptor that is sent along
//	s.Do("enter the root", unix.SYS_FCHDIR, root)
//	...
//	stage.Run(s, rootFile)
//
// All decisions are made here, in Go, before the first system call: the program has no parser and no
// policy, and a container differs from another one by its script alone.
package script

import (
	"encoding/binary"
	"fmt"
)

// The layout of struct script and struct op of init.c, and where it maps them.
const (
	magic      = 0x317470726373636f
	headerSize = 40
	opSize     = 64
	maxSlots   = 512

	startBase  = 0x1000000000
	besideBase = 0x2000000000
)

// The built-ins of init.c.
const (
	builtin = 0x10000 + iota
	builtinOpenDir
	builtinOpenFile
	builtinCheckDevice
	builtinIsDir
	builtinIsFile
	builtinUnlessAbsent
	builtinSkipIfNegative
	builtinSkipIfZero
	builtinSkipUnlessNegative
	builtinSend
	builtinClone
	builtinSpawn
	builtinInside
	builtinRights
	builtinExec
	builtinSupervise
	builtinTellStarted
)

const builtinOpen = builtin

// mayFail is a flag of an op: its error becomes its value.
const mayFail = 1

// Arg is an argument of a call: a number, something in the script's memory, or the result of an earlier call.
type Arg struct {
	value uint64
	slot  bool
}

// N is a number.
func N[T ~int | ~int32 | ~int64 | ~uint | ~uint32 | ~uint64 | ~uintptr](n T) Arg {
	return Arg{value: uint64(n)}
}

type op struct {
	call  uint32
	flags uint16
	out   int32
	args  []Arg
}

// Script is a list of calls. The zero value is of no use: see New and Beside. Not safe for concurrent use.
type Script struct {
	base      uint64
	data      []byte // begins after the header
	ops       []op
	names     []string // of each op, for errors
	slots     int
	inherited int
	rights    [2]int // first op and number of ops
	env       uint64
	failed    error // the first thing that could not be written
}

// New begins the script of a container, or of the stage that makes its namespaces.
func New() *Script { return &Script{base: startBase} }

// Beside begins the script of a command that a running container's init executes beside the app.
func Beside() *Script { return &Script{base: besideBase} }

// Inherit is the next descriptor that is sent with the script. All of them come before the first call.
func (s *Script) Inherit() Arg {
	if s.slots != s.inherited {
		s.failed = fmt.Errorf("inherit a descriptor after %d calls with results", s.slots-s.inherited)
	}
	s.inherited++
	return s.slot()
}

func (s *Script) slot() Arg {
	s.slots++
	return Arg{value: uint64(s.slots - 1), slot: true}
}

// Do makes a system call. If it fails the script ends, and doing ("mount /proc") says what did. It
// returns the call's result.
func (s *Script) Do(doing string, call uintptr, args ...Arg) Arg {
	return s.add(doing, uint32(call), 0, args)
}

// Try makes a system call whose failure is no end: the result is then -errno.
func (s *Script) Try(doing string, call uintptr, args ...Arg) Arg {
	return s.add(doing, uint32(call), mayFail, args)
}

func (s *Script) add(doing string, call uint32, flags uint16, args []Arg) Arg {
	out := s.slot()
	s.ops = append(s.ops, op{call, flags, int32(out.value), args})
	s.names = append(s.names, doing)
	return out
}

// UnlessNegative makes the calls that body adds only if value is not an error.
func (s *Script) UnlessNegative(value Arg, body func()) { s.unless(builtinSkipIfNegative, value, body) }

// UnlessZero makes the calls that body adds only if value is not 0.
func (s *Script) UnlessZero(value Arg, body func()) { s.unless(builtinSkipIfZero, value, body) }

// IfNegative makes the calls that body adds only if value is an error.
func (s *Script) IfNegative(value Arg, body func()) {
	s.unless(builtinSkipUnlessNegative, value, body)
}

func (s *Script) unless(call uint32, value Arg, body func()) {
	s.add("", call, 0, []Arg{value, {}})
	at := len(s.ops)
	body()
	s.ops[at-1].args[1] = N(len(s.ops) - at)
}

// Bytes puts b into the script's memory, which can be written to, and gives its address.
func (s *Script) Bytes(b []byte) Arg {
	for len(s.data)%8 != 0 {
		s.data = append(s.data, 0)
	}
	at := s.base + headerSize + uint64(len(s.data))
	s.data = append(s.data, b...)
	return Arg{value: at}
}

// String puts a C string into the script's memory.
func (s *Script) String(v string) Arg { return s.Bytes(append([]byte(v), 0)) }

// Strings puts an array of C strings that ends with a null pointer into the script's memory.
func (s *Script) Strings(list []string) Arg {
	var pointers []uint64
	for _, v := range list {
		pointers = append(pointers, s.String(v).value)
	}
	return s.Words(append(pointers, 0)...)
}

// Words puts 64-bit numbers into the script's memory.
func (s *Script) Words(words ...uint64) Arg {
	var b []byte
	for _, w := range words {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return s.Bytes(b)
}

// Address is what Bytes, String, Strings or Words gave, for use inside of a structure.
func (a Arg) Address() uint64 { return a.value }

// encode gives the memory file's content.
func (s *Script) encode() ([]byte, error) {
	if s.failed != nil {
		return nil, s.failed
	}
	number, count := s.number()
	if count > maxSlots {
		return nil, fmt.Errorf("write script: %d results are more than %d", count, maxSlots)
	}
	s.Bytes(nil) // aligns
	ops := headerSize + len(s.data)
	b := make([]byte, 0, ops+opSize*len(s.ops))
	b = binary.LittleEndian.AppendUint64(b, magic)
	b = binary.LittleEndian.AppendUint64(b, uint64(ops))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(s.ops)))
	b = binary.LittleEndian.AppendUint32(b, uint32(s.rights[0]))
	b = binary.LittleEndian.AppendUint32(b, uint32(s.rights[1]))
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint64(b, s.env)
	b = append(b, s.data...)
	for _, o := range s.ops {
		b = o.encode(b, number)
	}
	return b, nil
}

// number gives the results that are used numbers without gaps, the inherited ones first; the others have
// none.
func (s *Script) number() (number map[uint64]uint64, count int) {
	number = make(map[uint64]uint64)
	for count < s.inherited {
		number[uint64(count)] = uint64(count)
		count++
	}
	for _, o := range s.ops {
		for _, a := range o.args {
			if _, known := number[a.value]; a.slot && !known {
				number[a.value] = uint64(count)
				count++
			}
		}
	}
	return number, count
}

func (o op) encode(b []byte, number map[uint64]uint64) []byte {
	var slots byte
	var args [6]uint64
	for i, a := range o.args {
		args[i] = a.value
		if a.slot {
			slots |= 1 << i
			args[i] = number[a.value]
		}
	}
	out := int32(-1)
	if n, used := number[uint64(o.out)]; used {
		out = int32(n)
	}
	b = binary.LittleEndian.AppendUint32(b, o.call)
	b = binary.LittleEndian.AppendUint16(b, o.flags)
	b = append(b, slots, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(out))
	b = binary.LittleEndian.AppendUint32(b, 0)
	for _, a := range args {
		b = binary.LittleEndian.AppendUint64(b, a)
	}
	return b
}

// name says what an op was doing.
func (s *Script) name(at int) string {
	if at < 0 || at >= len(s.names) {
		return fmt.Sprintf("call %d", at)
	}
	return s.names[at]
}
