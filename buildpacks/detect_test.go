package buildpacks_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"paas/buildpacks"
	"paas/buildpacks/plan"
	"paas/buildpacks/treetest"
	"paas/platform"
)

var update = flag.Bool("update", false, "write the golden plans of the example apps")

func detected(t *testing.T, files map[string]string) plan.Plan {
	t.Helper()
	p, err := buildpacks.Detect(t.Context(), treetest.Files(files))
	if err != nil {
		t.Fatalf("%v (hint %q)", err, hintOf(err))
	}
	return p
}

func hintOf(err error) string {
	var e *platform.Error
	if errors.As(err, &e) {
		return e.Hint
	}
	return ""
}

func TestGoldenPlans(t *testing.T) {
	apps, err := os.ReadDir("../examples")
	if err != nil {
		t.Fatal(err)
	}
	for _, app := range apps {
		if app.IsDir() {
			t.Run(app.Name(), func(t *testing.T) { comparePlan(t, app.Name()) })
		}
	}
}

func comparePlan(t *testing.T, app string) {
	p, err := buildpacks.Detect(t.Context(), treetest.Dir(t, filepath.Join("../examples", app)))
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	encoder := json.NewEncoder(&got)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(p); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata/golden", app+".json")
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("the plan changed; see the difference with: go test ./buildpacks -run Golden -update && git diff\n%s", got.Bytes())
	}
}

func TestDetectOrder(t *testing.T) {
	const (
		start = `{"scripts": {"start": "node x"}}`
		built = `{"devDependencies": {"vite": "5"}, "scripts": {"build": "vite build"}}`
		mod   = "module a\n"
		main  = "package main\nfunc main() {}\n"
	)
	cases := []struct {
		name, title, web string
		files            map[string]string
	}{
		{"node", "Node.js app detected (package.json)", "node x", map[string]string{"package.json": start}},
		{"python before node", "Python app detected (requirements.txt)", "python app.py", map[string]string{"package.json": start, "requirements.txt": "", "app.py": ""}},
		{"python before go", "Python app detected (requirements.txt)", "python app.py", map[string]string{"go.mod": mod, "main.go": main, "requirements.txt": "", "app.py": ""}},
		{"go before node", "Go app detected (go.mod)", "bin/a", map[string]string{"package.json": start, "go.mod": mod, "main.go": main}},
		{"node before a script", "Node.js app detected (package.json)", "node x", map[string]string{"package.json": start, "main.py": ""}},
		{"node before a page", "Node.js app detected (package.json)", "node x", map[string]string{"package.json": start, "index.html": ""}},
		{"python script", "Python app detected (main.py)", "python main.py", map[string]string{"main.py": "", "index.html": ""}},
		{"node script", "Node.js app detected (server.js)", "node server.js", map[string]string{"server.js": "", "index.html": ""}},
		{"page with scripts", "Static app detected (index.html)", "paas static --root .", map[string]string{"index.html": "", "app.js": "", "main.js": ""}},
		{"page with tools", "Static app detected (public/index.html)", "paas static --root public", map[string]string{"public/index.html": "", "package.json": `{"devDependencies": {"prettier": "3"}}`}},
		{"site to build", "Node.js app detected (package.json)", "paas static --root dist --fallback index.html", map[string]string{"index.html": "", "package.json": built, "package-lock.json": "{}"}},
		{"declared site to build", "Node.js app detected (package.json)", "paas static --root out", map[string]string{"static.json": `{"root": "out"}`, "package.json": built, "package-lock.json": "{}"}},
		{"procfile only", "Procfile app detected (Procfile)", "./run", map[string]string{"Procfile": "web: ./run", "run": ""}},
		{"procfile over language", "Node.js app detected (package.json)", "node y", map[string]string{"package.json": start, "Procfile": "web: node y"}},
		{"procfile over site", "Node.js app detected (package.json)", "npx serve dist", map[string]string{"package.json": built, "package-lock.json": "{}", "Procfile": "web: npx serve dist"}},
		{"ruby tools in a node app", "Node.js app detected (package.json)", "node x", map[string]string{"package.json": start, "Gemfile": ""}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := detected(t, c.files)
			if p.Title() != c.title || p.Processes[platform.Web] != c.web {
				t.Errorf("%q, web %q", p.Title(), p.Processes[platform.Web])
			}
		})
	}
}

