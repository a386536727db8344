package registry

import (
	"net/http"
	"time"
)

// getBlob serves a blob or the ranges of it that are asked for (RFC 9110, section 14).
func (s *server) getBlob(r request) error {
	content, err := s.Store.Blob(r.ctx(), r.repo, r.ref)
	if err != nil {
		return blobCodes.of(err)
	}
	defer func() { _ = content.Close() }() // it was only read
	h := r.Response().Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Docker-Content-Digest", r.ref)
	h.Set("ETag", `"`+r.ref+`"`)
	http.ServeContent(r.Response(), r.Request(), "", time.Time{}, content)
	return nil
}

func (s *server) deleteBlob(r request) error {
	if err := s.Store.DeleteBlob(r.ctx(), r.repo, r.ref); err != nil {
		return blobCodes.of(err)
	}
	return r.NoContent(http.StatusAccepted)
}
