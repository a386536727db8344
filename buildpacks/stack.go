package buildpacks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"paas/platform"
)

// The base image is Debian trixie, made on this host from the host's own mirror. recipe changes when
// the way it is made does; then it is made again.
const (
	suite  = "trixie"
	recipe = 1
)

// runPackages is what running apps find beside the essential system.
var runPackages = strings.Fields(`ca-certificates tzdata curl bash openssl netbase procps media-types
	libjemalloc2 libpq5 libsqlite3-0 libxml2 libyaml-0-2 libicu76 zlib1g libssl3t64 libffi8 libreadline8t64 libatomic1`)

// buildPackages is what steps that compile find beside it.
var buildPackages = strings.Fields(`build-essential git pkg-config python3 python3-setuptools unzip zip
	xz-utils zstd wget file autoconf automake libtool patch libssl-dev zlib1g-dev libpq-dev libsqlite3-dev
	libyaml-dev libffi-dev libreadline-dev default-libmysqlclient-dev libxml2-dev libxslt1-dev`)

// leftOut is documentation and translations; copyright files stay.
var leftOut = []string{
	"path-exclude=/usr/share/doc/*", "path-include=/usr/share/doc/*/copyright", "path-exclude=/usr/share/man/*/*",
	"path-exclude=/usr/share/locale/*", "path-exclude=/usr/share/info/*", "path-exclude=/usr/share/lintian/*",
}

// Prepare makes what every host needs before its first build, and tells the story.
func (e *Engine) Prepare(ctx context.Context, story *platform.Story) error {
	base, err := e.base(ctx, story)
	if err != nil {
		return err
	}
	for _, t := range common {
		if _, err := e.toolchain(ctx, base, t, story); err != nil {
			return err
		}
	}
	return nil
}

func (b *build) addBase(ctx context.Context) error {
	base, err := b.base(ctx, b.req.Story)
	if err != nil {
		return err
	}
	b.add(base, true)
	if len(b.plan.Packages) == 0 {
		return nil
	}
	layer, err := b.packages(ctx, base, b.plan.Packages, b.req.Story)
	if err == nil {
		b.add(layer, true)
	}
	return err
}

// base finds or makes the base layer. Two processes do not make it at once.
func (e *Engine) base(ctx context.Context, story *platform.Story) (string, error) {
	key := keyOf("base", suite, recipe, runPackages, leftOut)
	unlock := e.locks.lock(key)
	defer unlock()
	if e.Images.Has(key) {
		return key, nil
	}
	story.Phase("Making the base image from Debian %s, once on this host", suite)
	draft, err := e.Images.Draft()
	if err != nil {
		return "", err
	}
	defer func() { _ = draft.Discard() }()
	if err := e.bootstrap(ctx, draft.Dir, story); err != nil {
		return "", err
	}
	return key, draft.Commit(key)
}

func (e *Engine) bootstrap(ctx context.Context, dir string, story *platform.Story) error {
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		return platform.Errorf(platform.Failed, "the base image cannot be made: mmdebstrap is missing").
			WithHint("on the server: apt-get install mmdebstrap")
	}
	if e.Machine.Mirror == "" {
		return platform.Errorf(platform.Failed, "the base image cannot be made: the host's apt sources name no Debian mirror")
	}
	args := []string{
		"--mode=root", "--variant=minbase", "--quiet", "--include=" + strings.Join(runPackages, ","),
		"--dpkgopt=force-unsafe-io", `--aptopt=Acquire::Languages "none"`,
		`--customize-hook=chroot "$1" useradd --uid 1000 --user-group --home-dir /app --create-home --shell /bin/bash app`,
		`--customize-hook=rm -rf "$1"/app/.??* "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/* "$1"/var/log/* && mkdir -p "$1"/usr/share/man/man1`,
	}
	for _, o := range leftOut {
		args = append(args, "--dpkgopt="+o)
	}
	for _, line := range e.Machine.Apt {
		args = append(args, "--aptopt="+line)
	}
	cmd := exec.CommandContext(ctx, "mmdebstrap", append(args, suite, dir, e.Machine.Mirror)...)
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true, Cloneflags: unix.CLONE_NEWNS} // its mounts vanish with it
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	var out bytes.Buffer
	w := story.Writer()
	cmd.Stdout, cmd.Stderr = io.MultiWriter(w, &out), io.MultiWriter(w, &out)
	err := errors.Join(cmd.Run(), w.Close())
	if err != nil {
		return platform.Errorf(platform.Failed, "the base image could not be made: %s", lastLine(out.String())).Because(err)
	}
	return nil
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// buildTools finds or makes the layer of compilers and headers.
func (e *Engine) buildTools(ctx context.Context, story *platform.Story) (string, error) {
	base, err := e.base(ctx, story)
	if err != nil {
		return "", err
	}
	return e.packages(ctx, base, buildPackages, story)
}