func TestDetectBuiltSiteKeepsOnlyTheSite(t *testing.T) {
	p := detected(t, map[string]string{"index.html": "", "package-lock.json": "{}",
		"package.json": `{"engines": {"node": "22"}, "devDependencies": {"vite": "5"}, "scripts": {"build": "vite build"}}`})
	for _, tool := range p.Toolchains {
		if tool.Build == (tool.Name == "static") {
			t.Errorf("toolchain %+v", tool)
		}
	}
	last := p.Steps[len(p.Steps)-1]
	if !p.Steps[0].Build || !last.Keeps("dist/a.js") || last.Keeps("node_modules/.vite/x") {
		t.Errorf("steps %+v", p.Steps)
	}
}

func TestDetectMergesDeclarations(t *testing.T) {
	p := detected(t, map[string]string{
		"package.json": `{"scripts": {"start": "node x"}}`,
		"Procfile":     "worker: node w\nrelease: node m\n",
		"app.json": `{"formation": {"worker": {"quantity": 2}, "ghost": {"quantity": 1}}, "env": {"A": "1"},
			"healthchecks": {"worker": [{"uptime": 3}], "ghost": [{"uptime": 3}]}}`,
		"CHECKS": "/up it works\n",
	})
	want := map[platform.ProcessType]string{"web": "node x", "worker": "node w", "release": "node m"}
	if !maps.Equal(p.Processes, want) {
		t.Errorf("processes %v", p.Processes)
	}
	if p.Formation["worker"] != 2 || p.Declared["A"].Value != "1" || len(p.Checks["worker"]) != 1 || p.Checks["web"][0].Path != "/up" {
		t.Errorf("%+v", p)
	}
	warned := strings.Join(p.Warnings, "\n")
	for _, part := range []string{"formation.ghost", "healthchecks.ghost", "CHECKS is read"} {
		if !strings.Contains(warned, part) {
			t.Errorf("no warning about %s in\n%s", part, warned)
		}
	}
}

