// Package api is the door for programs: every verb of the table as JSON over HTTP, below /api/v1/.
//
//	POST /api/v1/verbs/ps:scale          {"app": "blog", "type=n": ["web=3"]}
//	Authorization: Bearer paas_…   ──►   token ─► verbs.Table.Call ─► 200 {"web": 3}
//	                                     ◄─ 403 application/problem+json {"kind": "denied", "detail": …}
//	GET  /api/v1/openapi.json            all of it, as OpenAPI 3.1
//
// Verbs that show what happens while it happens answer with JSON lines, those that run a command with lines of what it
// writes, and those that give a file with the file.
package api

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"

	"paas/controlpanel/login"
	"paas/platform"
	"paas/verbs"
)

// Verbs is the table.
type Verbs interface {
	Describe() []verbs.Description
	Lookup(name string) (verbs.Description, bool)
	Call(ctx context.Context, s verbs.Session, name string, values map[string][]string) (verbs.Answer, error)
}

// Platform gives errors their sentence.
type Platform interface {
	Human(err error) *platform.Error
}

// Options are what the door needs.
type Options struct {
	Platform Platform
	Verbs    Verbs
	Gate     *login.Gate
	Version  string
	Log      *slog.Logger
}

// Bounds of calls.
const (
	maxBody   = 1 << 20 // bytes of arguments; files come as the body itself, and may be as large as they like
	mostCalls = 32      // of one token at a time
)

type server struct {
	Options
	mu    sync.Mutex
	calls map[string]int // under way, by user and token
}

// Prefix is where everything of the door lies.
const Prefix = "/api/"

// New makes the handler for the platform's own hostnames.
func New(o Options) http.Handler {
	s := &server{Options: o, calls: map[string]int{}}
	e := echo.New()
	e.HTTPErrorHandler = s.fail
	e.GET("/api/v1/openapi.json", s.describe)
	e.POST("/api/v1/verbs/:name", s.call)
	return e
}

func (s *server) describe(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "no-cache")
	return c.JSON(http.StatusOK, Document(s.Verbs.Describe(), s.Version))
}

// call carries one verb out.
func (s *server) call(c echo.Context) error {
	actor, err := s.enter(c.Request())
	if err != nil {
		return err
	}
	c.Response().Header().Set("Request-Id", actor.Request)
	c.Response().Header().Set("Cache-Control", "no-store")
	leave, err := s.count(actor)
	if err != nil {
		return err
	}
	defer leave()
	v, ok := s.Verbs.Lookup(c.Param("name"))
	if !ok {
		return platform.Errorf(platform.Unknown, "there is no command %q", c.Param("name")).WithHint("see all of them: GET /api/v1/openapi.json")
	}
	values, stdin, err := arguments(c)
	if err != nil {
		return err
	}
	return s.answer(c, v, values, verbs.Session{Actor: actor, Stdin: stdin})
}

// enter takes bearers only: what browsers send by themselves is no login here.
func (s *server) enter(req *http.Request) (platform.Actor, error) {
	if _, _, basic := req.BasicAuth(); basic {
		req.Header.Del("Authorization")
	}
	return s.Gate.Enter(req, platform.DoorAPI)
}

// count takes a place among the token's calls.
func (s *server) count(actor platform.Actor) (leave func(), err error) {
	key := actor.Name + " " + actor.Token.Name
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls[key] >= mostCalls {
		return nil, login.WaitError{Why: "too many calls are under way with this token", For: 1e9}
	}
	s.calls[key]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.calls[key]--; s.calls[key] == 0 {
			delete(s.calls, key)
		}
	}, nil
}

// arguments are the members of a JSON body, or the parts of the query when the body is the command's standard input.
func arguments(c echo.Context) (map[string][]string, io.Reader, error) {
	req := c.Request()
	kind, _, _ := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if kind != "" && kind != "application/json" {
		return req.URL.Query(), req.Body, nil
	}
	body, err := io.ReadAll(io.LimitReader(req.Body, maxBody+1))
	if err != nil {
		return nil, nil, platform.Errorf(platform.Usage, "the body did not arrive whole").Because(err)
	}
	if len(body) > maxBody {
		return nil, nil, platform.Errorf(platform.Usage, "arguments have at most 1 MiB").
			WithHint("send a file as the body, with the content type application/octet-stream and the arguments in the query")
	}
	values, text, err := verbs.ParseValues(body)
	return values, strings.NewReader(text), err
}

// answer calls the verb in the form that its output has.
func (s *server) answer(c echo.Context, v verbs.Description, values map[string][]string, session verbs.Session) error {
	w := &stream{response: c.Response(), kind: linesType}
	session.Stdout, session.Stderr = w, io.Discard
	switch {
	case v.Bytes:
		session.Stdout, session.Stderr = frames{w, "stdout"}, frames{w, "stderr"}
	case v.Streams && v.Lines:
	case v.Streams:
		w.kind = "application/octet-stream"
		c.Response().Header().Set("Trailer", problemTrailer)
	case strings.Contains(c.Request().Header.Get("Accept"), linesType):
		session.Stderr = &progress{w: w}
	}
	a, err := s.Verbs.Call(c.Request().Context(), session, v.Name, values)
	if err != nil {
		return s.endBroken(c, w, err)
	}
	return finish(c, v, w, a)
}

// finish sends what is not sent yet.
func finish(c echo.Context, v verbs.Description, w *stream, a verbs.Answer) error {
	switch {
	case v.Bytes:
		return w.line(map[string]any{"exit": a.Exit})
	case v.Streams:
		_, err := w.Write(nil)
		return err
	case w.begun:
		return w.line(map[string]any{"result": a.Output})
	}
	if a.Exit != 0 {
		c.Response().Header().Set("Paas-Exit-Status", strconv.Itoa(a.Exit))
	}
	return c.JSON(http.StatusOK, a.Output)
}

// problemTrailer tells of an error after a file has begun.
const problemTrailer = "Paas-Problem"

// endBroken tells of an error, however much has been sent.
func (s *server) endBroken(c echo.Context, w *stream, err error) error {
	if !w.begun {
		return err
	}
	p := s.problemOf(c, err)
	if w.kind == linesType {
		return w.line(map[string]any{"problem": p})
	}
	text, _ := json.Marshal(p)
	c.Response().Header().Set(problemTrailer, string(text))
	return nil
}
