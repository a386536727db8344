package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"

	"paas/controlpanel/api"
	"paas/controlpanel/login"
	"paas/platform"
	"paas/store"
	"paas/verbs"
)

// site is the door over a real table, platform and store.
type site struct {
	*testing.T
	platform *platform.Platform
	table    *verbs.Table
	server   *httptest.Server
}

func open(t *testing.T) *site {
	t.Helper()
	s, err := store.Open(context.Background(), filepath.Join(t.TempDir(), "paas.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	log := slog.New(slog.DiscardHandler)
	p := platform.New(platform.Rooms{Store: s, Log: log}, platform.Settings{Domain: "example.test"})
	t.Cleanup(p.Close)
	table := verbs.New(p, "1.2.3")
	server := httptest.NewServer(api.New(api.Options{Platform: p, Verbs: table, Gate: login.New(p, nil), Version: "1.2.3", Log: log}))
	t.Cleanup(server.Close)
	for _, k := range []platform.Key{{Name: "alice", Fingerprint: "SHA256:a", Public: "a", Admin: true}, {Name: "bob", Fingerprint: "SHA256:b", Public: "b"}} {
		if err := s.AddKey(context.Background(), k); err != nil {
			t.Fatal(err)
		}
	}
	return &site{t, p, table, server}
}

// token makes one as a user does.
func (s *site) token(user, fingerprint string, admin bool, line string) string {
	s.Helper()
	var out strings.Builder
	actor := platform.Actor{Name: user, Fingerprint: fingerprint, Admin: admin, Creates: admin, Request: platform.NewRequest()}
	code := s.table.Run(context.Background(), verbs.Session{Actor: actor, Stdin: strings.NewReader(""), Stdout: &out, Stderr: io.Discard}, line)
	if code != 0 {
		s.Fatalf("%s: status %d", line, code)
	}
	return strings.TrimSpace(out.String())
}

func (s *site) post(token, verb, body string, headers ...string) (*http.Response, string) {
	s.Helper()
	req, err := http.NewRequestWithContext(s.Context(), http.MethodPost, s.server.URL+"/api/v1/verbs/"+verb, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.Fatal(err)
	}
	return res, string(text)
}

func TestCallsAreTheTables(t *testing.T) {
	s := open(t)
	token := s.token("alice", "SHA256:a", true, "tokens:create ops --scope apps:manage,config:write,config:reveal,server:manage")
	for _, c := range []struct {
		verb, body string
		status     int
		says       string
	}{
		{"apps:create", `{"app": "blog"}`, 200, `"name":"blog"`},
		{"apps:create", `{"app": "blog"}`, 409, `"kind":"conflict"`},
		{"apps:create", `{"app": "blog", "if-missing": true}`, 200, `"name":"blog"`},
		{"apps:create", `{"app": "Blog"}`, 400, `urn:paas:problem:usage`},
		{"apps:create", `{"ap": "x"}`, 400, `has no argument`},
		{"apps:create", `[]`, 400, `no JSON object`},
		{"apps:create", `{"app": {"a": 1}}`, 400, `neither a string`},
		{"apps:list", ``, 200, `"blog"`},
		{"apps:scale", `{"app": "blog", "type=n": ["web=3"]}`, 200, `3`},
		{"config:set", `{"app": "blog", "KEY=value": ["A=1", "B=x y"]}`, 200, `"changed":["A","B"]`},
		{"config:set", `{"app": "blog", "KEY=value": "C", "stdin": "secret\n"}`, 200, `"C"`},
		{"config:get", `{"app": "blog", "KEY": "C"}`, 400, `has no argument`},
		{"config:get", `{"app": "blog", "key": "C"}`, 400, ``},
		{"apps:info", `{"app": "nope"}`, 404, `there is no app`},
		{"frobnicate", `{}`, 404, `there is no command`},
		{"whoami", `{}`, 200, `"token":"ops"`},
		{"users:list", `{}`, 200, `"alice"`},
		{"tokens:create", `{"name": "x"}`, 403, `cannot make tokens`},
	} {
		res, text := s.post(token, c.verb, c.body)
		if c.says == "" {
			continue
		}
		wantType := "application/json"
		if c.status != 200 {
			wantType = "application/problem+json"
		}
		if res.StatusCode != c.status || !strings.Contains(text, c.says) || !strings.HasPrefix(res.Header.Get("Content-Type"), wantType) {
			t.Errorf("%s %s: %s %s\n%s", c.verb, c.body, res.Status, res.Header.Get("Content-Type"), text)
		}
		if res.Header.Get("Request-Id") == "" {
			t.Errorf("%s: no request id", c.verb)
		}
	}
}

// A token has what both its user and its scopes allow.
func TestTokensAreTheMeetOfUserAndScopes(t *testing.T) {
	s := open(t)
	admin := s.token("alice", "SHA256:a", true, "tokens:create ops --scope apps:manage,server:manage")
	s.post(admin, "apps:create", `{"app": "blog"}`)
	s.post(admin, "apps:create", `{"app": "hidden"}`)
	s.post(admin, "access:add", `{"app": "blog", "user": "bob", "role": "view"}`)
	reads := s.token("alice", "SHA256:a", true, "tokens:create reads")
	blog := s.token("alice", "SHA256:a", true, "tokens:create blog --app blog --scope apps:manage")
	bobs := s.token("bob", "SHA256:b", false, "tokens:create all --scope apps:manage,config:reveal")
	for _, c := range []struct {
		token, verb, body string
		status            int
		says              string
	}{
		{reads, "apps:info", `{"app": "hidden"}`, 200, "hidden"},
		{reads, "ps:scale", `{"app": "blog", "type=n": "web=2"}`, 403, "needs the scope apps:operate"},
		{reads, "users:list", `{}`, 403, "server:read"},
		{reads, "apps:create", `{"app": "x"}`, 403, "apps:manage"},
		{reads, "config:show", `{"app": "blog"}`, 403, "config:read"},
		{blog, "apps:info", `{"app": "hidden"}`, 404, "there is no app"},
		{blog, "apps:list", ``, 200, `[{"name":"blog"`},
		{blog, "ps:scale", `{"app": "blog", "type=n": "web=2"}`, 200, "2"},
		{blog, "apps:create", `{"app": "x"}`, 403, "is not one"},
		{bobs, "apps:info", `{"app": "blog"}`, 200, "blog"},
		{bobs, "apps:info", `{"app": "hidden"}`, 404, `there is no app \"hidden\"`},
		{bobs, "ps:scale", `{"app": "blog", "type=n": "web=2"}`, 403, "needs the role operate on blog, and you have view"},
		{bobs, "config:show", `{"app": "blog", "reveal": true}`, 403, "needs the role operate"},
		{bobs, "keys:add", `{"key": "x"}`, 403, "server:manage"},
	} {
		res, text := s.post(c.token, c.verb, c.body)
		if res.StatusCode != c.status || !strings.Contains(text, c.says) {
			t.Errorf("%s %s: %s\n%s", c.verb, c.body, res.Status, text)
		}
	}
	s.post(admin, "users:remove", `{"user": "bob", "confirm": "bob"}`)
	if res, _ := s.post(bobs, "whoami", ``); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("a removed user's token: %s", res.Status)
	}
}

// What a token follows ends when the token is revoked.
func TestStreamsEndWithTheirToken(t *testing.T) {
	s := open(t)
	admin := s.token("alice", "SHA256:a", true, "tokens:create ops --scope apps:manage,server:manage")
	follower := s.token("alice", "SHA256:a", true, "tokens:create follower")
	s.post(admin, "apps:create", `{"app": "blog"}`)
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, s.server.URL+"/api/v1/verbs/events", strings.NewReader(`{"follow": true, "kind": "command"}`))
	req.Header.Set("Authorization", "Bearer "+follower)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	lines := bufio.NewScanner(res.Body)
	var e platform.Event
	for e.App != "blog" && lines.Scan() {
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
	}
	if e.Actor != "alice" || e.Door != platform.DoorAPI || e.Key != "token ops" || e.Request == "" || e.Remote != "127.0.0.1" || e.Outcome != "ok" {
		t.Errorf("%+v", e)
	}
	s.post(admin, "tokens:revoke", `{"name": "follower"}`)
	last := lines.Text()
	for lines.Scan() {
		last = lines.Text()
	}
	if !strings.Contains(last, `"kind":"denied"`) {
		t.Errorf("the stream ended with %s", last)
	}
}

