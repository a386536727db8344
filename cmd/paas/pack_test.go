package main

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var withLifecycle = flag.Bool("lifecycle", false, "compile the lifecycle of Cloud Native Buildpacks, which takes minutes, and build an app with it")

// lifecycleModule is the lifecycle's module, which is compiled with the sums of its own go.sum.
const lifecycleModule = "github.com/buildpacks/lifecycle@v0.20.11"

// compileLifecycle puts the lifecycle's two programs into dir.
func compileLifecycle(t *testing.T, dir string) {
	t.Helper()
	source := t.TempDir()
	script := `set -e
at=$(cd "$1" && go mod download -json "$2" | sed -n 's/.*"Dir": "\(.*\)",/\1/p')
cp -r "$at/." "$1" && chmod -R u+w "$1" && cd "$1" && mkdir -p "$3"
go build -trimpath -ldflags '-s -w' -o "$3/lifecycle" ./cmd/lifecycle
go build -trimpath -ldflags '-s -w' -o "$3/launcher" ./cmd/launcher
ln -s lifecycle "$3/creator"`
	build := exec.Command("sh", "-c", script, "sh", source, lifecycleModule, dir)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-modcacherw")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("compile the lifecycle: %v\n%s", err, out)
	}
}

// An app is built by a builder image of Cloud Native Buildpacks: the real lifecycle, a buildpack of the test's own, both
// in an image that the platform itself has built and keeps. It answers; what its buildpack cached is there the next
// time; the same again costs nothing; config vars are in no layer.
func TestBuilderImage(t *testing.T) {
	if !*withLifecycle {
		t.Skip("needs -lifecycle: make test-lifecycle")
	}
	p := newPlainPlatform(t)
	work := t.TempDir()
	if err := os.CopyFS(work, os.DirFS("testdata/builderimage")); err != nil {
		t.Fatal(err)
	}
	compileLifecycle(t, filepath.Join(work, "builder/cnb/lifecycle"))
	if err := os.CopyFS(filepath.Join(work, "page"), os.DirFS("testdata/apps/hello")); err != nil {
		t.Fatal(err)
	}
	sh := func(script string) string {
		t.Helper()
		cmd := exec.Command("sh", "-ec", script)
		cmd.Dir = work
		for name, value := range p.environ() {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
		out, err := cmd.CombinedOutput()
		t.Logf("%s\n%s", script, out)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	tell := func(text, want string) {
		t.Helper()
		if !strings.Contains(text, want) {
			t.Errorf("nothing says %q", want)
		}
	}
	sh(`chmod +x builder/cnb/buildpacks/*/*/bin/*; for app in builder page; do (cd $app; git init -q -b main; git add -A; git commit -qm first; git remote add paas paas:$app); done
cd page && git rm -q Procfile && git commit -qm "no Procfile"`)
	sh(`cd builder && git push -q paas main`)
	sh(`ssh paas apps:create page; ssh paas config:set page TOKEN=canary-of-the-builder-image`)
	told := sh(`cd page && git push paas main`)
	for _, want := range []string{"Building with builder:v1", "27 bytes of TOKEN", "run 1 of the cache", "page v1 is live"} {
		tell(told, want)
	}
	if strings.Contains(told, "canary-of") {
		t.Error("the secret is told")
	}
	tell(sh(`curl -sS -H 'Host: page.example.test' http://127.0.0.1:$HTTP_PORT/`), "Hello")
	tell(sh(`ssh paas run page 'echo "made by $MADE_BY in $PWD"; cat page.txt'`), "made by test/page in /workspace")
	tell(sh(`ssh paas ps:rebuild page`), "Using the same files as before")
	told = sh(`cd page && echo more >> page.txt && git commit -qam more && git push paas main`)
	tell(told, "run 2 of the cache")
	tell(sh(`ssh paas builds:explain page`), "page.txt was changed")
	told = sh(`cd page && echo 'web: echo from a Procfile; perl hello-server' > Procfile && git add -A && git commit -qam procfile && git push paas main && ssh paas logs page`)
	tell(told, "from a Procfile")
	sh(`cd $DATA && ! grep -rl canary-of-the-builder-image store/ build/ builds/`)
}
