package platform

import (
	"context"
	"io"
	"time"
)

// Living is what a Runner can do with an instance while it runs. An instance that is unknown or has ended
// is an *Error of kind NotFound everywhere here.
type Living interface {
	// Pause stops every process of the instance where it is, with its memory and its connections kept.
	// It blocks until all stand still, microseconds as a rule; a process that the kernel cannot interrupt
	// for 5 s is an *Error of kind Timeout and nothing is paused. Pausing a paused one is no error. The
	// state survives the Runner. Stop works on a paused instance; Exec and Enter are refused.
	Pause(ctx context.Context, id InstanceID) error
	// Resume undoes Pause. Resuming one that runs is no error.
	Resume(ctx context.Context, id InstanceID) error
	// Reclaim asks the kernel to move a paused instance's memory to disk and swap, as far as the host has it,
	// until it is resumed or ctx ends. One that runs is an *Error of kind Conflict.
	Reclaim(ctx context.Context, id InstanceID) (Checkpoint, error)
	// Checkpoint pauses the instance and asks the kernel to move its memory to disk and swap, as far as
	// the host has it. Resume wakes it; what it touches then is read back.
	Checkpoint(ctx context.Context, id InstanceID) (Checkpoint, error)
	// Enter runs a command beside the instance's app with its rights and environment and the caller's
	// streams. stdin may be nil. With a Terminal stdout and stderr are one. When ctx ends the command gets
	// SIGHUP, what is left of it 10 s later SIGKILL, and ctx's error is returned.
	Enter(ctx context.Context, id InstanceID, cmd Command, stdin io.Reader, stdout, stderr io.Writer) (Exit, error)
	// Stats reads what the instance uses. It never blocks on the instance, paused or not.
	Stats(ctx context.Context, id InstanceID) (Stats, error)
	// CopyOut writes the file or directory at path, as the instance sees it, as a tar stream with owners
	// as seen inside. A symbolic link at path itself is followed, inside the instance; others are kept.
	CopyOut(ctx context.Context, id InstanceID, path string, w io.Writer) error
	// CopyIn unpacks a tar stream below a directory of the instance. What is there is replaced, except
	// that a file never replaces a directory. No entry can leave the directory, whatever the instance
	// or the archive do.
	CopyIn(ctx context.Context, id InstanceID, in CopyIn, r io.Reader) error
	// Changes lists what the instance wrote over the layers it was started from, in path order.
	Changes(ctx context.Context, id InstanceID, layers []string) ([]Change, error)
	// Commit makes a layer of what the instance wrote and returns its name in the content store. The
	// instance stands still meanwhile. Equal writes give equal layers.
	Commit(ctx context.Context, id InstanceID) (layer string, err error)
}

// Command is what runs beside an app.
type Command struct {
	Argv     []string
	Env      []string      // "KEY=value", in addition to the app's
	Terminal *Terminal     // nil: no PTY, stdout and stderr stay apart
	Signals  <-chan Signal // as a JobSpec's
}

// Checkpoint is what an instance holds of the host's memory, in bytes.
type Checkpoint struct {
	Before int64 `json:"before"`
	After  int64 `json:"after"`
}

// Stats is what an instance uses. What the host does not count is -1; a limit that is not set is 0.
type Stats struct {
	At           time.Time
	CPU          time.Duration // since it started, of all its processors together
	Memory       int64         // bytes, without the page cache that the kernel would drop first
	MemoryPeak   int64         // bytes, page cache included
	MemoryLimit  int64         // bytes
	Processes    int           // threads included
	ProcessLimit int
	Read         int64 // bytes from disks
	Written      int64 // bytes to disks
	Received     int64 // bytes from the network, loopback not counted
	Sent         int64 // bytes to the network, loopback not counted
}

// CopyIn says where an archive goes and whose its files become.
type CopyIn struct {
	Dir      string // an existing directory of the instance
	UID, GID uint32 // of everything that is made, as seen inside
	Owners   bool   // instead, owners and modes are as the archive says
}

// Change is one path that an instance wrote.
type Change struct {
	Kind ChangeKind `json:"kind"`
	Path string     `json:"path"` // absolute
}

// ChangeKind is how docker diff spells it.
type ChangeKind string

// The kinds of change.
const (
	Added   ChangeKind = "A"
	Changed ChangeKind = "C"
	Deleted ChangeKind = "D"
)
