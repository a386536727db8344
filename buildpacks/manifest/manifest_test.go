package manifest

import (
	"errors"
	"fmt"
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
      {"type": "liveness", "path": "/", "scheme": "HTTPS", "warn": true, "onFailure": {"command": ["cat", "why"], "url": "http://x"}}
    ],
    "worker": [{"uptime": 10}, {"command": ["test", "-f", "ready"]}]
  },
  "scripts": {"dokku": {"predeploy": "./collect", "postdeploy": "./warm"}, "postdeploy": "./seed"},
  "cron": [
    {"command": "./report", "schedule": "0  3 * * 1-5"}, {"command": "./report", "schedule": "0 3 * * 1-5"},
    {"command": "sweep", "schedule": "@every 90s", "concurrency_policy": "Forbid", "suspend": true},
    {"command": "sync", "schedule": "@daily", "concurrency_policy": "replace", "maintenance": true}
  ],
  "addons": ["heroku-postgresql"]
}`

func TestParse(t *testing.T) {
	app, err := Parse([]byte(full))
	if err != nil {
		t.Fatal(err)
	}
	second := time.Second
	plain := platform.Check{Attempts: 3, Timeout: 5 * second, Wait: 5 * second, Default: []string{"attempts", "timeout", "wait"}}
	with := func(change func(*platform.Check)) platform.Check { c := plain; change(&c); return c }
	checks := map[platform.ProcessType][]platform.Check{
		"web": {
			{Name: "home", Path: "/up", Content: "ok", Port: 8080, Headers: map[string]string{"X-Check": "yes"},
				Attempts: 7, Timeout: 2 * second, Wait: second, InitialDelay: 4 * second},
			with(func(c *platform.Check) { c.Name, c.Path = "web-2", "/" }),
			with(func(c *platform.Check) { c.Name, c.Listening = "web-3", true }),
			with(func(c *platform.Check) {
				c.Type, c.Name, c.Path = platform.Liveness, "web-4", "/"
				c.Scheme, c.Warn, c.OnFailure = "https", true, []string{"cat", "why"}
			}),
		},
		"worker": {
			with(func(c *platform.Check) { c.Name, c.Uptime = "worker-1", 10*second }),
			with(func(c *platform.Check) { c.Name, c.Command = "worker-2", []string{"test", "-f", "ready"} }),
		},
	}
	same(t, "checks", app.Checks, checks)
	same(t, "formation", app.Formation, map[platform.ProcessType]int{"web": 2, "worker": 0})
	same(t, "env", app.Env, map[string]platform.EnvVar{
		"PLAIN": {Value: "1", Required: true}, "LONG": {Value: "2", Required: true, Description: "d"}, "NEEDED": {Required: true, Description: "d"},
		"MAYBE": {}, "SECRET": {Generator: "secret", Required: true},
	})
	same(t, "parallel", app.Parallel, map[platform.ProcessType]int{"other": 1})
	same(t, "scripts", app.Scripts, platform.Scripts{Predeploy: "./collect", Postdeploy: "./warm", First: "./seed"})
	report := platform.CronID("0 3 * * 1-5", "./report")
	same(t, "cron", app.Cron, []platform.CronJob{
		{ID: report, Command: "./report", Schedule: "0 3 * * 1-5"}, {ID: report + "-2", Command: "./report", Schedule: "0 3 * * 1-5"},
		{ID: platform.CronID("@every 90s", "sweep"), Command: "sweep", Schedule: "@every 90s", Concurrency: platform.CronForbid, Suspended: true},
		{ID: platform.CronID("@daily", "sync"), Command: "sync", Schedule: "@daily", Concurrency: platform.CronReplace, Suspended: true},
	})
	same(t, "warnings", app.Warnings, []string{"app.json addons are not made by a push: create them, and link them to the app."})
	same(t, "notes", app.Notes, []string{
		"app.json healthchecks.web[3].onFailure.url is not called: follow the app's events instead.",
		"app.json unknown is not known, and has no effect.",
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
		`{"healthchecks": {"web": [{"listening": false, "path": "/"}]}}`, `{"cron": null, "scripts": {"postdeploy": {"command": "true"}}}`} {
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
		{`{"scripts": 5}`, "app.json scripts: it must be an object"},
		{`{"scripts": {"dokku": {"predeploy": ["true"]}}}`, "app.json scripts.dokku.predeploy: it must be text"},
		{`{"cron": {"command": "x"}}`, "app.json cron: it must be a list"},
		{`{"cron": [{"schedule": "@daily"}]}`, "app.json cron[0].command: it is missing"},
		{`{"cron": [{"command": "x"}]}`, `app.json cron[0].schedule: "" is not a schedule`},
		{`{"cron": [{"command": "x", "schedule": "0 3 * *"}]}`, `app.json cron[0].schedule: "0 3 * *" is not a schedule`},
		{`{"cron": [{"command": "x", "schedule": "61 3 * * *"}]}`, `app.json cron[0].schedule: "61 3 * * *" is not a schedule`},
		{`{"cron": [{"command": "x", "schedule": "TZ=0"}]}`, "app.json cron[0].schedule: a time zone"},
		{`{"cron": [{"command": "x", "schedule": "@daily", "concurrency_policy": "never"}]}`, `app.json cron[0].concurrency_policy: "never" is not one`},
		{`{"cron": [{"command": "x", "schedule": "@daily", "suspend": "yes"}]}`, "app.json cron[0].suspend: it must be true or false"},
		{`{"healthchecks": {"web": [{"scheme": "gopher"}]}}`, `app.json healthchecks.web[0].scheme: "gopher" is not spoken`},
		{`{"healthchecks": {"web": [{"warn": 1}]}}`, "app.json healthchecks.web[0].warn: it must be true or false"},
		{`{"healthchecks": {"web": [{"onFailure": {"command": []}}]}}`, "app.json healthchecks.web[0].onFailure.command: it is empty"},
		{`{"healthchecks": {"web": [` + strings.Repeat("{}, ", 32) + `{}]}}`, "app.json healthchecks.web: 33 checks are more than 32"},
		{`{"formation": {"web": {"max_parallel": -2}}}`, "app.json formation.web.max_parallel: it must be a whole number from -1"},
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

// What a file says and nobody acts upon is named, also what was mistyped, and not without end.
func TestParseNotesWhatItDoesNotKnow(t *testing.T) {
	app, err := Parse([]byte(`{"healthcheck": {}, "name": "x", "env": {"A": {"valeu": "1"}}, "formation": {"release": {"quantity": 1}}, "environments": {"test": {}}}`))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "notes", app.Notes, []string{
		"app.json formation.release has no effect: the release command runs once, before anything starts.",
		"app.json env.A.valeu is not known, and has no effect (did you mean value?).",
		"app.json healthcheck is not known, and has no effect (did you mean healthchecks?).",
		"app.json environments has no effect.",
	})
	same(t, "formation", app.Formation, map[platform.ProcessType]int{})
	var many strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&many, `"key%d": 1, `, i)
	}
	if app, err = Parse([]byte("{" + many.String() + `"last": 1}`)); err != nil || len(app.Notes) != maxNotes {
		t.Fatalf("%d notes, %v", len(app.Notes), err)
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
		for _, job := range app.Cron {
			if job.ID == "" || job.Command == "" || job.Schedule == "" {
				t.Fatalf("%+v", job)
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
