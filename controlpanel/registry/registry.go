// Package registry is the door for container images: the OCI distribution API, version 1.1, below /v2/.
//
//	client ─► login: API token ─► repository, may the token? ─► manifests, blobs, uploads, tags, referrers
//	       ◄─ 401 with a challenge   ◄─ 403                    ◄─ {"errors":[{"code":…,"message":…}]}
//
// A push sends blobs and then the manifest that needs them:
//
//	POST  /v2/NAME/blobs/uploads/              202 Location   (or 201: mounted from another repository)
//	PATCH Location, Content-Range: 0-1023      202 Range      (any number; after a cut GET tells how far it came)
//	PUT   Location?digest=sha256:…             201
//	PUT   /v2/NAME/manifests/TAG               201
package registry

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strings"

	"github.com/labstack/echo/v4"

	"paas/controlpanel/login"
	"paas/platform"
)

// Store keeps content. Digests and references come as clients send them and are checked by it. Missing
// things are *platform.Error of kind NotFound, malformed ones Usage. All methods block on the disk.
type Store interface {
	// Manifest reads what a tag or digest names. accept is the request's Accept header.
	Manifest(ctx context.Context, repo platform.Repository, ref, accept string) (platform.Manifest, error)
	// PutManifest keeps m under a tag or its digest and returns it with digest and subject. Blobs that it
	// needs and the repository lacks are of kind Conflict, a tag that is not free to use Denied.
	PutManifest(ctx context.Context, repo platform.Repository, ref string, m platform.Manifest) (platform.Manifest, error)
	DeleteManifest(ctx context.Context, repo platform.Repository, ref string) error
	// Blob opens a blob; the caller closes it.
	Blob(ctx context.Context, repo platform.Repository, digest string) (io.ReadSeekCloser, error)
	DeleteBlob(ctx context.Context, repo platform.Repository, digest string) error
	// Mount gives a repository a blob of another one.
	Mount(ctx context.Context, to, from platform.Repository, digest string) error
	Tags(ctx context.Context, repo platform.Repository) ([]string, error) // in order
	Repositories(ctx context.Context) ([]platform.Repository, error)      // in order
	Referrers(ctx context.Context, repo platform.Repository, digest string) ([]platform.Descriptor, error)
	StartUpload(ctx context.Context, repo platform.Repository) (id string, err error)
	Uploaded(ctx context.Context, repo platform.Repository, id string) (int64, error)
	// Append adds to an upload that has at bytes (-1: however many) and returns how many it has then. A
	// wrong at, or another request at work on it, is of kind Conflict. What arrived before an error stays.
	Append(ctx context.Context, repo platform.Repository, id string, at int64, content io.Reader) (int64, error)
	FinishUpload(ctx context.Context, repo platform.Repository, id, digest string) error
	CancelUpload(ctx context.Context, repo platform.Repository, id string) error
}

// Options are what the registry needs.
type Options struct {
	Platform *platform.Platform
	Gate     *login.Gate // nil: one of its own
	Store    Store
	Log      *slog.Logger
}

// maxSending is how many requests may send content at once.
const maxSending = 64

type server struct {
	Options
	sending chan struct{} // holds one value for each
	gate    *login.Gate
}

// New makes the handler for the registry's hostname.
func New(o Options) http.Handler {
	s := &server{Options: o, sending: make(chan struct{}, maxSending), gate: o.Gate}
	if s.gate == nil {
		s.gate = login.New(o.Platform, nil)
	}
	e := echo.New()
	e.HTTPErrorHandler = s.fail
	e.Any("/v2", s.base)
	e.Any("/v2/", s.base)
	e.Any("/v2/*", s.serve)
	return e
}

// request is one call on a repository.
type request struct {
	echo.Context
	actor platform.Actor
	repo  platform.Repository
	ref   string // the tag, digest or upload at the end of the path
}

func (r request) ctx() context.Context { return r.Request().Context() }

// base tells clients that this is a registry and that their login works.
func (s *server) base(c echo.Context) error {
	if _, err := s.gate.Enter(c.Request(), platform.DoorAPI); err != nil {
		return err
	}
	c.Response().Header().Set("Docker-Distribution-API-Version", "registry/2.0")
	return c.JSON(http.StatusOK, struct{}{})
}

