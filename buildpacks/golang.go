package buildpacks

import (
	"context"
	"errors"
	"fmt"
	"go/version"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"paas/buildpacks/plan"
	"paas/platform"
)

// Any Go of version 1.21 or newer fetches any other through the module proxy and checks it against the
// checksum database (go.dev/doc/toolchain). The host's own go does it, else the one that Debian packages.

// golang finds or makes the layer of a Go version.
func (e *Engine) golang(ctx context.Context, base string, t plan.Toolchain, story *platform.Story) (made, error) {
	versions, err := e.goVersions(ctx, base, t, story)
	if err != nil {
		return made{}, err
	}
	return e.firstServed(ctx, t, versions, story, func(v string) (made, error) {
		key := keyOf("go", v)
		m := made{layer: key, version: strings.TrimPrefix(v, "go"), path: "/opt/go/bin"}
		return m, e.hostLayer(ctx, story, product{key, "Go " + m.version}, func(dir string) error {
			story.Phase("Fetching Go %s, once on this host", m.version)
			if err := e.fetchGo(ctx, base, v, dir, story); err != nil {
				return notServed(t, m.version, err)
			}
			return nil
		})
	})
}

// goVersions are the releases that fit, newest first: those of the line that the app names which are not
// older than what it names, or of all lines. A version that no list knows is tried as it is.
func (e *Engine) goVersions(ctx context.Context, base string, t plan.Toolchain, story *platform.Story) ([]string, error) {
	wish := t.Version
	if wish != "" && !strings.HasPrefix(wish, "go") {
		wish = "go" + wish
	}
	if wish != "" && !version.IsValid(wish) {
		return nil, platform.Errorf(platform.Failed, "%s asks for Go %q, which is not a version", t.From, t.Version).
			WithHint("write it like go 1.25 or toolchain go1.25.3")
	}
	all, err := e.known(ctx, "go versions", func() ([]string, error) {
		text, err := e.runGo(ctx, base, "list -m -mod=mod -versions go", story)
		return strings.Fields(strings.TrimPrefix(text, "go ")), err
	})
	if err != nil && (wish == "" || ctx.Err() != nil) {
		return nil, fmt.Errorf("ask for versions of Go: %w", err)
	}
	fit := fittingGo(all, wish)
	if len(fit) == 0 {
		fit = []string{firstOfLine(wish)}
	}
	return fit, nil
}

func fittingGo(all []string, wish string) (fit []string) {
	for _, v := range all {
		v = "go" + v
		stable := version.IsValid(v) && !strings.ContainsAny(strings.TrimPrefix(v, "go"), "abcdefghijklmnopqrstuvwxyz")
		if stable && (wish == "" || version.Lang(v) == version.Lang(wish) && version.Compare(v, wish) >= 0) {
			fit = append(fit, v)
		}
	}
	slices.SortFunc(fit, func(a, b string) int { return version.Compare(b, a) })
	return fit
}

// firstOfLine: from 1.21 on the first release of a line has a patch number (go.dev/doc/toolchain).
func firstOfLine(v string) string {
	if version.Lang(v) == v && version.Compare(v, "go1.21") >= 0 {
		return v + ".0"
	}
	return v
}

func debianGo() []string { return []string{"golang-go", "ca-certificates"} }

// runGo runs a go command, on the host or in a container, and returns what it printed last.
func (e *Engine) runGo(ctx context.Context, base, words string, story *platform.Story) (line string, err error) {
	err = e.scratch(func(dir string) error {
		line, err = e.goIn(ctx, base, dir, words, story)
		return err
	})
	return line, err
}

// goIn runs a go command that keeps modules in dir/mod.
func (e *Engine) goIn(ctx context.Context, base, dir, words string, story *platform.Story) (string, error) {
	if e.Machine.Go != "" {
		return e.goOnHost(ctx, dir, words)
	}
	layer, err := e.packages(ctx, base, debianGo(), story)
	if err != nil {
		return "", err
	}
	env := e.clientEnv()
	env["GOTOOLCHAIN"], env["GOMODCACHE"], env["GOFLAGS"], env["GOPATH"] = "local", "/mod", "-modcacherw", "/tmp/go"
	var out strings.Builder
	exit, err := e.Executor.Step(ctx, platform.StepSpec{
		AppID: hostApp, App: "debian", Name: "go", Layers: []string{base, layer}, Upper: dir, Dir: "/",
		Argv: append([]string{"/usr/bin/go"}, strings.Fields(words)...), Env: env, Limits: e.Limits, Binds: e.Machine.binds(),
	}, &out)
	if err == nil && exit.Code != 0 {
		err = refusedGo(fmt.Errorf("go %s in a container %s: %s", words, exit, lastLine(out.String())))
	}
	return lastLine(out.String()), err
}

func (e *Engine) goOnHost(ctx context.Context, dir, words string) (string, error) {
	cmd := exec.CommandContext(ctx, e.Machine.Go, strings.Fields(words)...) //nolint:gosec // the host's go, our own words
	cmd.Dir = "/"
	cmd.Env = append(slices.Clone(e.Machine.Host), "GOTOOLCHAIN=local", "GOMODCACHE="+filepath.Join(dir, "mod"),
		"GOCACHE="+filepath.Join(dir, "cache"), "GOPATH="+filepath.Join(dir, "path"), "GOFLAGS=-modcacherw", "GOWORK=off")
	out, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		err = refusedGo(fmt.Errorf("go %s: %w: %s", words, err, lastLine(string(failed.Stderr))))
	}
	return lastLine(string(out)), err
}

// refusedGo tells a version that the module proxy does not hand out from other failures.
func refusedGo(err error) error {
	for _, sign := range []string{"403 Forbidden", "404 Not Found", "410 Gone", "unknown revision", "not available"} {
		if strings.Contains(err.Error(), sign) {
			return fmt.Errorf("%w: %w", errRefused, err)
		}
	}
	return err
}

// fetchGo puts the toolchain into dir/opt/go. It comes as a module, which go checks like any other.
func (e *Engine) fetchGo(ctx context.Context, base, v, dir string, story *platform.Story) error {
	module := "golang.org/toolchain@v0.0.1-" + v + ".linux-amd64"
	return e.scratch(func(work string) error {
		if _, err := e.goIn(ctx, base, work, "mod download "+module, story); err != nil {
			return err
		}
		to := filepath.Join(dir, "opt", "go")
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(work, "mod", filepath.FromSlash(module)), to); err != nil {
			return err
		}
		return finishGo(to)
	})
}

// finishGo makes the programs executable, which a module's files are not, and drops what no build needs.
func finishGo(root string) error {
	for _, useless := range []string{"api", "doc", "test"} {
		if err := os.RemoveAll(filepath.Join(root, useless)); err != nil {
			return err
		}
	}
	var programs []string
	for _, pattern := range []string{"bin/*", "pkg/tool/*/*"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return err
		}
		programs = append(programs, found...)
	}
	for _, p := range programs {
		if err := os.Chmod(p, 0o755); err != nil { //nolint:gosec // a program
			return err
		}
	}
	return nil
}
