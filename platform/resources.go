package platform

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"
)

// Resources is the part of a Runner that bounds and measures what instances use. An instance that is
// unknown or has ended is an *Error of kind NotFound everywhere here.
type Resources interface {
	// SetLimits changes the limits of a running instance. A memory limit below what the instance cannot give
	// back is an *Error of kind Conflict, and nothing is changed. A disk limit for one that had none is an
	// *Error of kind Conflict too, but everything else is in force then. What the host cannot enforce is
	// passed over: see Shortfalls.
	SetLimits(ctx context.Context, id InstanceID, l Limits) error
	// Consumed reads what a running instance uses and how its limits held. It never blocks on the instance.
	Consumed(ctx context.Context, id InstanceID) (Consumption, error)
	// Shortfalls lists what of the limits this host cannot enforce, and why. It reads what was found out
	// when the Runner was opened.
	Shortfalls(l Limits) []Shortfall
	// OOMKills delivers when the kernel has killed processes of an instance for want of memory, whether
	// the instance went on or ended. Kills that come together are one. The channel is never closed. It
	// must be read.
	OOMKills() <-chan OOMKill
	// Note adds a line of the platform's own to an app's log: LogLine.Stream is "platform" then. The
	// newest some thousand lines are kept until the Runner is opened again twenty times.
	Note(app AppName, source, text string) error
	// Inspect checks the host: what the Runner needs of the kernel, the disk and the system, worst first.
	// It blocks for as long as a name server takes to answer, 5 s at most.
	Inspect(ctx context.Context) []Finding
	// OpenDevice finds a device node of the host that may be given to apps.
	OpenDevice(path string) (Device, error)
}

// Consumption is what an instance uses. What the host does not count is -1.
type Consumption struct {
	Memory          int64         // bytes, page cache included
	MemoryPeak      int64         // bytes, the most it has been
	MemoryLimit     int64         // bytes
	Swap            int64         // bytes
	OOMKills        int64         // processes that were killed for want of memory
	CPU             time.Duration // used since it started, of all processors together
	Throttled       time.Duration // it had to wait since its processor limit was used up
	ThrottledPeriod float64       // share of the tenths of a second in which it had to wait, 0 to 1
	Processes       int64
	ProcessLimit    int64
	ProcessRefusals int64 // forks that the limit of processes refused
	Read, Written   int64 // bytes from and to disks
	Disk, DiskLimit int64 // bytes of its own files; -1 without a quota
	Pressure        []Pressure
}

// Pressure is the share of time in which processes of an instance stood still for want of something
// (Documentation/accounting/psi.rst).
type Pressure struct {
	Of     string  `json:"of"`      // "cpu", "memory" or "io"
	Some10 float64 `json:"some_10"` // percent of the last 10 s in which at least one waited
	Some60 float64 `json:"some_60"`
	Full10 float64 `json:"full_10"` // in which all did
	Full60 float64 `json:"full_60"`
}

// Shortfall is a limit that the host cannot keep.
type Shortfall struct {
	Limit  string `json:"limit"`  // as resource:limit spells it
	Reason string `json:"reason"` // the end of a sentence
}

// OOMKill tells of processes that the kernel killed for want of memory.
type OOMKill struct {
	Instance Instance
	Kills    int64 // since the last one that was delivered for the instance
	Peak     int64 // bytes
	Limit    int64 // bytes
	At       time.Time
}

// OOMCount is how often that happened to a process type.
type OOMCount struct {
	Type   ProcessType `json:"type"`
	Kills  int64       `json:"kills"`
	LastAt time.Time   `json:"last_at"`
	Peak   int64       `json:"peak_bytes"`
	Limit  int64       `json:"limit_bytes"`
}

// outOfMemory says it as the rest of a sentence about a process.
func outOfMemory(peak, limit int64) string {
	if limit <= 0 || limit == math.MaxInt64 {
		return "ran out of memory and was killed"
	}
	return fmt.Sprintf("was killed: it used %s of its %s memory limit", Bytes(max(peak, limit)), Bytes(limit))
}

// moreMemory says what to type when the limit was too low: twice as much.
func moreMemory(app AppName, typ ProcessType, limit int64) string {
	return fmt.Sprintf("raise it: ssh paas resource:limit %s --process-type %s memory=%s", app, typ, writeBytes(max(2*limit, 64<<20)))
}

// Bytes is a size as people read it, with powers of 1024 and at most one decimal: "512 MiB", "1.5 GiB".
func Bytes(n int64) string {
	if n < 0 {
		return "-" + Bytes(-n)
	}
	const units = "KMGTPE"
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	size, unit := float64(n)/(1<<10), 0
	for size >= 1023.95 && unit < len(units)-1 {
		size, unit = size/(1<<10), unit+1
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", size), ".0") + fmt.Sprintf(" %ciB", units[unit])
}
