package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"paas/controlpanel/login"
	"paas/platform"
)

// Problem is an error as RFC 9457 has it, with what people are told beside it.
type Problem struct {
	Type    string   `json:"type"`
	Title   string   `json:"title"`
	Status  int      `json:"status"`
	Detail  string   `json:"detail"`
	Kind    string   `json:"kind"`
	Hint    string   `json:"hint,omitempty"`
	Output  []string `json:"output,omitempty"`
	Request string   `json:"request,omitempty"`
}

// status maps an error's kind to HTTP's.
var status = map[platform.Kind]int{
	platform.Internal: http.StatusInternalServerError, platform.Failed: http.StatusUnprocessableEntity, platform.Usage: http.StatusBadRequest,
	platform.NotFound: http.StatusNotFound, platform.Denied: http.StatusForbidden, platform.Conflict: http.StatusConflict,
	platform.Timeout: http.StatusGatewayTimeout, platform.Unhealthy: http.StatusUnprocessableEntity, platform.Unknown: http.StatusNotFound,
	platform.Interrupted: http.StatusRequestTimeout, platform.Unauthorized: http.StatusUnauthorized,
}

func (s *server) problemOf(c echo.Context, err error) Problem {
	var wait login.WaitError
	var h *echo.HTTPError
	p := Problem{Request: c.Response().Header().Get("Request-Id")}
	switch {
	case errors.As(err, &wait):
		p.Status, p.Kind, p.Detail = http.StatusTooManyRequests, "too-many-requests", wait.Error()
		c.Response().Header().Set("Retry-After", strconv.Itoa(int(wait.For.Seconds())+1))
	case errors.As(err, &h):
		p.Status, p.Kind, p.Detail = h.Code, platform.Unknown.String(), "there is nothing at this address for this method"
		p.Hint = "see what there is: GET /api/v1/openapi.json"
	default:
		e := s.Platform.Human(err)
		p.Status, p.Kind, p.Detail, p.Hint, p.Output = status[e.Kind], e.Kind.String(), e.Message, e.Hint, e.Output
	}
	p.Type, p.Title = "urn:paas:problem:"+p.Kind, http.StatusText(p.Status)
	return p
}

// fail answers with a problem document.
func (s *server) fail(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	p := s.problemOf(c, err)
	if p.Status == http.StatusUnauthorized {
		c.Response().Header().Set("WWW-Authenticate", `Bearer realm="paas"`)
	}
	text, err := json.Marshal(p)
	if err != nil {
		s.Log.Error("write problem", "err", err)
		return
	}
	_ = c.Blob(p.Status, "application/problem+json", text) // the client may be gone
}