func TestStrangersWait(t *testing.T) {
	s := open(t)
	token := s.token("alice", "SHA256:a", true, "tokens:create ops")
	for n := range login.MostFailures + 1 {
		res, text := s.post("paas_wrong", "whoami", ``)
		want := 401
		if n == login.MostFailures {
			want = 429
		}
		if res.StatusCode != want {
			t.Fatalf("wrong token %d: %s\n%s", n, res.Status, text)
		}
		if want == 429 && res.Header.Get("Retry-After") == "" {
			t.Error("it does not say when to try again")
		}
	}
	if res, text := s.post(token, "whoami", ``); res.StatusCode != http.StatusOK {
		t.Errorf("a right token beside wrong ones: %s %s", res.Status, text)
	}
	if res, _ := s.post("", "whoami", ``, "Authorization", "Basic eDp4"); res.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Bearer") {
		t.Errorf("%s %v", res.Status, res.Header)
	}
}

// The document is valid OpenAPI 3.1 and has every verb.
func TestOpenAPI(t *testing.T) {
	s := open(t)
	res, err := http.Get(s.server.URL + "/api/v1/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := libopenapi.NewDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	if doc.GetVersion() != "3.1.0" {
		t.Errorf("version %s", doc.GetVersion())
	}
	model, err := doc.BuildV3Model()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range s.table.Describe() {
		item, ok := model.Model.Paths.PathItems.Get("/api/v1/verbs/" + v.Name)
		if !ok || item.Post == nil || item.Post.OperationId != v.Name || item.Post.Responses.Codes.Len() == 0 {
			t.Errorf("%s is not described", v.Name)
			continue
		}
		schema, err := item.Post.RequestBody.Content.GetOrZero("application/json").Schema.BuildSchema()
		if err != nil || schema.Properties.Len() != len(v.Params)+1 {
			t.Errorf("%s: arguments %v (%v)", v.Name, schema, err)
		}
	}
	if n := model.Model.Paths.PathItems.Len(); n != len(s.table.Describe()) {
		t.Error(fmt.Sprint(n, " paths"))
	}
}
