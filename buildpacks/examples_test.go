package buildpacks

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"paas/buildpacks/plan"
	"paas/buildpacks/treetest"
	"paas/platform"
	"paas/runtime"
	"paas/runtime/network"
)

// TestMain serves as a builder that is killed, too.
func TestMain(m *testing.M) {
	if dir := os.Getenv(crasher); dir != "" {
		fmt.Fprintln(os.Stderr, crash(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// contain gives the bench the product's own runtime, with its network, users and limits.
func (b *bench) contain() {
	b.t.Helper()
	id := fmt.Sprintf("e%04x", rand.N(1<<16))
	net, err := network.Open(network.Options{ID: id, Dir: b.dir})
	check(b.t, err)
	b.t.Cleanup(func() { check(b.t, net.Destroy()) })
	init := filepath.Join(b.dir, "paas-init")
	if out, err := exec.Command("sh", "../cmd/paas-init/build.sh", init).CombinedOutput(); err != nil {
		b.t.Fatalf("build paas-init: %v\n%s", err, out)
	}
	r, err := runtime.Open(b.t.Context(), runtime.Options{
		Init: init, Dir: filepath.Join(b.dir, "runtime"), Images: b.Images, Network: net, ID: id, Log: slog.New(slog.NewTextHandler(b.t.Output(), nil)),
	})
	check(b.t, err)
	b.t.Cleanup(func() { check(b.t, r.Destroy()) })
	b.steps.Executor = r
}

// Every example is built by the real runtime from real registries, and its image does what it is for.
func TestExamples(t *testing.T) {
	for _, c := range []struct {
		name, toolchains, look, want string
		layers                       int
	}{
		{"node", "node", `node -e "require('ws'); console.log(process.env.NODE_ENV)"`, "production", 4},
		{"node-build", "node", "test -s dist/index.html && echo built", "built", 5},
		{"go", "go", "ls bin; ls -d /opt/go .go *.go 2>/dev/null; true", "", 3},
		{"python", "python", "python -c 'import greeting, sys; print(sys.prefix)'", "/app/.venv", 4},
		{"python-uv", "python", "test -x .venv/bin/shop && cd / && python -c 'import shop.web, greeting; print(greeting.greet(1))'", "hello from 1", 4},
		{"django", "python tools +python3-django,gunicorn,python3-whitenoise", "ls staticfiles/blog/*.css | wc -l; gunicorn --version | cut -c1-8", "2\ngunicorn", 5},
		{"ruby", "ruby ruby-dev tools +puma", `cat public/app.css && bundle exec ruby -e 'require "greeting"; puts Greeting.greet(RUBY_ENGINE)' && bundle list | grep -c minitest; true`, "body { color: #333 }\nhello, ruby!\n0", 5},
		{"php", "php composer", `cat public/built.txt && php -r 'require "vendor/autoload.php"; echo Greeting\Greeting::to(PHP_SAPI), "\n";' && which composer; true`, "built with php 8\nhello from cli", 6},
		{"perl", "cpan tools +perl,starman", `perl -MGreeting -MPlack -e 'print Greeting::to($0)' && which cpanm; true`, "hello from -e", 4},
		{"static", "static", "test -x /usr/local/bin/paas && cat $(find . -name index.html) | head -c 9", "<!doctype", 3},
		{"procfile", "", "test -x server.pl && echo there", "there", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, strings.Fields(c.toolchains)...)
			b.contain()
			b.Detect = Detect
			buildExample(t, b, c.name, c.look, c.want)
		})
	}
}

func buildExample(t *testing.T, b *bench, name, look, want string) {
	src := treetest.Dir(t, filepath.Join("..", "examples", name))
	one, two := b.app(), b.app()
	first, told := b.mustBuild(one, src)
	t.Logf("%s\n%v", told, first.Layers)
	if got := b.run(one, first, look); !strings.HasPrefix(strings.ToLower(got), want) {
		t.Errorf("`%s` says %q", look, got)
	}
	ran := b.steps.ran.Load()
	second, told := b.mustBuild(two, src)
	if b.steps.ran.Load() != ran || second.ID != first.ID {
		t.Errorf("another app with the same source runs %d steps and gets %s after %s\n%s", b.steps.ran.Load()-ran, second.ID, first.ID, told)
	}
}

// Extensions in C are compiled by the build stack, which the image does not have.
func TestPythonExtensionIsCompiled(t *testing.T) {
	b := newBench(t, "python", "tools")
	b.contain()
	b.plans(plan.Plan{
		Builder: plan.Python, Toolchains: []plan.Toolchain{{Name: "python"}}, Steps: []plan.Step{
			{Name: "app", Files: []string{"/"}},
			{Name: "build", Tools: true, Commands: []string{
				"gcc -shared -fPIC $(python3-config --includes) hi.c -o hi$(python3-config --extension-suffix)",
			}},
		}})
	app := b.app()
	img, _ := b.mustBuild(app, files("hi.c", `#include <Python.h>
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "hi"};
PyMODINIT_FUNC PyInit_hi(void) { PyObject *m = PyModule_Create(&def); PyModule_AddIntConstant(m, "x", 42); return m; }
`))
	if got := b.run(app, img, "python -c 'import hi; print(hi.x)'; which gcc; true"); got != "42" {
		t.Errorf("got %q", got)
	}
}

// Packages of the running app are in the image, and a process of it can use them.
func TestDebianPackages(t *testing.T) {
	b := newBench(t)
	b.contain()
	p := onlySource()
	p.Packages = []string{"jq"}
	b.plans(p)
	app := b.app()
	img, told := b.mustBuild(app, files("a.json", `{"a": 1}`))
	if got := b.run(app, img, "set +e; jq .a a.json; ls /var/lib/apt/lists /var/cache/apt | grep -c -e Packages -e bin; true"); got != "1\n0" || !strings.Contains(told, "Installing Debian packages") {
		t.Errorf("got %q\n%s", got, told)
	}
	p.Packages = []string{"no-such-package-at-all"}
	b.plans(p)
	_, told, err := b.build(t.Context(), app, files("a", "a"))
	if platform.KindOf(err) != platform.Failed || !strings.Contains(told, "Unable to locate package no-such-package-at-all") {
		t.Errorf("%v\n%s", err, told)
	}
}

func TestOutOfMemory(t *testing.T) {
	b := newBench(t)
	b.contain()
	b.Limits = platform.Limits{Memory: 64 << 20, Processes: 64}
	b.plans(commands("head -c 200M /dev/zero | tail"))
	_, told, err := b.build(t.Context(), b.app(), files("a", "a"))
	if platform.KindOf(err) != platform.Failed || !strings.Contains(err.Error(), "was killed: it used 64 MiB of its 64 MiB memory limit") {
		t.Errorf("%v\n%s", err, told)
	}
	b.plans(commands("(head -c 200M /dev/zero | tail) || true; echo survived"))
	_, told, err = b.build(t.Context(), b.app(), files("a", "a"))
	if err != nil || !strings.Contains(told, "survived") || !strings.Contains(told, " !     A process of this step was killed: out of memory (limit 64 MiB).") {
		t.Errorf("%v\n%s", err, told)
	}
}

// A cache outlives the step and the build, belongs to the app alone, and is no part of a layer.
func TestCaches(t *testing.T) {
	b := newBench(t)
	b.contain()
	withCache := func(command string) plan.Plan {
		p := commands(command)
		p.Steps[1].Caches = []plan.Cache{{ID: "../../npm", Dir: "/cache/npm"}}
		return p
	}
	one, two := b.app(), b.app()
	b.plans(withCache("echo 1 > /cache/npm/kept"))
	img, _ := b.mustBuild(one, files("a", "1"))
	if got := b.run(one, img, "find /cache 2>/dev/null; true"); got != "" {
		t.Errorf("the image has %q", got)
	}
	b.plans(withCache("cat /cache/npm/kept"))
	if _, told := b.mustBuild(one, files("a", "2")); !strings.Contains(told, "       1\n") {
		t.Errorf("the cache is lost:\n%s", told)
	}
	if _, told, err := b.build(t.Context(), two, files("a", "3")); err == nil {
		t.Errorf("another app sees the cache:\n%s", told)
	}
	if _, err := os.Stat(filepath.Join(b.cacheDir(one.ID), "npm", "kept")); err != nil {
		t.Error(err)
	}
	check(t, b.Retain([]int64{two.ID}))
	if _, err := os.Stat(b.cacheDir(one.ID)); !os.IsNotExist(err) {
		t.Errorf("the cache of an app that is gone is there: %v", err)
	}
}
