package platform

import (
	"context"
	"io"
	"strings"
	"time"
)

// Pulled is an image that came from elsewhere and can be deployed.
type Pulled struct {
	Reference string // in full: "index.docker.io/library/nginx:1.27"
	Digest    string // of its manifest
	Image     Image
	CreatedAt time.Time
}

// Pulls is the part of the Store that keeps what was pulled and loaded. The layers of these images stay.
type Pulls interface {
	// SetPulled stores v in place of another one with the same reference.
	SetPulled(ctx context.Context, v Pulled) error
	Pulled(ctx context.Context, reference string) (Pulled, error)
	AllPulled(ctx context.Context) ([]Pulled, error) // by reference
	RemovePulled(ctx context.Context, reference string) error
}

// Distribution moves whole images between the content store, other registries, our own one and archives.
// Every method blocks until it is done or ctx ends. What others sent is trusted only once its digests
// were right; after an error whole layers may stay, for the next try, and nothing else.
type Distribution interface {
	// Name is a reference in full: with registry and tag or digest. A malformed one is of kind Usage.
	Name(reference string) (string, error)
	// Pull brings an image for this machine into the content store. Failures of the network are tried
	// again, and what has arrived is not sent twice.
	Pull(ctx context.Context, reference string, t Transfer) (Pulled, error)
	// Push sends an image and returns its manifest's digest.
	Push(ctx context.Context, image Image, reference string, t Transfer) (digest string, err error)
	// Load reads a `docker save` archive or a tar of an OCI layout.
	Load(ctx context.Context, in io.Reader, t Transfer) ([]Pulled, error)
	// Save writes an archive that Load, `docker load` and OCI tools read; with oci, a layout only.
	Save(ctx context.Context, image Image, name string, oci bool, out io.Writer) error
	// Download opens what an http(s) address has. The caller closes it.
	Download(ctx context.Context, address string, t Transfer) (io.ReadCloser, error)
	// Pushed extracts an image of our own registry. Missing is of kind NotFound.
	Pushed(ctx context.Context, repo Repository, ref string) (Pulled, error)
}

// Transfer is who moves an image, and how.
type Transfer struct {
	Logins  []Login
	Private bool         // loopback, private and link-local addresses may be reached
	Plain   bool         // plain HTTP
	Say     func(string) // told what happens, a line each
}

// RegistryHost is where our own registry answers.
func (p *Platform) RegistryHost() string { return RegistryHost(p.Settings.Domain) }

// RegistryHost is where the registry of the platform at domain answers.
func RegistryHost(domain string) string { return "registry." + strings.ToLower(domain) }

// PanelHost is where the platform at domain is administrated: its API answers there, and at the registry's host.
func PanelHost(domain string) string { return "panel." + strings.ToLower(domain) }

// free is of kind Conflict for a hostname that the platform answers at itself.
func (p *Platform) free(host string) error {
	if host == p.defaultHost(Library) {
		return Errorf(Conflict, "library is where images live that belong to no app").WithHint("choose another name")
	}
	if host == p.RegistryHost() {
		return Errorf(Conflict, "%s is the platform's own registry", host).WithHint("choose another name")
	}
	if host == PanelHost(p.Settings.Domain) {
		return Errorf(Conflict, "%s is the platform's own panel", host).WithHint("choose another name")
	}
	return nil
}
