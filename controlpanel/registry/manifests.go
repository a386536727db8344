package registry

import (
	"io"
	"net/http"
	"strconv"

	"paas/platform"
)

// maxManifest is how many bytes a manifest may have: what every registry must take, and ours takes no more.
const maxManifest = 4 << 20

func (s *server) getManifest(r request) error {
	m, err := s.Store.Manifest(r.ctx(), r.repo, r.ref, r.Request().Header.Get("Accept"))
	if err != nil {
		return manifestCodes.of(err)
	}
	h := r.Response().Header()
	h.Set("Docker-Content-Digest", m.Digest)
	h.Set("ETag", `"`+m.Digest+`"`)
	if r.Request().Header.Get("If-None-Match") == `"`+m.Digest+`"` {
		return r.NoContent(http.StatusNotModified)
	}
	h.Set("Content-Length", strconv.Itoa(len(m.Body))) // large answers would come in chunks without it
	if r.Request().Method == http.MethodHead {
		h.Set("Content-Type", m.MediaType)
		return r.NoContent(http.StatusOK)
	}
	return r.Blob(http.StatusOK, m.MediaType, m.Body)
}

func (s *server) putManifest(r request) error {
	body, err := io.ReadAll(io.LimitReader(r.Request().Body, maxManifest+1))
	if err != nil {
		return problem{http.StatusBadRequest, "MANIFEST_INVALID", "the manifest did not arrive whole"}
	}
	if len(body) > maxManifest {
		return problem{http.StatusRequestEntityTooLarge, "SIZE_INVALID", "a manifest has at most 4 MiB"}
	}
	m, err := s.Store.PutManifest(r.ctx(), r.repo, r.ref, platform.Manifest{MediaType: mediaType(r), Body: body})
	if err != nil {
		return manifestCodes.of(err)
	}
	h := r.Response().Header()
	h.Set("Location", "/v2/"+string(r.repo)+"/manifests/"+m.Digest)
	h.Set("Docker-Content-Digest", m.Digest)
	if m.Subject != "" {
		h.Set("OCI-Subject", m.Subject)
	}
	return r.NoContent(http.StatusCreated)
}

func mediaType(r request) string { return r.Request().Header.Get("Content-Type") }

func (s *server) deleteManifest(r request) error {
	if err := s.Store.DeleteManifest(r.ctx(), r.repo, r.ref); err != nil {
		return manifestCodes.of(err)
	}
	return r.NoContent(http.StatusAccepted)
}
