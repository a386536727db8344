// Package pack receives, checks, reads and writes git packs (gitformat-pack(5)) in bounded memory.
//
// A pack is received in three steps, so that its size on the wire never decides how much memory it takes:
//
//	scan      the stream goes to a file as it comes; every entry is inflated once, hashed, and
//	          remembered in about 50 bytes
//	resolve   deltas are applied along their chains, bases first; a big object waits in a file
//	check     trees, commits and tags are read for what git would refuse, and for what they refer to
//
// The bound: 48 MiB, and 200 bytes for each object of the pack, and 64 MiB while an unusually big tree,
// commit or tag is read. Blobs of any size are never held in memory whole.
package pack

import (
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
)

// ID names an object: the SHA-1 of its kind, size and bytes.
type ID = plumbing.Hash

// Limits bounds what a pack may hold.
type Limits struct {
	Bytes   int64 // of the pack as it is sent
	Objects int   // entries in the pack
	Object  int64 // bytes of one object
}

const (
	maxStructure = 64 << 20 // bytes of a tree, commit or tag: they are read whole
	memoryBudget = 32 << 20 // bytes of objects that wait for their deltas, before they go to a file
	smallObject  = 4 << 20  // bytes; a bigger object waits in a file at once
	maxChain     = 4095     // deltas on deltas; git writes 50, and refuses to write more than this
	spillLimit   = 32 << 30 // bytes of objects that wait in the file at one time
)

// BrokenError is a pack, or an object in it, that git would refuse.
type BrokenError struct{ Reason string }

func (e *BrokenError) Error() string { return e.Reason }

func broken(format string, args ...any) error {
	return &BrokenError{Reason: fmt.Sprintf(format, args...)}
}

// LimitError is a pack that goes beyond a limit.
type LimitError struct {
	Reason string
	Whole  bool // the pack as a whole has more than Limits.Bytes
}

func (e *LimitError) Error() string { return e.Reason }

// MissingError is an object that something refers to and nobody has.
type MissingError struct{ ID ID }

func (e *MissingError) Error() string { return "object " + e.ID.String() + " is missing" }

// ErrNotFound means that a store has no object of that id.
var ErrNotFound = errors.New("object not found")
