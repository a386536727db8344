package golang

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"paas/buildpacks/plan"
	"paas/buildpacks/treetest"
	"paas/platform"
)

const (
	mainGo = "package main\n\nfunc main() {}\n"
	modGo  = "module example.com/hello\n\ngo 1.24\n"
)

func planned(t *testing.T, files map[string]string) plan.Plan {
	t.Helper()
	return treetest.Planned(t, Plan, files)
}

func find(t *testing.T, p plan.Plan, name string) plan.Step {
	t.Helper()
	for _, s := range p.Steps {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no step %q in %+v", name, p.Steps)
	return plan.Step{}
}

func names(p plan.Plan) string {
	var all []string
	for _, s := range p.Steps {
		all = append(all, s.Name)
	}
	return strings.Join(all, ", ")
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestVersion(t *testing.T) {
	cases := []struct{ mod, version, from string }{
		{"module a\n", "", ""},
		{"module a\ngo 1.24\n", "1.24", "go.mod go"},
		{"module a\ngo 1.24.0\ntoolchain go1.24.3\n", "1.24.3", "go.mod toolchain"},
		{"module a\ngo 1.24.0\ntoolchain default\n", "1.24.0", "go.mod go"},
	}
	for _, c := range cases {
		p := planned(t, map[string]string{"go.mod": c.mod, "main.go": mainGo})
		equal(t, c.mod, p.Toolchains, []plan.Toolchain{{Name: "go", Version: c.version, From: c.from, Build: true}})
	}
	p := planned(t, map[string]string{"go.work": "go 1.25\nuse ./a\n", "a/go.mod": modGo, "a/main.go": mainGo})
	equal(t, "go.work", p.Toolchains[0].Version, "1.25")
}

func TestTargets(t *testing.T) {
	cases := []struct {
		name     string
		files    map[string]string
		packages string
		web      string
	}{
		{"root", map[string]string{"go.mod": modGo, "main.go": mainGo, "cmd/x/main.go": mainGo}, ".", "bin/hello"},
		{"major version", map[string]string{"go.mod": "module example.com/hello/v2\n", "main.go": mainGo}, ".", "bin/hello"},
		{"one command", map[string]string{"go.mod": modGo, "hello.go": "package hello", "cmd/serve/main.go": mainGo}, "./cmd/serve", "bin/serve"},
		{"commands", map[string]string{"go.mod": modGo, "cmd/hello/main.go": mainGo, "cmd/tool/main.go": mainGo, "cmd/lib/l.go": "package lib"}, "./cmd/hello ./cmd/tool", "bin/hello"},
		{"commands, none called so", map[string]string{"go.mod": modGo, "cmd/a/main.go": mainGo, "cmd/b/main.go": mainGo}, "./cmd/a ./cmd/b", ""},
		{"commands, one called server", map[string]string{"go.mod": modGo, "cmd/migrate/main.go": mainGo, "cmd/server/main.go": mainGo}, "./cmd/migrate ./cmd/server", "bin/server"},
		{"ignored root", map[string]string{"go.mod": modGo, "gen.go": "//go:build ignore\n\npackage main", "cmd/a/main.go": mainGo}, "./cmd/a", "bin/a"},
		{"other system", map[string]string{"go.mod": modGo, "main_windows.go": mainGo, "cmd/a/main.go": mainGo}, "./cmd/a", "bin/a"},
		{"only a test", map[string]string{"go.mod": modGo, "main_test.go": mainGo, "srv/main.go": mainGo}, "./srv", "bin/srv"},
		{"anywhere", map[string]string{"go.mod": modGo, "srv/x/main.go": mainGo, "testdata/main.go": mainGo, "_x/main.go": mainGo, ".x/main.go": mainGo, "vendor/y/main.go": mainGo}, "./srv/x", "bin/x"},
		{"nested module", map[string]string{"go.mod": modGo, "main.go": mainGo, "tools/go.mod": "module tools", "tools/main.go": mainGo}, ".", "bin/hello"},
		{"heroku install", map[string]string{"go.mod": modGo + "\n// +heroku install ./cmd/... ./x\n", "main.go": mainGo, "cmd/a/main.go": mainGo, "x/main.go": mainGo}, "./cmd/... ./x", ""},
		{"heroku install one", map[string]string{"go.mod": "// +heroku install ./cmd/a\n" + modGo, "cmd/a/main.go": mainGo, "cmd/b/main.go": mainGo}, "./cmd/a", "bin/a"},
		{"hostile install", map[string]string{"go.mod": "// +heroku install ;rm$IFS-rf -o\n" + modGo, "main.go": mainGo}, ".", "bin/hello"},
		{"workspace", map[string]string{"go.work": "go 1.24\nuse (\n./api\n./worker\n)\n", "api/go.mod": "module x/api\n", "api/main.go": mainGo, "worker/go.mod": "module x/worker\n", "worker/main.go": mainGo}, "./api ./worker", "bin/api"},
		{"imports with C", map[string]string{"go.mod": modGo, "main.go": "package main\nimport \"C\"\nfunc main() {}"}, ".", "bin/hello"},
	}
	for _, c := range cases {
		p := planned(t, c.files)
		commands := find(t, p, "build").Commands
		want := "go build -trimpath -ldflags='-s -w' -o bin/ ${GO_INSTALL_PACKAGE_SPEC:-" + c.packages + "}"
		equal(t, c.name, commands[len(commands)-1], want)
		equal(t, c.name+" web", p.Processes[platform.Web], c.web)
	}
}

func TestImageHasNoSource(t *testing.T) {
	p := planned(t, map[string]string{
		"go.mod": modGo + "require a.b/c v1.0.0\nreplace x.y/z => ./local/z\n", "go.sum": "", "main.go": mainGo,
		"local/z/go.mod": "module x.y/z", "local/z/z.go": "package z", "page.html": "", "vendor/lib.js": "",
	})
	equal(t, "steps", names(p), "dependencies, app, source, build")
	equal(t, "dependencies", find(t, p, "dependencies").Files, []string{"go.mod", "go.sum", "local/z/go.mod"})
	app, code := find(t, p, "app"), find(t, p, "source")
	for path, compiled := range map[string]bool{"main.go": true, "go.mod": true, "go.sum": true, "local/z/z.go": true, "local/z/go.mod": true, "page.html": false, "vendor/lib.js": false} {
		if app.Sees(path) == compiled || code.Sees(path) != compiled {
			t.Errorf("%s: in the app %v, in the source %v", path, app.Sees(path), code.Sees(path))
		}
	}
	for _, s := range p.Steps {
		if inImage := s.Name == "app" || s.Name == "build"; s.Build == inImage {
			t.Errorf("step %s: build %v", s.Name, s.Build)
		}
	}
	if b := find(t, p, "build"); !b.Keeps("bin/hello") || b.Keeps(".go/pkg/mod/cache/lock") || !b.Config {
		t.Errorf("build step: %+v", b)
	}
}

func TestDependencies(t *testing.T) {
	p := planned(t, map[string]string{"go.mod": modGo, "main.go": mainGo})
	equal(t, "without any", names(p), "app, source, build")
	p = planned(t, map[string]string{"go.mod": modGo + "require a.b/c v1.0.0\n", "main.go": mainGo, "vendor/modules.txt": "# a.b/c v1.0.0\n", "vendor/a.b/c/c.go": "package c"})
	equal(t, "vendored", names(p), "app, source, build")
	if !find(t, p, "source").Sees("vendor/a.b/c/asset.txt") || find(t, p, "app").Sees("vendor/modules.txt") {
		t.Error("vendored modules are source")
	}
}

func TestCgo(t *testing.T) {
	cases := []struct {
		name  string
		files map[string]string
		want  bool
	}{
		{"pure", map[string]string{}, false},
		{"import C", map[string]string{"db/db.go": "package db\n\n// #include <stdio.h>\nimport \"C\"\n"}, true},
		{"import C in a test", map[string]string{"db/db_test.go": "package db\nimport \"C\"\n"}, false},
		{"import C for windows", map[string]string{"db/db_windows.go": "package db\nimport \"C\"\n"}, false},
		{"sqlite", map[string]string{"go.sum": "github.com/mattn/go-sqlite3 v1.14.22 h1:x=\ngithub.com/mattn/go-sqlite3 v1.14.22/go.mod h1:y=\n"}, true},
		{"sqlite's go.mod only", map[string]string{"go.sum": "github.com/mattn/go-sqlite3 v1.14.22/go.mod h1:y=\n"}, false},
		{"sqlite vendored", map[string]string{"vendor/modules.txt": "# github.com/mattn/go-sqlite3 v1.14.22\n## explicit\n"}, true},
	}
	for _, c := range cases {
		c.files["go.mod"], c.files["main.go"] = modGo, mainGo
		s := find(t, planned(t, c.files), "build")
		if s.Tools != c.want || (s.Env["CGO_ENABLED"] == "1") != c.want {
			t.Errorf("%s: tools %v, CGO_ENABLED %s", c.name, s.Tools, s.Env["CGO_ENABLED"])
		}
	}
}

func TestHooks(t *testing.T) {
	s := find(t, planned(t, map[string]string{"go.mod": modGo, "main.go": mainGo, "bin/go-pre-compile": "", "bin/go-post-compile": ""}), "build")
	if len(s.Commands) != 3 || s.Commands[0] != "bash bin/go-pre-compile" || s.Commands[2] != "bash bin/go-post-compile" || s.Output != nil {
		t.Errorf("%+v", s)
	}
}

func TestAssets(t *testing.T) {
	p := planned(t, map[string]string{
		"go.mod": modGo, "main.go": mainGo, "package-lock.json": "{}",
		"package.json": `{"engines": {"node": "22"}, "devDependencies": {"esbuild": "1"}, "scripts": {"build": "esbuild x"}}`,
	})
	equal(t, "steps", names(p), "asset dependencies, app, assets, source, build")
	equal(t, "toolchains", len(p.Toolchains), 3)
}

func TestRefuses(t *testing.T) {
	cases := []struct {
		files         map[string]string
		message, hint string
	}{
		{map[string]string{"go.mod": "nonsense here\n", "main.go": mainGo}, "go.mod cannot be read", "go mod verify"},
		{map[string]string{"go.mod": modGo, "a.go": "package a"}, "no package main", "cmd/NAME"},
		{map[string]string{"go.mod": modGo, "a/m.go": mainGo, "b/m.go": mainGo}, "there are 2 programs and none is in the root or below cmd: a, b", "+heroku install ./a"},
		{map[string]string{"go.mod": modGo + "replace a.b/c => ../c\n", "main.go": mainGo}, "go.mod points to ../c, which is outside", "go mod vendor"},
		{map[string]string{"go.mod": modGo + "replace a.b/c => ./c\n", "main.go": mainGo}, "c/go.mod is missing", "commit it"},
		{map[string]string{"go.work": "go 1.24\nuse ./gone\n"}, "gone/go.mod is missing", "commit it"},
		{map[string]string{"go.mod": modGo, "main.go": "-> /etc/hostname"}, "main.go leads out of the app", "symlink"},
		{map[string]string{"go.mod": strings.Repeat("x", 5<<20)}, "go.mod is larger than 4 MiB", ""},
	}
	for _, c := range cases {
		_, err := Plan(treetest.Opened(t, c.files))
		var e *platform.Error
		if !errors.As(err, &e) || e.Kind != platform.Failed || !strings.Contains(e.Message, c.message) || !strings.Contains(e.Hint, c.hint) {
			t.Errorf("want %q (%q), got %v", c.message, c.hint, err)
		}
	}
}

func TestVersionFiles(t *testing.T) {
	cases := []struct {
		version, from string
		files         map[string]string
	}{
		{"1.23.4", "go.mod +heroku goVersion", map[string]string{"go.mod": "// +heroku goVersion go1.23.4\n" + modGo}},
		{"1.24", "go.mod go", map[string]string{"go.mod": modGo, ".go-version": "1.22\n"}},
		{"1.22", ".go-version", map[string]string{"go.mod": "module a\n", ".go-version": "1.22\n"}},
		{"1.21.3", ".tool-versions", map[string]string{"go.mod": "module a\n", ".tool-versions": "golang 1.21.3\n"}},
	}
	for _, c := range cases {
		c.files["main.go"] = mainGo
		p := planned(t, c.files)
		equal(t, c.from, [2]string{p.Toolchains[0].Version, p.Toolchains[0].From}, [2]string{c.version, c.from})
	}
}

// A program without a module is one file that somebody tries out: the build makes the module.
func TestWithoutModule(t *testing.T) {
	p := planned(t, map[string]string{"main.go": mainGo})
	equal(t, "steps", names(p), "app, source, build")
	equal(t, "first command", find(t, p, "build").Commands[0], "go mod init app && go mod tidy")
	equal(t, "web", p.Processes[platform.Web], "bin/app")
	if len(p.Warnings) != 1 || !strings.Contains(p.Warnings[0], "go mod init") {
		t.Errorf("warnings %q", p.Warnings)
	}
}
