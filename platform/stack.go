package platform

import (
	"context"
	"io"
	"time"
)

// DefaultStack is the stack of apps that were put on no other. It is made on this host.
const DefaultStack = "debian"

// Stack is one version of a base image that apps are built on and run over. Versions are numbered from 1 and
// never edited; the newest one is current.
type Stack struct {
	Name   string
	Number int    // 0: it has none yet
	Layer  string // the run variant, named by the digest of its content; the build variant adds a layer to it
	// Kind is equal for versions that differ by updates only: what was built on one of them runs on the others.
	Kind        string
	Source      string // where it came from: "Debian packages", an image with its digest, "a file"
	Image       string // the reference that it is pulled from; empty if it is none
	Debian      string // its point release, "13.7"
	Description string // what the version is: "Made", "Updated 3 packages: …", "Rollback to v2"
	Actor       string
	CreatedAt   time.Time
}

// Footing tells which of an image's layers are a stack's, so that those of another version can take their place.
type Footing struct {
	Stack    string
	Layer    string              // the base: the image's lowest
	Kind     string              // of the base
	Packages map[string][]string `json:",omitempty"` // layers of Debian packages over that base, and what is in them
	Key      string              // of all that is not the stack's
}

// Stacks is the part of the Store that keeps base images.
type Stacks interface {
	// AddStack numbers and stores a version, the stack's current one from then on.
	AddStack(ctx context.Context, s Stack) (Stack, error)
	// Stacks lists all versions of all stacks, by name, newest first.
	Stacks(ctx context.Context) ([]Stack, error)
}

// Bases makes base images; the builder is one. Methods are safe for concurrent use, block on disk, network and
// processors until they are done or ctx ends, and leave nothing but whole layers behind. The versions that they
// return have no number yet.
type Bases interface {
	// DefaultBase finds the default stack's base image on this host, or makes it.
	DefaultBase(ctx context.Context, story *Story) (Stack, error)
	// RestoreBase makes sure that the version's layers are there, from what is kept beside the content store.
	// It fails with kind NotFound if they are not.
	RestoreBase(ctx context.Context, s Stack) error
	// PrepareBase makes all that first builds on the version need, and would have to wait for.
	PrepareBase(ctx context.Context, s Stack, story *Story) error
	// UpdateBase installs Debian's updates of what is in the base or in one of the sets of packages over it. It
	// returns a line for each package that is newer; without any there is no new version.
	UpdateBase(ctx context.Context, s Stack, sets [][]string, story *Story) (next Stack, newer []string, err error)
	// BaseOf makes a base of an image's layers. Failed tells what such an image must have.
	BaseOf(ctx context.Context, image Image, story *Story) (Stack, error)
	// BuildVariant is the name of the layer that makes the version's build variant, which need not exist.
	BuildVariant(s Stack) string
	// Rebase puts another version below an image's own layers. Conflict tells why that would not be right.
	Rebase(ctx context.Context, image Image, onto Stack, story *Story) (Image, error)
	// ExportBase writes both variants as a zstd-compressed archive, which ImportBase reads, on any host.
	ExportBase(ctx context.Context, s Stack, out io.Writer) error
	ImportBase(ctx context.Context, in io.Reader) (Stack, error)
}

// noBases is for a Platform over a builder that knows its own base.
type noBases struct{ Bases }

func (noBases) DefaultBase(context.Context, *Story) (Stack, error) { return Stack{}, nil }
