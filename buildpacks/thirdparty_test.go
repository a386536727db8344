package buildpacks

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"paas/platform"
)

// toolPack is a buildpack as people write them: it makes files, keeps a cache, reads config vars, exports to
// those behind it, and names processes.
func toolPack() map[string]string {
	return map[string]string{
		"bin/detect": "#!/bin/bash\n[ -f \"$1/tool.txt\" ] || exit 1\necho Tool\n",
		"bin/compile": `#!/usr/bin/env bash
set -eo pipefail
build=$1 cache=$2 env=$3
echo "-----> Compiling on $STACK with $(cat "$env/LEVEL") in $(pwd)"
[ -z "${LEVEL:-}" ] || { echo "config is in the environment"; exit 1; }
echo x >> "$cache/runs"
mkdir -p "$build/.tool/bin" "$build/.profile.d"
printf '#!/bin/sh\necho tool of %s\n' "$(cat "$build/tool.txt")" > "$build/.tool/bin/tool"
chmod +x "$build/.tool/bin/tool"
wc -l < "$cache/runs" > "$build/.tool/runs"
echo 'export PATH="$HOME/.tool/bin:$PATH" GREETING=hello' > "$build/.profile.d/tool.sh"
here=$(cd "$(dirname "$0")/.." && pwd)
echo 'export PATH="/app/.tool/bin:$PATH" EXPORTED=yes' > "$here/export"
`,
		"bin/release": "#!/bin/bash\necho '---'\necho 'config_vars: {MODE: fast}'\necho 'default_process_types: {web: \"tool && echo $GREETING\", worker: tool}'\n",
	}
}

// repository commits the files to a new git repository, programs executable.
func repository(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	check(t, os.MkdirAll(dir, 0o755))
	gitIn(t, dir, "init", "-q", "-b", "main")
	commitFiles(t, dir, files)
}

func commitFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		file := filepath.Join(dir, name)
		check(t, os.MkdirAll(filepath.Dir(file), 0o755))
		check(t, os.WriteFile(file, []byte(text), 0o755))
	}
	gitIn(t, dir, "add", "-A")
	gitIn(t, dir, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "x")
}

func gitIn(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return strings.TrimSpace(string(out))
}

