package elixir

import (
	"errors"
	"strings"
	"testing"

	"paas/buildpacks/plan"
	"paas/buildpacks/source"
	"paas/buildpacks/treetest"
	"paas/platform"
)

func planned(t *testing.T, files map[string]string) (plan.Plan, error) {
	t.Helper()
	src, err := source.Open(treetest.Files(files))
	if err != nil {
		t.Fatal(err)
	}
	return Plan(src)
}

func mix(rest string) string {
	return "defmodule A do\n  def project, do: [app: :hello, version: \"1.0.0\"" + rest + "]\nend\n"
}

func TestVersions(t *testing.T) {
	cases := []struct {
		name, want, from string
		files            map[string]string
	}{
		{"nothing", "", "", map[string]string{"mix.exs": mix("")}},
		{"minor", ">=1.15", "mix.exs elixir", map[string]string{"mix.exs": mix(`, elixir: "~> 1.15"`)}},
		{"patch", "1.15", "mix.exs elixir", map[string]string{"mix.exs": mix(`, elixir: "~> 1.15.2"`)}},
		{"two", "", "", map[string]string{"mix.exs": mix(`, elixir: ">= 1.14.0 and < 1.17.0"`)}},
		{"file", "1.18.3", ".elixir-version", map[string]string{"mix.exs": mix(`, elixir: "~> 1.15"`), ".elixir-version": "v1.18.3-otp-27\n"}},
		{"buildpack", "1.18", buildpackConfig, map[string]string{"mix.exs": mix(""), buildpackConfig: "elixir_version=\"1.18\"\n"}},
		{"tools", "1.18.4", ".tool-versions", map[string]string{"mix.exs": mix(""), ".tool-versions": "elixir 1.18.4-otp-27\n"}},
	}
	for _, c := range cases {
		p, err := planned(t, c.files)
		if err != nil || p.Toolchains[0].Name != "elixir" || p.Toolchains[0].Version != c.want || p.Toolchains[0].From != c.from {
			t.Errorf("%s: %+v %v", c.name, p.Toolchains, err)
		}
	}
	p, err := planned(t, map[string]string{"mix.exs": mix(""), ".tool-versions": "erlang 27.1.2\nelixir 1.18\n"})
	if err != nil || p.Toolchains[0].Name != "erlang" || p.Toolchains[0].Version != "27" {
		t.Errorf("%+v %v", p.Toolchains, err)
	}
}

func TestRelease(t *testing.T) {
	for text, want := range map[string]string{
		mix(""): "_build/prod/rel/hello/bin/hello start",
		mix(", releases: [shop: [include_executables_for: [:unix]]]"):                    "_build/prod/rel/shop/bin/shop start",
		mix(", releases: releases()") + "defp releases do\n  [\n    two: []\n  ]\nend\n": "_build/prod/rel/two/bin/two start",
	} {
		if p, err := planned(t, map[string]string{"mix.exs": text}); err != nil || p.Processes[platform.Web] != want {
			t.Errorf("%s: %v %v", text, p.Processes, err)
		}
	}
}

func TestDependencies(t *testing.T) {
	names := func(p plan.Plan) (all string) {
		for _, s := range p.Steps {
			all += s.Name + " "
		}
		return all
	}
	const deps = ", deps: deps()"
	list := func(items string) string {
		return mix(deps) + "  defp deps do\n    [\n" + items + "\n    ]\n  end\n"
	}
	for _, c := range []struct {
		name, steps string
		hex         bool
		files       map[string]string
	}{
		{"none", "app source build ", false, map[string]string{"mix.exs": list("      # {:dep, \"~> 0.3\"}")}},
		{"hex", "dependencies app source build ", true, map[string]string{"mix.exs": list(`{:plug, "~> 1.0"}`)}},
		{"git", "dependencies app source build ", false, map[string]string{"mix.exs": list(`{:plug, git: "https://x/y"}`)}},
		{"path", "app source dependencies build ", false, map[string]string{"mix.exs": list(`{:inner, path: "inner"}`)}},
		{"umbrella", "dependencies app source build ", true, map[string]string{"mix.exs": mix(`, apps_path: "apps", releases: [all: []]`), "apps/a/mix.exs": list(`{:plug, "~> 1.0"}`)}},
	} {
		p, err := planned(t, c.files)
		if err != nil || names(p) != c.steps {
			t.Errorf("%s: %q %v", c.name, names(p), err)
			continue
		}
		hex := false
		for _, s := range p.Steps {
			hex = hex || strings.Contains(strings.Join(s.Commands, "\n"), "local.hex")
		}
		if hex != c.hex {
			t.Errorf("%s: Hex is fetched: %v", c.name, hex)
		}
	}
}

// Apps of before releases run mix in their Procfile: the image has it then.
func TestMixInProcfile(t *testing.T) {
	p, err := planned(t, map[string]string{"mix.exs": mix(""), "Procfile": "web: mix run --no-halt\n"})
	if err != nil || p.Toolchains[0].Build || len(p.Steps) != 2 || p.Steps[1].Output != nil || !p.Steps[0].Sees("lib/a.ex") {
		t.Errorf("%+v %v", p, err)
	}
}

func TestRefuses(t *testing.T) {
	for _, c := range []struct {
		message string
		files   map[string]string
	}{
		{"names no app", map[string]string{"mix.exs": "nonsense"}},
		{"is not a version", map[string]string{"mix.exs": mix(""), ".elixir-version": "main"}},
		{"leads out of the app", map[string]string{"mix.exs": "-> /etc/passwd"}},
	} {
		_, err := planned(t, c.files)
		var e *platform.Error
		if !errors.As(err, &e) || !strings.Contains(e.Message, c.message) {
			t.Errorf("want %q, got %v", c.message, err)
		}
	}
}
