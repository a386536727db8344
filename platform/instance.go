package platform

import (
	"fmt"
	"io/fs"
	"net/netip"
	"time"
)

// InstanceID names one running container; unique on this host for ever. Safe in a path.
type InstanceID string

// InstanceSpec is everything a Runner needs to start one instance of an app.
type InstanceSpec struct {
	AppID   int64
	App     AppName
	Release int
	Epoch   int
	Type    ProcessType
	Number  int // web.1 has 1
	Image   Image
	Command []string          // argv
	Env     map[string]string // image env and config merged; the Runner adds PORT
	Limits  Limits
	// Security is what an admin has opened or closed for the app.
	Security Security
	Mounts   []VolumeMount
}

// Limits bounds one container. A zero field means the Runner's default; where it says so, no bound.
type Limits struct {
	Memory    int64   // bytes
	CPUs      float64 // 1.5 is one and a half CPUs' time
	Processes int     // pids, threads included
	Disk      int64   // bytes of what it writes to its root file system, where the host keeps quotas; 0: no bound

	MemoryHigh int64     // bytes from which on it is slowed down and made to give back; 0: no such line
	Swap       int64     // bytes of swap beside the memory; 0: none
	CPUSet     string    // processors it may run on, "0-1,3"; "": all
	Read       Rate      // from the disk that holds the containers; zero: no bound
	Write      Rate      // to it
	Reserve    Guarantee // what it keeps while others are short
}

// Rate bounds what goes through a device.
type Rate struct {
	Bytes      int64 // a second
	Operations int64 // a second
}

// Guarantee is a share that is kept for one container. Zero fields guarantee nothing.
type Guarantee struct {
	Memory int64   // bytes that the kernel takes back last
	CPUs   float64 // its weight against others, 1 being the usual one
	IO     int     // its weight for the disk against others, 1 to 1000, 100 being the usual one
}

// Instance is one container that a Runner started and has not forgotten, running or ended.
type Instance struct {
	ID        InstanceID
	App       AppName
	Release   int
	Epoch     int
	Type      ProcessType
	Number    int
	Addr      netip.AddrPort // its own address and its PORT
	StartedAt time.Time
	Paused    bool
	Kept      time.Time `json:",omitzero"` // since when it is set aside, see Keeping; zero: it is not
	Exit      *Exit     // nil while it runs
}

// Name is the place in the formation that the instance fills: "web.1".
func (i Instance) Name() string { return fmt.Sprintf("%s.%d", i.Type, i.Number) }

// Exit is how a container ended.
type Exit struct {
	Code   int    // the exit code; 128+signal when a signal ended it
	Signal string // "SIGKILL", empty if it exited by itself
	OOM    bool   // the kernel killed a process of it for want of memory
	Lost   bool   // the status is unknown: the machine went down under it
	At     time.Time

	Over Resource `json:",omitempty"` // of a build step: what it wanted too much of, and ended for that; empty if it did not
	Used int64    `json:",omitempty"` // of that: bytes, processes, or seconds of silence; 0: not known

	MemoryPeak  int64 `json:",omitempty"` // bytes it used at most; 0: not known
	MemoryLimit int64 `json:",omitempty"` // bytes it might use
}

// Resource is something that a build step may take too much of.
type Resource string

// The resources whose bounds a Runner keeps by ending a step. Memory is the kernel's business: see Exit.OOM.
const (
	DiskResource    Resource = "disk"
	ProcessResource Resource = "processes"
	SilenceResource Resource = "silence"
)

// JobSpec is a one-off container of a release: `run`, the release phase.
type JobSpec struct {
	InstanceSpec
	Terminal *Terminal // nil: no PTY, stdout and stderr stay apart
}

// Terminal is a PTY wish. Resize is read until it is closed; a nil channel never resizes.
type Terminal struct {
	Term       string // TERM
	Cols, Rows int
	Resize     <-chan Size
}

// Size is a terminal's size in characters.
type Size struct{ Cols, Rows int }

// LogLine is one line an instance wrote.
type LogLine struct {
	At     time.Time
	App    AppName
	Source string // "web.1"
	Stream string // "stdout", "stderr", or "platform": it is not the instance's
	Text   string // without its newline
}

// StepSpec is one build step: a container whose writes become a layer.
type StepSpec struct {
	AppID  int64
	App    AppName
	Name   string   // of the step, for messages
	Layers []string // root file system, bottom first
	Upper  string   // host directory that takes the writes; owners in it are as seen inside
	Argv   []string
	Env    map[string]string
	Dir    string // working directory inside
	UID    uint32 // inside; 0 has the capabilities a package manager needs
	GID    uint32
	Binds  []Bind
	Limits Limits // Disk bounds what it writes to Upper and to binds together

	Silence time.Duration // the step is ended when it prints nothing for so long; 0: never

	Groups  []uint32    // beside GID
	Mounts  []StepMount // after the binds
	Exact   bool        // Env is the whole environment but for PATH and HOME: there is no PORT
	Offline bool        // no network but its own loopback
}

// StepMount is something that a build step sees and that does not become part of its layer. Exactly one of
// File, Memory, Socket, Volume and Layers or Upper says what.
type StepMount struct {
	Target   string // absolute path inside; symlinks in the image lead where they lead inside
	ReadOnly bool
	UID, GID uint32      // owner of File
	Mode     fs.FileMode // of File
	File     []byte      // content; not nil
	Memory   int64       // a file system in memory of at most so many bytes
	Socket   string      // host path of a socket
	Layers   []string    // a file system of layers, bottom first
	Upper    string      // host directory that takes the writes to it, or alone a directory of the host
	Volume   string      // host directory of a volume, which belongs to the container's user while it is empty
	Sub      string      // what of the file system is shown: an absolute path in it, "" for all
}

// Bind shows a host directory or file inside a container. Owners are as seen inside.
type Bind struct {
	Source   string // absolute host path
	Target   string // absolute path inside
	ReadOnly bool
}