// gitServer serves the repositories in dir by the git protocol and returns their URL's beginning, and what
// ends it.
func gitServer(t *testing.T, dir string) (url string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	check(t, l.Close())
	cmd := exec.Command("git", "daemon", "--listen=127.0.0.1", fmt.Sprintf("--port=%d", port), "--base-path="+dir, "--export-all", "--reuseaddr", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	check(t, cmd.Start())
	stop = func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	}
	t.Cleanup(stop)
	for range 100 {
		if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			check(t, c.Close())
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Sprintf("git://127.0.0.1:%d/", port), stop
}

// buildWith builds with config vars.
func (b *bench) buildWith(app platform.App, src platform.Tree, config platform.Config) (platform.Image, string, error) {
	var out safeBuffer
	img, err := b.Build(context.Background(), platform.BuildRequest{
		App: app, Source: src, Commit: strings.Repeat("1", 40), Config: config, Story: platform.NewStory(&out, nil),
	})
	return img, out.String(), err
}

// start runs a process type as the runtime would.
func (b *bench) start(app platform.App, img platform.Image, typ platform.ProcessType) string {
	b.t.Helper()
	img.Env = maps.Clone(img.Env)
	return b.run(app, img, img.Processes[typ])
}

func TestBuildpackOfARepository(t *testing.T) {
	b := newBench(t, "tools")
	dir := t.TempDir()
	repository(t, filepath.Join(dir, "tool"), toolPack())
	url, stop := gitServer(t, dir)
	app, config := b.app(), platform.Config{"LEVEL": "very secret level"}
	src := files(".buildpacks", url+"tool\n", "tool.txt", "one")
	img, told, err := b.buildWith(app, src, config)
	if err != nil {
		t.Fatalf("%v (%s)\n%s", err, hint(err), told)
	}
	if !strings.Contains(told, "Tool app detected") || !strings.Contains(told, "Compiling on heroku-24 with very secret level in /app") {
		t.Errorf("told\n%s", told)
	}
	if got := b.start(app, img, "web"); got != "tool of one\nhello" {
		t.Errorf("web says %q", got)
	}
	if img.Env["MODE"] != "fast" || img.Processes["worker"] != "tool" || img.Builder != "buildpacks" {
		t.Errorf("%+v", img)
	}
	if got := b.run(app, img, "ls /opt /tmp; cat /app/.tool/runs"); !strings.HasSuffix(got, "1") || strings.Contains(got, "env") {
		t.Errorf("left in the image: %s", got)
	}
	ran := b.steps.ran.Load()
	again, _, err := b.buildWith(app, src, config)
	if err != nil || again.ID != img.ID || b.steps.ran.Load() != ran+1 { // git ls-remote
		t.Errorf("%d steps ran again, %v", b.steps.ran.Load()-ran, err)
	}

	// A new commit of the buildpack is taken with the next build; its cache is kept.
	commitFiles(t, filepath.Join(dir, "tool"), map[string]string{"NEWS": "second"})
	img, told, err = b.buildWith(app, src, config)
	if err != nil || b.run(app, img, "cat /app/.tool/runs") != "2" {
		t.Errorf("%v\n%s", err, told)
	}

	// Without its server the last commit serves; a Procfile goes before bin/release.
	stop()
	img, told, err = b.buildWith(app, files(".buildpacks", url+"tool\n", "tool.txt", "two", "Procfile", "web: tool"), config)
	if err != nil || !strings.Contains(told, "does not answer") || b.start(app, img, "web") != "tool of two" || img.Processes["worker"] != "tool" {
		t.Errorf("%v %v\n%s", err, img.Processes, told)
	}
	_, told, err = b.buildWith(app, files(".buildpacks", url+"other\n", "tool.txt", ""), config)
	if err == nil || !strings.Contains(err.Error(), "cannot be fetched") {
		t.Errorf("%v\n%s", err, told)
	}
}

func TestBuildpacksInOrder(t *testing.T) {
	b := newBench(t, "tools", "python")
	dir := t.TempDir()
	repository(t, filepath.Join(dir, "tool"), toolPack())
	repository(t, filepath.Join(dir, "second"), map[string]string{
		"bin/detect":  "#!/bin/sh\necho Second\n",
		"bin/compile": "#!/bin/sh\ntool > $1/seen; echo \"$EXPORTED\" >> $1/seen\n",
		"bin/release": "#!/bin/sh\necho 'default_process_types:\n  web: cat seen'\n",
	})
	gitIn(t, filepath.Join(dir, "second"), "-c", "user.name=a", "-c", "user.email=a@b", "tag", "-a", "v1", "-m", "v1")
	check(t, os.WriteFile(filepath.Join(dir, "second", "bin", "compile"), []byte("#!/bin/sh\nexit 9\n"), 0o755))
	gitIn(t, filepath.Join(dir, "second"), "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qam", "broken")
	b.Local = []string{dir}
	app := b.app()
	list := "file://" + dir + "/tool\nheroku/python\nfile://" + dir + "/second#v1\n"
	img, told, err := b.buildWith(app, files(".buildpacks", list, "tool.txt", "x", "requirements.txt", "", "app.py", "print('py')"), platform.Config{"LEVEL": "1"})
	if err != nil {
		t.Fatalf("%v (%s)\n%s", err, hint(err), told)
	}
	if got := b.start(app, img, "web"); got != "tool of x\nyes" {
		t.Errorf("web says %q", got)
	}
	if len(img.Processes) != 1 {
		t.Errorf("the last buildpack gives the processes: %v", img.Processes)
	}
	if got := b.run(app, img, "python app.py && tool"); got != "py\ntool of x" {
		t.Errorf("all of them are at hand: %q", got)
	}
}

func TestBuildpackFails(t *testing.T) {
	b := newBench(t, "tools")
	dir := t.TempDir()
	b.Local = []string{dir}
	broken := map[string]map[string]string{
		"not-for-it": {"bin/detect": "#!/bin/sh\nexit 1\n", "bin/compile": "#!/bin/sh\n"},
		"fails":      {"bin/compile": "#!/bin/sh\necho no way; exit 3\n"},
		"none":       {"README": "x"},
		"huge":       {"bin/compile": "#!/bin/sh\n", "bin/release": "#!/bin/sh\nhead -c 200000 /dev/zero | tr '\\0' 'a'\n"},
		"linked":     {"bin/compile": "#!/bin/sh\nln -sf /etc/passwd /opt/buildpacks/1.yml\n"},
		"outside":    {"bin/compile": "#!/bin/sh\nrm -f /opt/buildpacks/1.yml; mkfifo /opt/buildpacks/1.yml\n"},
	}
	for name, says := range map[string]string{
		"not-for-it": "exited with status 1", "fails": "exited with status 3", "none": "exited with status 1",
		"huge": "no YAML", "linked": "names no process type", "outside": "names no process type",
	} {
		repository(t, filepath.Join(dir, name), broken[name])
		_, told, err := b.buildWith(b.app(), files(".buildpacks", "file://"+dir+"/"+name, "x", ""), nil)
		if err == nil || !strings.Contains(err.Error(), says) || platform.KindOf(err) != platform.Failed {
			t.Errorf("%s: %v\n%s", name, err, told)
		}
	}
	for _, url := range []string{"file:///etc", "file://" + dir + "/../x", "file://" + dir + "x/y"} {
		_, _, err := b.buildWith(b.app(), files(".buildpacks", url), nil)
		if err == nil || !strings.Contains(err.Error(), "has allowed") {
			t.Errorf("%s: %v", url, err)
		}
	}
	if _, _, err := b.buildWith(b.app(), files(".buildpacks", "file://"+dir+"/fails#gone"), nil); err == nil || !strings.Contains(err.Error(), `no branch or tag "gone"`) {
		t.Errorf("no such branch: %v", err)
	}
}

func TestChooseRef(t *testing.T) {
	id := func(c string) string { return strings.Repeat(c, 40) }
	lines := id("a") + "\tHEAD\n" + id("b") + "\trefs/heads/v1\n" + id("c") + "\trefs/tags/v1\n" + id("d") + "\trefs/tags/v2\n" + id("e") + "\trefs/tags/v2^{}\nnoise\n"
	got := []string{chooseRef(lines, ""), chooseRef(lines, "v1"), chooseRef(lines, "v2"), chooseRef(lines, "v3")}
	if !slices.Equal(got, []string{id("a"), id("b"), id("e"), ""}) {
		t.Errorf("%.1q", got)
	}
}