func TestDetectRefuses(t *testing.T) {
	cases := []struct {
		name, message, hint string
		files               map[string]string
	}{
		{"nothing", "no package.json, requirements.txt, go.mod, index.html or Procfile", "supported are", map[string]string{"README.md": ""}},
		{"empty", "the commit has no files", "git add", nil},
		{"one down", "no app was found", `"web/package.json"`, map[string]string{"web/package.json": "{}"}},
		{"other case", "no app was found", `"procfile"`, map[string]string{"procfile": "web: a"}},
		{"misspelt", "no app was found", "requirements.txt", map[string]string{"requirement.txt": "flask"}},
		{"directory for a file", "no app was found", "supported are", map[string]string{"package.json/x": "{}"}},
		{"go without a module", "there is a main.go, but no go.mod", "go mod init", map[string]string{"main.go": "package main"}},
		{"ruby", "looks like a Ruby app (Gemfile)", "supported are", map[string]string{"Gemfile": "", "Procfile": "web: rackup"}},
		{"rails", "looks like a Ruby app (Gemfile)", "supported are", map[string]string{"Gemfile": "", "package.json": `{"devDependencies": {"x": "1"}, "scripts": {"build": "x"}}`, "package-lock.json": "{}"}},
		{"php", "looks like a PHP app (composer.json)", "supported are", map[string]string{"composer.json": "{}", "index.html": ""}},
		{"java", "looks like a Java app (pom.xml)", "supported are", map[string]string{"pom.xml": ""}},
		{"rust", "looks like a Rust app (Cargo.toml)", "supported are", map[string]string{"Cargo.toml": ""}},
		{"no start", "nothing says how to start it", `"start"`, map[string]string{"package.json": "{}"}},
		{"python without a start", "nothing says how to start it", "Procfile", map[string]string{"requirements.txt": ""}},
		{"empty procfile", "the Procfile names no process type", "web:", map[string]string{"Procfile": "# soon\n"}},
		{"bad procfile", "Procfile line 1", "name: command", map[string]string{"Procfile": "nonsense", "package.json": `{"main": "x"}`}},
		{"bad app.json", "app.json line 1", "comma", map[string]string{"app.json": "{,}", "Procfile": "web: x"}},
		{"site that is not there", "which is not there", "commit", map[string]string{"static.json": `{"root": "gone"}`}},
		{"procfile out of the app", "Procfile leads out of the app", "symlink", map[string]string{"Procfile": "-> /etc/passwd"}},
		{"procfile in a circle", "Procfile is a symlink that leads in a circle", "itself", map[string]string{"Procfile": "-> Procfile"}},
		{"app.json out of the app", "app.json leads out of the app", "symlink", map[string]string{"app.json": "-> ../../x", "Procfile": "web: x"}},
		{"big procfile", "Procfile is larger than 64 KiB", "", map[string]string{"Procfile": strings.Repeat("# x\n", 1<<16)}},
		{"long command", "the command of the process type web", "script", map[string]string{"package.json": fmt.Sprintf(`{"scripts": {"start": %q}}`, strings.Repeat("x", 70<<10))}},
		{"NUL in a command", "NUL byte", "script", map[string]string{"package.json": `{"scripts": {"start": "a\u0000b"}}`}},
		{"NUL in a name", "npm_package_name", "NUL", map[string]string{"package.json": `{"name": "a\u0000b", "scripts": {"start": "a"}}`}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := buildpacks.Detect(t.Context(), treetest.Files(c.files))
			var e *platform.Error
			if !errors.As(err, &e) || e.Kind != platform.Failed || !strings.Contains(e.Message, c.message) || !strings.Contains(e.Hint, c.hint) {
				t.Errorf("want %q (%q), got %v (%q)", c.message, c.hint, err, hintOf(err))
			}
		})
	}
}

func TestDetectHostileTrees(t *testing.T) {
	tree := treetest.Files(map[string]string{"Procfile": "-> conf/procfile", "conf/procfile": "web: ./--help", "--help": "#!/bin/sh\n", "-rf": "",
		"\xff\xfe\x01": "odd", "a\nb": "", strings.Repeat("d/", 500) + "deep": "", "conf/loop": "-> ../conf", "abs": "-> /etc/passwd"})
	tree.Add("sub", platform.Submodule, nil)
	p, err := buildpacks.Detect(t.Context(), tree)
	if err != nil || p.Processes[platform.Web] != "./--help" {
		t.Errorf("%+v, %v", p, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := buildpacks.Detect(ctx, tree); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestDetectIsDeterministic(t *testing.T) {
	tree := treetest.Dir(t, "../examples/node")
	first, err := buildpacks.Detect(t.Context(), tree)
	if err != nil {
		t.Fatal(err)
	}
	want, err := json.Marshal(first)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		again, err := buildpacks.Detect(t.Context(), tree)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := json.Marshal(again); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%s\n%s\n%v", want, got, err)
		}
	}
}

// Detection is on the way of every push.
func BenchmarkDetectTwoThousandFiles(b *testing.B) {
	tree := treetest.Dir(b, "../examples/node")
	for i := range 2000 {
		tree.AddLast(fmt.Sprintf("zz/%04d.txt", i), platform.Regular, []byte("x"))
	}
	for b.Loop() {
		if _, err := buildpacks.Detect(b.Context(), tree); err != nil {
			b.Fatal(err)
		}
	}
}