// packages finds or makes a layer of Debian packages over the base.
func (e *Engine) packages(ctx context.Context, base string, names []string, story *platform.Story) (string, error) {
	key := keyOf("packages", base, names)
	unlock := e.locks.lock(key)
	defer unlock()
	if e.Images.Has(key) {
		return key, nil
	}
	told := strings.Join(names[:min(len(names), 4)], " ")
	if len(names) > 4 {
		told += " …"
	}
	story.Phase("Installing Debian packages, once on this host: %s", told)
	draft, err := e.Images.Draft()
	if err != nil {
		return "", err
	}
	defer func() { _ = draft.Discard() }()
	if err := e.apt(ctx, []string{base}, draft.Dir, names, story); err != nil {
		return "", err
	}
	return key, draft.Commit(key)
}

// apt installs packages into upper. Package lists and archives stay in a cache of the host's; update
// exits with 0 when it fetched nothing, so its words are read too.
func (e *Engine) apt(ctx context.Context, layers []string, upper string, names []string, story *platform.Story) error {
	binds := e.Machine.binds()
	for cache, target := range map[string]string{"apt": "/var/cache/apt", "lists": "/var/lib/apt/lists", "scratch": "/tmp"} {
		dir := filepath.Join(e.Dir, "cache", "debian", cache)
		if err := os.MkdirAll(filepath.Join(dir, "partial"), 0o755); err != nil {
			return fmt.Errorf("make apt cache: %w", err)
		}
		binds = append(binds, platform.Bind{Source: dir, Target: target})
	}
	script := strings.Join([]string{
		"apt-get -qq update 2>&1 | tee /tmp/update", "! grep -q 'Failed to fetch' /tmp/update",
		"apt-get -qq -y --no-install-recommends install " + strings.Join(names, " "), "rm -f /var/log/*.log /var/log/apt/*",
	}, "\n")
	env := map[string]string{
		"DEBIAN_FRONTEND": "noninteractive", "PATH": systemPath, "HOME": "/root", "LANG": "C.UTF-8",
		"APT_CONFIG": "/tmp/apt.conf",
	}
	conf := strings.Join(append([]string{`APT::Sandbox::User "root";`, `Acquire::Languages "none";`, `DPkg::Options { "--force-unsafe-io"; };`}, e.Machine.Apt...), "\n")
	if err := os.WriteFile(filepath.Join(e.Dir, "cache", "debian", "scratch", "apt.conf"), []byte(conf+"\n"), 0o644); err != nil { //nolint:gosec // read inside
		return err
	}
	for name, value := range e.Machine.Vars {
		if strings.HasSuffix(strings.ToLower(name), "_proxy") {
			env[name] = value
		}
	}
	spec := platform.StepSpec{
		AppID: hostApp, App: "debian", Name: "apt", Layers: layers, Upper: upper, Env: env, Dir: "/",
		Argv: []string{"/bin/bash", "-e", "-o", "pipefail", "-c", script}, Binds: binds, Limits: stepLimits(),
	}
	return e.exec(ctx, spec, "apt-get install "+strings.Join(names, " "), story)
}

// hostApp is the id under which the host's own steps run: ids of apps start at 1.
const hostApp = 0
