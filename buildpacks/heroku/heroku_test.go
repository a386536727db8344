package heroku

import (
	"strings"
	"testing"

	"paas/buildpacks/plan"
	"paas/platform"
)

func TestParse(t *testing.T) {
	const git = "https://git.example.org/acme/tool"
	cases := []struct {
		name, ours string
		spare      bool
		url, ref   string
	}{
		{name: "heroku/nodejs", ours: "nodejs"},
		{name: "python", ours: "python"},
		{name: "Heroku/Python", ours: "python"},
		{name: "https://github.com/heroku/heroku-buildpack-nodejs", ours: "nodejs"},
		{name: "https://github.com/heroku/heroku-buildpack-nodejs.git#v200", ours: "nodejs"},
		{name: "https://github.com/HashNuke/heroku-buildpack-elixir.git", ours: "elixir"},
		{name: "paketo-buildpacks/go@4.2", ours: "go"},
		{name: "docker://gcr.io/paketo-buildpacks/java:9", ours: "java"},
		{name: "urn:cnb:registry:heroku/ruby@2", ours: "ruby"},
		{name: "gcr.io/paketo-buildpacks/nodejs", ours: "nodejs"},
		{name: "heroku/buildpack-php", ours: "php"},
		{name: "heroku-community/static", ours: "static"},
		{name: "https://github.com/heroku/heroku-buildpack-apt", spare: true},
		{name: "heroku/procfile", spare: true},
		{name: git, url: git},
		{name: git + ".git#release/1.0", url: git + ".git", ref: "release/1.0"},
		{name: "git://git.example.org/tool#" + strings.Repeat("a", 40), url: "git://git.example.org/tool", ref: strings.Repeat("a", 40)},
		{name: "file:///srv/buildpacks/tool", url: "file:///srv/buildpacks/tool"},
		{name: "https://git.example.org/acme/heroku-buildpack-nodejs", url: "https://git.example.org/acme/heroku-buildpack-nodejs"},
		{name: "heroku-community/cli", url: "https://github.com/heroku/heroku-buildpack-cli"},
	}
	for _, c := range cases {
		b, err := Parse(c.name)
		if err != nil || b.Ours != c.ours || b.Spare != c.spare || b.Git.URL != c.url || b.Git.Ref != c.ref {
			t.Errorf("%s: %+v, %v", c.name, b, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for name, says := range map[string]string{
		"": "no buildpack", "nonsense": "no buildpack", "acme/tool": "no buildpack", "-x": "no buildpack", "heroku/..": "no buildpack",
		"ssh://git@host/x":            "SSH",
		"https://user:secret@host/x":  "password",
		"https://host/x.tgz":          "archive",
		"ext::sh -c id":               "no buildpack",
		"https://":                    "no buildpack",
		git("#--upload-pack=x"):       "no buildpack",
		git("#a..b"):                  "no buildpack",
		git("#" + "a b"):              "no buildpack",
		git(strings.Repeat("x", 600)): "no buildpack",
		"javascript:alert(1)":         "no buildpack",
		"ftp://host/x":                "no buildpack",
	} {
		if b, err := Parse(name); err == nil || !strings.Contains(err.Error(), says) || platform.KindOf(err) != platform.Usage {
			t.Errorf("%.60q: %+v, %v", name, b, err)
		}
	}
}

func git(rest string) string { return "https://git.example.org/acme/tool" + rest }

func TestParseRelease(t *testing.T) {
	r, err := ParseRelease("x", []byte("---\naddons:\n  - heroku-postgresql\nconfig_vars:\n  RACK_ENV: production\n  N: 3\n  \"A=B\": c\ndefault_process_types:\n  web: bin/web -p $PORT\n  worker: work\n"))
	if err != nil || r.Processes["web"] != "bin/web -p $PORT" || len(r.Processes) != 2 || r.Config["N"] != "3" || len(r.Config) != 2 || len(r.Addons) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := ParseRelease("x", nil); err != nil || len(r.Processes) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, text := range []string{"default_process_types: 3", "default_process_types:\n  \"../x\": y", "a: *b", "\x00"} {
		if _, err := ParseRelease("x", []byte(text)); platform.KindOf(err) != platform.Failed {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestDriverIsAShellProgram(t *testing.T) {
	text := Driver(3)
	if !strings.HasPrefix(text, "#!/bin/bash\nn=3\n") || strings.Contains(text, "%!") || !strings.Contains(text, "pack=${0%.sh}") {
		t.Error(text)
	}
}

func TestPlanIsItsOwnStep(t *testing.T) {
	p := Plan(plan.Buildpack{URL: git(""), Ref: "v1"})
	if s := p.Steps[1]; s.Buildpack != 1 || !s.Config || s.EnvDir == "" || s.Commands[0] != "/opt/buildpacks/1.sh # "+git("#v1") {
		t.Errorf("%+v", s)
	}
}