func (s *server) serve(c echo.Context) error {
	actor, err := s.gate.Enter(c.Request(), platform.DoorAPI)
	if err != nil {
		return err
	}
	c.Response().Header().Set("Docker-Distribution-API-Version", "registry/2.0")
	path := strings.TrimPrefix(c.Request().URL.Path, "/v2/")
	if path == "_catalog" {
		return s.catalog(request{Context: c, actor: actor})
	}
	name, what, ref, ok := split(path)
	if !ok {
		return problem{http.StatusNotFound, "UNSUPPORTED", "there is nothing at this address"}
	}
	handle, known := s.handlers(what)[c.Request().Method]
	if !known {
		return problem{http.StatusMethodNotAllowed, "UNSUPPORTED", c.Request().Method + " does nothing here"}
	}
	repo, err := s.open(c.Request(), actor, name)
	if err != nil {
		return err
	}
	return s.audited(request{Context: c, actor: actor, repo: repo, ref: ref}, what, handle)
}

// handlers are what can be done with a thing, by method.
func (s *server) handlers(what string) map[string]func(request) error {
	switch what {
	case "manifests":
		return map[string]func(request) error{"GET": s.getManifest, "HEAD": s.getManifest, "PUT": s.putManifest, "DELETE": s.deleteManifest}
	case "blobs":
		return map[string]func(request) error{"GET": s.getBlob, "HEAD": s.getBlob, "DELETE": s.deleteBlob}
	case "uploads":
		return map[string]func(request) error{"POST": s.startUpload}
	case "upload":
		return map[string]func(request) error{"GET": s.tellUpload, "PATCH": s.patchUpload, "PUT": s.finishUpload, "DELETE": s.cancelUpload}
	case "tags":
		return map[string]func(request) error{"GET": s.listTags}
	default:
		return map[string]func(request) error{"GET": s.listReferrers}
	}
}

// address is /v2/'s rest. The name may hold the words too: the last one counts.
var address = regexp.MustCompile(`^(.+)/(manifests|blobs|tags|referrers)/(.*)$`)

func split(path string) (name, what, ref string, ok bool) {
	m := address.FindStringSubmatch(path)
	if m == nil {
		return "", "", "", false
	}
	name, what, ref = m[1], m[2], m[3]
	switch id, upload := strings.CutPrefix(ref, "uploads/"); {
	case what == "blobs" && (upload && id == "" || ref == "uploads"):
		return name, "uploads", "", true
	case what == "blobs" && upload:
		return name, "upload", id, !strings.Contains(id, "/")
	case what == "tags":
		return name, what, ref, ref == "list"
	}
	return name, what, ref, ref != "" && !strings.Contains(ref, "/")
}

// audited leaves an entry for what changes which images there are. Blobs are but parts of them.
func (s *server) audited(r request, what string, handle func(request) error) error {
	method := r.Request().Method
	if method != http.MethodDelete && (what != "manifests" || method != http.MethodPut) {
		return handle(r)
	}
	entry, err := s.Platform.Begin(r.ctx(), r.actor, r.repo.App(), "registry "+method+" "+string(r.repo)+" "+r.ref)
	if err != nil {
		return err
	}
	r.SetRequest(r.Request().WithContext(entry.Within(r.ctx())))
	err = handle(r)
	entry.End(err)
	return err
}

// open checks the repository's name and what the client may do with it.
func (s *server) open(req *http.Request, actor platform.Actor, name string) (platform.Repository, error) {
	repo, err := platform.ParseRepository(name)
	if err != nil {
		return "", problem{http.StatusBadRequest, "NAME_INVALID", err.Error()}
	}
	writes := req.Method != http.MethodGet && req.Method != http.MethodHead
	err = s.Platform.OpenRepository(req.Context(), actor, repo, writes)
	if platform.KindOf(err) == platform.NotFound {
		return "", problem{http.StatusNotFound, "NAME_UNKNOWN", err.Error()}
	}
	return repo, err
}

// send takes a place among those who send content; done gives it back.
func (s *server) send() (done func(), err error) {
	select {
	case s.sending <- struct{}{}:
		return func() { <-s.sending }, nil
	default:
		return nil, problem{http.StatusTooManyRequests, "TOOMANYREQUESTS", "too many uploads at once; try again"}
	}
}
