package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"paas/platform"
)

// The paths of requests. The builder answers the first ones, the daemon the others.
const (
	PathBuild = "/build" // Build -> a stream of Event
	PathPrune = "/prune" // Prune -> Pruned

	PathStep  = "/step"  // Step -> a stream of StepEvent
	PathFiles = "/files" // Files -> nothing
	PathBase  = "/base"  // BaseRef -> Base
)

// Build is one build.
type Build struct {
	ID         string // of this build, in the builder's own requests
	App        int64  // whose cache mounts it uses
	Dockerfile []byte
	Name       string // of the Dockerfile, for messages
	Target     string // a stage; empty: the last
	Args       map[string]string
	Secrets    map[string]string
	Keys       map[string][]byte // private SSH keys in PEM, by id of the mount
	Ignore     []byte            // the .dockerignore file that counts
	Files      []platform.File   // of the context, before Ignore, in path order
	Salt       []byte            // the digests that Made tells of are made with it
	Team       string            // RUNs are shared with other apps of it
	Alone      bool              // and not even there
}

// Event is what happens in a build. Exactly one field but Vertex is set.
type Event struct {
	Vertex string  `json:",omitempty"` // id of the instruction it is about
	Begun  *Begun  `json:",omitempty"`
	Log    []byte  `json:",omitempty"`
	Done   *Done   `json:",omitempty"`
	Warn   string  `json:",omitempty"`
	Result *Result `json:",omitempty"` // the last event of a build that went well
	Failed *Failed `json:",omitempty"` // the last event of any other
}

// Begun is an instruction that has begun.
type Begun struct{ Name string }

// Done is the end of an instruction.
type Done struct {
	Took   time.Duration
	Failed bool
	Cached bool  // it need not be carried out
	Made   *Made // nil if it is not known
}

// Made is what an instruction was made from. Key is a name of all that decides: secrets do not.
type Made struct {
	Key    string
	Inputs []platform.BuildInput
	Files  [][2]int // of Build.Files, from the first place to before the second
}

// Result is a built image.
type Result struct {
	Layers []string        // names in the content store, bottom first
	Config json.RawMessage // of the image, with Docker's own fields
}

// Failed is why there is no image.
type Failed struct {
	Vertex  string // the instruction that failed, if it was one
	Line    int    // of the Dockerfile, from 1; 0: not known
	Message string
	Human   *Sentence // for the pusher, if somebody wrote one
	Cancel  bool      // the caller's going away was the reason
}

// Sentence is a platform.Error on its way.
type Sentence struct {
	Kind          platform.Kind
	Message, Hint string
}

// Fail describes an error for the other side.
func Fail(err error) *Failed {
	f := &Failed{Message: err.Error(), Cancel: errors.Is(err, context.Canceled)}
	var human *platform.Error
	if errors.As(err, &human) {
		f.Human = &Sentence{human.Kind, human.Message, human.Hint}
	}
	return f
}

// Err is the error again, as far as the other side needs it.
func (f *Failed) Err() error {
	switch {
	case f.Human != nil:
		return &platform.Error{Kind: f.Human.Kind, Message: f.Human.Message, Hint: f.Human.Hint}
	case f.Cancel:
		return context.Canceled
	}
	return errors.New(f.Message)
}

// Step is a RUN instruction's container.
type Step struct {
	Build string
	Spec  platform.StepSpec
}

// StepEvent is a piece of a step's output, or its end.
type StepEvent struct {
	Out    []byte         `json:",omitempty"`
	Exit   *platform.Exit `json:",omitempty"`
	Failed *Failed        `json:",omitempty"`
}

// Files asks for files of a build's context to be written. Their owner is root.
type Files struct {
	Build string
	Dir   string   // an empty directory, or one that a call before has written to
	Paths []string // which; nil: all
}

// BaseRef names an image that a build starts from.
type BaseRef struct {
	Build string
	Name  string // normalized: "docker.io/library/golang:1.26", maybe with a digest
}

// Base is an image in the content store.
type Base struct {
	Digest string          // equal digests are equal images
	Layers []string        // bottom first
	Config json.RawMessage // OCI image configuration, with Docker's own fields if it has them
}

// Prune removes what the builder keeps between builds, cache mounts that were unused for longest first.
type Prune struct {
	Keep   int64         // bytes of cache mounts that may stay
	MinAge time.Duration // what was used since stays
	App    int64         // only this app's, all of them; 0: everybody's
}

// Pruned is what was removed, in bytes.
type Pruned struct{ Bytes int64 }

// Answer is a request's one answer.
type Answer struct {
	Value  json.RawMessage `json:",omitempty"`
	Failed *Failed         `json:",omitempty"`
}

// Write answers a request with a value, or with err.
func Write(w io.Writer, value any, err error) {
	var a Answer
	if err == nil {
		a.Value, err = json.Marshal(value)
	}
	if err != nil {
		a.Failed = Fail(err)
	}
	_ = json.NewEncoder(w).Encode(a) // who asked may be gone
}

// Read reads what Write wrote.
func Read(r io.Reader, value any) error {
	var a Answer
	if err := json.NewDecoder(r).Decode(&a); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if a.Failed != nil {
		return a.Failed.Err()
	}
	if value == nil {
		return nil
	}
	return json.Unmarshal(a.Value, value)
}
