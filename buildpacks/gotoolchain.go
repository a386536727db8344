package buildpacks

import (
	"context"
	"errors"
	"fmt"
	"go/version"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"paas/buildpacks/plan"
	"paas/platform"
)

// Any Go of version 1.21 or newer fetches any other through the module proxy and checks it against the
// checksum database (go.dev/doc/toolchain). The host's own go does it, else the one that Debian packages.

// golang finds or makes the layer of a Go version.
func (e *Engine) golang(ctx context.Context, base string, t plan.Toolchain, story *platform.Story) (made, error) {
	wanted, err := e.goVersion(ctx, base, t, story)
	if err != nil {
		return made{}, err
	}
	key := keyOf("go", wanted)
	m := made{
		layer: key, version: strings.TrimPrefix(wanted, "go"), path: "/opt/go/bin",
		env: map[string]string{},
	}
	return m, e.layer(key, func(dir string) error {
		story.Line("Fetching %s", wanted)
		if err := e.fetchGo(ctx, base, wanted, dir, story); err != nil {
			return platform.Errorf(platform.Failed, "Go %s cannot be fetched", m.version).Because(err).
				WithHint("is that a version of Go? %s says so", t.From)
		}
		return nil
	})
}

// goVersion is the newest patch release of the line that the app names, or of all.
func (e *Engine) goVersion(ctx context.Context, base string, t plan.Toolchain, story *platform.Story) (string, error) {
	wish := t.Version
	if wish != "" && !strings.HasPrefix(wish, "go") {
		wish = "go" + wish
	}
	if wish != "" && !version.IsValid(wish) {
		return "", platform.Errorf(platform.Failed, "%s asks for Go %q, which is not a version", t.From, t.Version)
	}
	list, err := e.known("go", func() ([]string, error) {
		text, err := e.runGo(ctx, base, "list -m -versions go", story)
		return strings.Fields(strings.TrimPrefix(text, "go ")), err
	})
	if err != nil && wish == "" {
		return "", err
	}
	best := ""
	for _, v := range list {
		v = "go" + v
		stable := version.IsValid(v) && !strings.ContainsAny(strings.TrimPrefix(v, "go"), "abcdefghijklmnopqrstuvwxyz")
		line := wish == "" || version.Lang(v) == version.Lang(wish) && version.Compare(v, wish) >= 0
		if stable && line && version.Compare(v, best) > 0 {
			best = v
		}
	}
	if best == "" {
		best = wish
	}
	if strings.Count(best, ".") == 1 && version.Compare(best, "go1.21") >= 0 {
		best += ".0" // from 1.21 on the first release of a line has a patch number
	}
	return best, nil
}

// runGo runs a go command, on the host or in a container, and returns what it printed last.
func (e *Engine) runGo(ctx context.Context, base, words string, story *platform.Story) (string, error) {
	if e.Machine.Go == "" {
		return e.askClient(ctx, base, []string{"golang-go", "ca-certificates"}, "cd / && go "+words, story)
	}
	cmd := exec.CommandContext(ctx, e.Machine.Go, strings.Fields(words)...) //nolint:gosec // our own words
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN=local", "GOFLAGS=-mod=mod", "GOWORK=off")
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

// fetchGo puts the toolchain into dir/opt/go.
func (e *Engine) fetchGo(ctx context.Context, base, wanted, dir string, story *platform.Story) error {
	if e.Machine.Go == "" {
		return e.fetchGoInside(ctx, base, wanted, dir, story)
	}
	cache, err := os.MkdirTemp(filepath.Dir(dir), "gomodcache-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(cache) }()
	cmd := exec.CommandContext(ctx, e.Machine.Go, "version") //nolint:gosec // the host's go
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN="+wanted, "GOMODCACHE="+cache, "GOFLAGS=-modcacherw", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go version: %w: %s", err, out)
	}
	return moveGo(cache, wanted, dir)
}

func (e *Engine) fetchGoInside(ctx context.Context, base, wanted, dir string, story *platform.Story) error {
	layer, err := e.packages(ctx, base, []string{"golang-go", "ca-certificates"}, story)
	if err != nil {
		return err
	}
	draft, err := e.Images.Draft()
	if err != nil {
		return err
	}
	defer func() { _ = draft.Discard() }()
	env := e.clientEnv()
	env["GOTOOLCHAIN"], env["GOMODCACHE"], env["GOFLAGS"] = wanted, "/fetched", "-modcacherw"
	exit, err := e.Executor.Step(ctx, platform.StepSpec{
		AppID: hostApp, App: "debian", Name: "go", Layers: []string{base, layer}, Upper: draft.Dir, Dir: "/",
		Argv: []string{"go", "version"}, Env: env, Limits: stepLimits(), Binds: e.Machine.binds(),
	}, io.Discard)
	if err != nil || exit.Code != 0 {
		return errors.Join(fmt.Errorf("go version in a container: %s", exit), err)
	}
	return moveGo(filepath.Join(draft.Dir, "fetched"), wanted, dir)
}

// moveGo moves the unpacked toolchain module out of the module cache.
func moveGo(cache, wanted, dir string) error {
	from := filepath.Join(cache, "golang.org", "toolchain@v0.0.1-"+wanted+".linux-amd64")
	if _, err := os.Stat(from); err != nil { // the fetching go is itself the wanted version
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "opt"), 0o755); err != nil {
		return err
	}
	to := filepath.Join(dir, "opt", "go")
	if err := os.Rename(from, to); err != nil {
		return err
	}
	for _, useless := range []string{"api", "doc", "test"} {
		if err := os.RemoveAll(filepath.Join(to, useless)); err != nil {
			return err
		}
	}
	return nil
}
