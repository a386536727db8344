package registry

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"paas/controlpanel/login"
	"paas/platform"
)

// problem is an answer that is an error (OCI distribution-spec, "Error Codes").
type problem struct {
	status  int
	code    string
	message string
}

func (p problem) Error() string { return p.message }

// codes say what an error's kind means for one sort of thing.
type codes map[platform.Kind]problem

// What goes wrong with each sort of thing. The message is the error's own.
var (
	manifestCodes = codes{
		platform.NotFound: {http.StatusNotFound, "MANIFEST_UNKNOWN", ""},
		platform.Usage:    {http.StatusBadRequest, "MANIFEST_INVALID", ""},
		platform.Conflict: {http.StatusNotFound, "MANIFEST_BLOB_UNKNOWN", ""},
	}
	blobCodes = codes{
		platform.NotFound: {http.StatusNotFound, "BLOB_UNKNOWN", ""},
		platform.Usage:    {http.StatusBadRequest, "DIGEST_INVALID", ""},
	}
	uploadCodes = codes{
		platform.NotFound: {http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", ""},
		platform.Usage:    {http.StatusBadRequest, "DIGEST_INVALID", ""},
		platform.Conflict: {http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID", ""},
	}
	anyCodes = codes{
		platform.Unauthorized: {http.StatusUnauthorized, "UNAUTHORIZED", ""},

		platform.Denied: {http.StatusForbidden, "DENIED", ""},
		platform.Failed: {http.StatusInsufficientStorage, "DENIED", ""},
		platform.Usage:  {http.StatusBadRequest, "UNSUPPORTED", ""},
	}
)

// of gives err the code that it has here; nil stays nil.
func (c codes) of(err error) error {
	var e *platform.Error
	if !errors.As(err, &e) {
		return err
	}
	p, ok := c[e.Kind]
	if !ok {
		return err
	}
	p.message = e.Message
	return p
}

// fail writes an error as clients read it. What nobody wrote a sentence for is logged, not shown.
func (s *server) fail(err error, c echo.Context) {
	if c.Response().Committed {
		return // the client sees a body that is too short
	}
	p := s.problemOf(err)
	var wait login.WaitError
	if errors.As(err, &wait) {
		p = problem{http.StatusTooManyRequests, "TOOMANYREQUESTS", wait.Error()}
		c.Response().Header().Set("Retry-After", strconv.Itoa(int(wait.For.Seconds())+1))
	}
	if p.status == http.StatusUnauthorized {
		c.Response().Header().Set("WWW-Authenticate", `Basic realm="paas"`)
	}
	if c.Request().Method == http.MethodHead {
		_ = c.NoContent(p.status)
		return
	}
	_ = c.JSON(p.status, map[string]any{"errors": []any{map[string]any{"code": p.code, "message": p.message}}})
}

func (s *server) problemOf(err error) problem {
	var p problem
	var h *echo.HTTPError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &h):
		return problem{h.Code, "UNSUPPORTED", http.StatusText(h.Code)}
	}
	if errors.As(anyCodes.of(err), &p) {
		return p
	}
	e := s.Platform.Human(err)
	if e.Kind == platform.Interrupted {
		return problem{http.StatusRequestTimeout, "BLOB_UPLOAD_INVALID", e.Message}
	}
	return problem{http.StatusInternalServerError, "UNKNOWN", e.Message}
}
