package registry

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"paas/platform"
)

// startUpload begins a blob: mounted from elsewhere, sent in this very request, or to be sent.
func (s *server) startUpload(r request) error {
	if digest := r.QueryParam("mount"); digest != "" && s.mounted(r, digest) {
		return created(r, digest)
	}
	id, err := s.Store.StartUpload(r.ctx(), r.repo)
	if err != nil {
		return uploadCodes.of(err)
	}
	if digest := r.QueryParam("digest"); digest != "" {
		r.ref = id
		return s.finish(r, digest)
	}
	return accepted(r, id, 0)
}

// mounted gives the repository a blob that the client may read elsewhere. If that does not work out the
// client has to send it, so no error matters.
func (s *server) mounted(r request, digest string) bool {
	sources, err := s.sources(r)
	if err != nil {
		return false
	}
	for _, from := range sources {
		if s.Platform.OpenRepository(r.ctx(), r.actor, from, false) != nil {
			continue
		}
		if s.Store.Mount(r.ctx(), r.repo, from, digest) == nil {
			return true
		}
	}
	return false
}

// sources are the repositories to look for a blob in: the one that the client names, or all.
func (s *server) sources(r request) ([]platform.Repository, error) {
	if name := r.QueryParam("from"); name != "" {
		from, err := platform.ParseRepository(name)
		return []platform.Repository{from}, err
	}
	return s.Store.Repositories(r.ctx())
}

func (s *server) tellUpload(r request) error {
	size, err := s.Store.Uploaded(r.ctx(), r.repo, r.ref)
	if err != nil {
		return uploadCodes.of(err)
	}
	describe(r, r.ref, size)
	return r.NoContent(http.StatusNoContent)
}

func (s *server) patchUpload(r request) error {
	at, err := startOf(r)
	if err != nil {
		return err
	}
	size, err := s.receive(r, at)
	if err != nil {
		describe(r, r.ref, size) // where to go on
		return err
	}
	return accepted(r, r.ref, size)
}

// receive takes the request's body. A body that breaks off keeps what came.
func (s *server) receive(r request, at int64) (int64, error) {
	done, err := s.send()
	if err != nil {
		return 0, err
	}
	defer done()
	body := &patient{http.NewResponseController(r.Response()), r.Request().Body}
	size, err := s.Store.Append(r.ctx(), r.repo, r.ref, at, body)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return size, problem{http.StatusBadRequest, "BLOB_UPLOAD_INVALID", "the content broke off"}
	}
	return size, uploadCodes.of(err)
}

// silence is how long a client may send nothing before it loses its place.
const silence = time.Minute

// patient reads a body as long as something comes.
type patient struct {
	connection *http.ResponseController
	body       io.Reader
}

// Read implements io.Reader. At the end the connection has no deadline, for the answer and what follows.
func (p *patient) Read(b []byte) (int, error) {
	_ = p.connection.SetReadDeadline(time.Now().Add(silence)) // HTTP/2 has no such thing, and its own
	n, err := p.body.Read(b)
	if err != nil {
		_ = p.connection.SetReadDeadline(time.Time{})
	}
	return n, err
}

func (s *server) finishUpload(r request) error {
	digest := r.QueryParam("digest")
	if digest == "" {
		return problem{http.StatusBadRequest, "DIGEST_INVALID", "add the blob's digest to the address: ?digest=sha256:…"}
	}
	return s.finish(r, digest)
}

// finish takes what the last request still brings and closes the upload.
func (s *server) finish(r request, digest string) error {
	at, err := startOf(r)
	if err != nil {
		return err
	}
	if size, err := s.receive(r, at); err != nil {
		describe(r, r.ref, size)
		return err
	}
	if err := s.Store.FinishUpload(r.ctx(), r.repo, r.ref, digest); err != nil {
		return uploadCodes.of(err)
	}
	return created(r, digest)
}

func (s *server) cancelUpload(r request) error {
	if err := s.Store.CancelUpload(r.ctx(), r.repo, r.ref); err != nil {
		return uploadCodes.of(err)
	}
	return r.NoContent(http.StatusNoContent)
}

// The spec wants "<start>-<end>", RFC 9110 "bytes <start>-<end>/<size>"; clients send either.
var contentRange = regexp.MustCompile(`^(?:bytes[ =])?(\d+)-(\d+)(?:/(?:\d+|\*))?$`)

// startOf is where the client says that its content belongs, -1 if it does not say.
func startOf(r request) (int64, error) {
	header := r.Request().Header.Get("Content-Range")
	if header == "" {
		return -1, nil
	}
	m := contentRange.FindStringSubmatch(header)
	if m == nil {
		return 0, problem{http.StatusBadRequest, "BLOB_UPLOAD_INVALID", "Content-Range is not like 0-1023"}
	}
	start, errStart := strconv.ParseInt(m[1], 10, 64)
	end, errEnd := strconv.ParseInt(m[2], 10, 64)
	if errStart != nil || errEnd != nil || end < start-1 {
		return 0, problem{http.StatusBadRequest, "BLOB_UPLOAD_INVALID", "Content-Range is out of range"}
	}
	if n := r.Request().ContentLength; n >= 0 && n != end-start+1 {
		return 0, problem{http.StatusRequestedRangeNotSatisfiable, "SIZE_INVALID", "Content-Range and Content-Length differ"}
	}
	return start, nil
}

// describe tells where an upload is and how far it came. Of nothing there is no last byte: as Docker's
// registry does, 0-0 stands for it.
func describe(r request, id string, size int64) {
	h := r.Response().Header()
	h.Set("Location", fmt.Sprintf("/v2/%s/blobs/uploads/%s", r.repo, id))
	h.Set("Range", fmt.Sprintf("0-%d", max(size-1, 0)))
	h.Set("Docker-Upload-UUID", id)
}

func accepted(r request, id string, size int64) error {
	describe(r, id, size)
	return r.NoContent(http.StatusAccepted)
}

func created(r request, digest string) error {
	r.Response().Header().Set("Location", fmt.Sprintf("/v2/%s/blobs/%s", r.repo, digest))
	r.Response().Header().Set("Docker-Content-Digest", digest)
	return r.NoContent(http.StatusCreated)
}
