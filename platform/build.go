package platform

import (
	"context"
	"io"
	"time"
)

// BuildStatus is where a build stands.
type BuildStatus string

// A build waits and runs, maybe more than once, and ends in one of the other four for good.
const (
	BuildQueued      BuildStatus = "queued"
	BuildRunning     BuildStatus = "running"
	BuildSucceeded   BuildStatus = "succeeded" // its release was live
	BuildFailed      BuildStatus = "failed"
	BuildCancelled   BuildStatus = "cancelled"   // by a person
	BuildInterrupted BuildStatus = "interrupted" // by the end of the daemon
)

// Over tells whether the build has ended.
func (s BuildStatus) Over() bool { return s != BuildQueued && s != BuildRunning }

// Build is one push on its way from its source to its release, numbered per app.
type Build struct {
	App       AppName     `json:"app"`
	Number    int         `json:"number"`
	Actor     string      `json:"actor"`
	Commit    string      `json:"commit"`
	Status    BuildStatus `json:"status"`
	CreatedAt time.Time   `json:"created_at"`
	StartedAt time.Time   `json:"started_at,omitzero"` // it needed no place, or got one
	EndedAt   time.Time   `json:"ended_at,omitzero"`
	BuildDetail
}

// BuildDetail is what becomes known of a build while it runs.
type BuildDetail struct {
	Builder     string       `json:"builder,omitempty"`
	Release     int          `json:"release,omitempty"`
	Cause       string       `json:"cause,omitempty"`        // why it did not succeed: one sentence
	Waited      float64      `json:"waited_seconds"`         // for a place
	MemoryPeak  int64        `json:"memory_peak,omitempty"`  // bytes, of the step that took the most; 0: not known
	MemoryLimit int64        `json:"memory_limit,omitempty"` // bytes, of each step
	Output      int64        `json:"output_bytes"`           // what was printed
	OutputCut   int64        `json:"output_cut_bytes"`       // what of it is not kept
	Phases      []BuildPhase `json:"phases"`
	Steps       []BuildStep  `json:"steps"`
}

// BuildPhase is a part of the story that a pusher reads.
type BuildPhase struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// BuildStep is one layer, or one instruction of a Dockerfile: what it was made from and what became of it.
// Whoever builds fills everything but Why and Changes, and Saved if it knows.
type BuildStep struct {
	Name   string   `json:"name"` // the same from build to build, and unique in one: "dependencies", "2/5 RUN make"
	Kind   StepKind `json:"kind"`
	Place  string   `json:"-"`             // by which it is found again when its name changed; empty: only by name
	Key    string   `json:"key,omitempty"` // names all that went in: equal keys make equal layers
	Reused bool     `json:"reused"`
	Failed bool     `json:"failed,omitempty"`

	Seconds    float64 `json:"seconds"`
	Saved      float64 `json:"saved_seconds,omitempty"` // what making it took once, if it is reused; 0: not known
	MemoryPeak int64   `json:"memory_peak,omitempty"`   // bytes; 0: not known

	Inputs []BuildInput `json:"-"` // what Key was made from but files; empty if that is not known
	Files  []File       `json:"-"` // the source files among that, in path order

	Why     string        `json:"why"`               // why it was reused or not: one sentence
	Changes []InputChange `json:"changes,omitempty"` // since the app's last build that had this step
}

// StepKind is what sort of layer a step makes.
type StepKind string

// The kinds.
const (
	BaseStep        StepKind = "base"
	PackagesStep    StepKind = "packages"
	ToolchainStep   StepKind = "toolchain"
	SourceStep      StepKind = "source"
	CommandStep     StepKind = "command"
	InstructionStep StepKind = "instruction" // of a Dockerfile
)

// BuildInput is one part of what a step's key is made from. Kind and Name together are unique in a step.
// Digest is a name of its content that may be shown, such as a version or a hash. A secret's is made with a
// key (hash_hmac), and is compared but not shown.
type BuildInput struct {
	Kind   InputKind `json:"kind"`
	Name   string    `json:"name,omitempty"`
	Digest string    `json:"digest"`
}

// InputKind is what sort of thing went into a step.
type InputKind string

// The kinds of input.
const (
	BaseInput      InputKind = "base"
	PackageInput   InputKind = "package"
	ToolchainInput InputKind = "toolchain"
	LayerInput     InputKind = "layer" // an earlier step's
	CommandInput   InputKind = "command"
	ArgumentInput  InputKind = "argument" // an environment variable or build argument that is no secret
	ConfigInput    InputKind = "config var"
	FileInput      InputKind = "file"
	SecretInput    InputKind = "build secret" // mounted, and in no key: a step is reused though it changed
)

// InputChange is how an input differs from the last time. Before is empty for a new one, After for one that
// is gone; both are for a config var's.
type InputChange struct {
	Kind   InputKind `json:"kind"`
	Name   string    `json:"name,omitempty"`
	Change string    `json:"change"` // "added", "changed" or "removed"
	Before string    `json:"before,omitempty"`
	After  string    `json:"after,omitempty"`
}

// BuildLimits bound one build.
type BuildLimits struct {
	Limits                // of each step; Disk is what one may write, caches and temporary files included
	Silence time.Duration // a step that prints nothing for so long is ended; 0: never
}

// Builds is the part of a Store that keeps what was built.
type Builds interface {
	// LastBuild is the app's highest number, 0 before the first.
	LastBuild(ctx context.Context, name AppName) (int, error)
	// SaveBuild stores a build, new or known. Of builds that are over, all but the newest keep are removed.
	SaveBuild(ctx context.Context, b Build, keep int) error
	Build(ctx context.Context, name AppName, number int) (Build, error)
	// Builds lists the newest n of an app, of all apps for "", newest first.
	Builds(ctx context.Context, name AppName, n int) ([]Build, error)
	// InterruptBuilds ends every build that is not over; it returns how many that were.
	InterruptBuilds(ctx context.Context, cause string) (int, error)
	// BuildInputs is what SaveBuildInputs stored last for the app, nil before that.
	BuildInputs(ctx context.Context, name AppName) ([]byte, error)
	SaveBuildInputs(ctx context.Context, name AppName, inputs []byte) error
	// GlobalSettings are those that hold where an app has no own.
	GlobalSettings(ctx context.Context) ([]Setting, error)
	// ChangeGlobalSettings stores them; one with an empty value is removed.
	ChangeGlobalSettings(ctx context.Context, list []Setting) error
}

// Outputs keeps what builds print.
type Outputs interface {
	// Create begins a build's output, and removes that of the app's builds up to the number oldest.
	Create(app App, number, oldest int) (io.WriteCloser, error)
	// Open reads what is there now, of a build that runs too. NotFound when nothing is kept.
	Open(app App, number int) (io.ReadCloser, error)
}

// Gauge tells how busy the host is. It does not block.
type Gauge interface {
	Load() Load
}

// Load is how busy a host is. Shares are percent of the last ten seconds in which something stood still for
// want of it (Documentation/accounting/psi.rst), 0 where the kernel does not measure.
type Load struct {
	Processors     int
	Memory         int64   // bytes
	MemoryFree     int64   // bytes that can be had without swapping
	MemoryPressure float64 // in which all stood still
	IOPressure     float64 // in which all stood still
}
