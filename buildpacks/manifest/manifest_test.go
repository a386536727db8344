package manifest

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"paas/platform"
)

const full = `{
  "name": "hello", "description": "x", "keywords": ["a"], "unknown": {"deep": [1, 2]},
  "env": {
    "PLAIN": "1",
    "LONG": {"description": "d", "value": "2"},
    "NEEDED": {"description": "d"},
    "MAYBE": {"required": false},
    "SECRET": {"generator": "secret"}
  },
  "formation": {"web": {"quantity": 2, "size": "standard-1x"}, "worker": {"quantity": 0}, "other": {"max_parallel": 1}},
  "healthchecks": {
    "web": [
      {"type": "startup", "name": "home", "path": "/up", "content": "ok", "port": 8080, "attempts": 7, "timeout": 2, "wait": 1, "initialDelay": 4,
       "httpHeaders": [{"name": "X-Check", "value": "yes"}]},
      {"type": "startup"},
      {"listening": true},
      {"type": "liveness", "path": "/"}
    ],
    "worker": [{"uptime": 10}, {"command": ["test", "-f", "ready"]}]
  },
  "scripts": {"dokku": {"predeploy": "true"}, "postdeploy": "true"}
}`

func TestParse(t *testing.T) {
	app, err := Parse([]byte(full))
	if err != nil {
		t.Fatal(err)
	}
	second := time.Second
	plain := platform.Check{Attempts: 3, Timeout: 5 * second, Wait: 5 * second}
	with := func(change func(*platform.Check)) platform.Check { c := plain; change(&c); return c }
	checks := map[platform.ProcessType][]platform.Check{
		"web": {
			{Name: "home", Path: "/up", Content: "ok", Port: 8080, Headers: map[string]string{"X-Check": "yes"},
				Attempts: 7, Timeout: 2 * second, Wait: second, InitialDelay: 4 * second},
			with(func(c *platform.Check) { c.Name, c.Path = "web-2", "/" }),
			with(func(c *platform.Check) { c.Name, c.Listening = "web-3", true }),
			with(func(c *platform.Check) { c.Type, c.Name, c.Path = platform.Liveness, "web-4", "/" }),
		},
		"worker": {
			with(func(c *platform.Check) { c.Name, c.Uptime = "worker-1", 10*second }),
			with(func(c *platform.Check) { c.Name, c.Command = "worker-2", []string{"test", "-f", "ready"} }),
		},
	}
	same(t, "checks", app.Checks, checks)
	same(t, "formation", app.Formation, map[platform.ProcessType]int{"web": 2, "worker": 0})
	same(t, "env", app.Env, map[string]platform.EnvVar{
		"PLAIN": {Value: "1", Required: true}, "LONG": {Value: "2", Required: true}, "NEEDED": {Required: true},
		"MAYBE": {}, "SECRET": {Generator: "secret", Required: true},
	})
	same(t, "warnings", app.Warnings, []string{
		"app.json scripts.postdeploy, scripts.dokku.predeploy will not run; use \"release:\" in the Procfile.",
	})
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

func TestParseLeaves(t *testing.T) {
	for _, text := range []string{`{}`, `{"env": null, "formation": null, "healthchecks": null}`, `{"formation": {}, "healthchecks": {"web": []}}`,
		`{"healthchecks": {"web": [{"listening": false, "path": "/"}]}}`, `{"scripts": 5}`} {
		if _, err := Parse([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	cases := []struct{ text, message string }{
		{"{\n\"a\": 1,\n}", "app.json line 3 is not JSON"},
		{"", "app.json line 1 is not JSON"},
		{"[]", "app.json is not a JSON object"},
		{"null", "app.json holds null"},
		{strings.Repeat(`{"a":`, 20000), "is not JSON"},
		{`{"env": []}`, "app.json env: it must be an object"},
		{`{"env": {"A": 5}}`, "app.json env.A: it must be text in quotes"},
		{`{"env": {"A-B": "x"}}`, `"A-B" is not the name of a variable`},
		{`{"env": {"A": {"generator": "uuid"}}}`, `app.json env.A.generator: "uuid" is not known`},
		{`{"env": {"A": {"required": "yes"}}}`, "app.json env.A.required: it must be true or false"},
		{`{"env": {"A": "\u0000"}}`, "app.json env.A: a variable cannot hold a NUL"},
		{`{"formation": {"web": {"quantity": -1}}}`, "app.json formation.web.quantity: it must be a whole number from 0 to 1000"},
		{`{"formation": {"web": {"quantity": 1.5}}}`, "app.json formation.web.quantity: it must be a whole number"},
		{`{"formation": {"web": {"quantity": 1e300}}}`, "app.json formation.web.quantity: it must be a whole number"},
		{`{"formation": {"web": {"quantity": "2"}}}`, "app.json formation.web.quantity: it must be a number"},
		{`{"formation": {"web": 2}}`, "app.json formation.web: it must be an object"},
		{`{"formation": {"My Web": {"quantity": 1}}}`, `app.json formation: "My Web" is not a process type name`},
		{`{"healthchecks": {"web": {}}}`, "app.json healthchecks.web: it must be a list"},
		{`{"healthchecks": {"web": [{"path": "/", "uptime": 5}]}}`, "app.json healthchecks.web[0]: path and uptime exclude each other"},
		{`{"healthchecks": {"web": [{"type": "strange"}]}}`, `app.json healthchecks.web[0].type: "strange" is not a type`},
		{`{"healthchecks": {"web": [{"path": "up"}]}}`, `app.json healthchecks.web[0].path: "up" is not a path`},
		{`{"healthchecks": {"web": [{"command": "test x"}]}}`, "app.json healthchecks.web[0].command: it must be a list"},
		{`{"healthchecks": {"web": [{"command": []}]}}`, "app.json healthchecks.web[0].command: it is empty"},
		{`{"healthchecks": {"web": [{"attempts": 0}]}}`, "app.json healthchecks.web[0].attempts: it must be a whole number from 1"},
		{`{"healthchecks": {"web": [{"timeout": 0}]}}`, "app.json healthchecks.web[0].timeout: it must be a whole number from 1"},
		{`{"healthchecks": {"web": [{"port": 70000}]}}`, "app.json healthchecks.web[0].port: it must be a whole number from 0 to 65535"},
		{`{"healthchecks": {"web": [{"uptime": 5, "content": "x"}]}}`, "app.json healthchecks.web[0].content: only a check with a path"},
		{`{"healthchecks": {"web": [{"httpHeaders": [{"name": "A\r\nB", "value": "x"}]}]}}`, "app.json healthchecks.web[0].httpHeaders[0]"},
	}
	for _, c := range cases {
		_, err := Parse([]byte(c.text))
		refused(t, c.text, err, c.message)
	}
}

func refused(t *testing.T, text string, err error, message string) {
	t.Helper()
	var e *platform.Error
	if !errors.As(err, &e) || e.Kind != platform.Failed || e.Hint == "" {
		t.Errorf("%.60s: %v", text, err)
		return
	}
	if !strings.Contains(e.Message, message) {
		t.Errorf("%.60s:\n got %q\nwant %q", text, e.Message, message)
	}
}

func TestParseLegacy(t *testing.T) {
	checks, err := ParseLegacy([]byte("# c\nWAIT=2\r\nTIMEOUT=9\nATTEMPTS=3\nOTHER=1\n\n/\n/up\tit works\n//example.com/x y\n"))
	if err != nil {
		t.Fatal(err)
	}
	base := platform.Check{Wait: 2 * time.Second, Timeout: 9 * time.Second, Attempts: 3}
	a, b, c := base, base, base
	a.Name, a.Path = "check-1", "/"
	b.Name, b.Path, b.Content = "check-2", "/up", "it works"
	c.Name, c.Path, c.Content, c.Headers = "check-3", "/x", "y", map[string]string{"Host": "example.com"}
	same(t, "checks", checks, []platform.Check{a, b, c})
	for text, message := range map[string]string{"WAIT=x": "CHECKS line 1: WAIT must be", "\nup": "CHECKS line 2: up is neither", "/a\rb": "CHECKS line 1: it has control"} {
		_, err := ParseLegacy([]byte(text))
		refused(t, text, err, message)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte(`{"healthchecks": {"web": [{"path": "/", "uptime": 1e99}]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		app, err := Parse(text)
		var e *platform.Error
		if err != nil && (!errors.As(err, &e) || !strings.HasPrefix(e.Message, "app.json ") || e.Hint == "") {
			t.Fatalf("error without place or hint: %v", err)
		}
		for process, checks := range app.Checks {
			for _, c := range checks {
				sound(t, process, c)
			}
		}
	})
}

func FuzzParseLegacy(f *testing.F) {
	f.Add([]byte("WAIT=2\n/ x\n//h/p c"))
	f.Fuzz(func(t *testing.T, text []byte) {
		checks, err := ParseLegacy(text)
		var e *platform.Error
		if err != nil && !errors.As(err, &e) {
			t.Fatal(err)
		}
		for _, c := range checks {
			sound(t, "web", c)
		}
	})
}

// sound fails unless exactly one strategy is set and the times make sense.
func sound(t *testing.T, process platform.ProcessType, c platform.Check) {
	t.Helper()
	set := 0
	for _, on := range []bool{c.Path != "", len(c.Command) > 0, c.Listening, c.Uptime > 0} {
		if on {
			set++
		}
	}
	if set != 1 || c.Attempts < 1 || c.Timeout < time.Second || c.Wait < 0 || c.InitialDelay < 0 {
		t.Fatalf("%s: %+v", process, c)
	}
}
