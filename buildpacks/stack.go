package buildpacks

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"paas/buildpacks/plan"
	"paas/platform"
)

// The base image is Debian trixie, made on this host from the host's own mirror. recipe changes when
// the way it is made does; then it is made again.
const (
	suite  = "trixie"
	recipe = 2
)

// runPackages is what running apps find beside the essential system.
var runPackages = strings.Fields(`ca-certificates tzdata curl bash openssl netbase procps media-types
	libjemalloc2 libpq5 libsqlite3-0 libxml2 libyaml-0-2 libicu76 zlib1g libssl3t64 libffi8 libreadline8t64 libatomic1`)

// buildPackages is what steps that compile find beside it.
var buildPackages = strings.Fields(`build-essential git pkg-config python3 python3-dev python3-setuptools unzip zip
	xz-utils zstd wget file autoconf automake libtool patch libssl-dev zlib1g-dev libpq-dev libsqlite3-dev
	libyaml-dev libffi-dev libreadline-dev default-libmysqlclient-dev libxml2-dev libxslt1-dev`)

// leftOut is documentation and translations; copyright files stay.
var leftOut = []string{
	"path-exclude=/usr/share/doc/*", "path-include=/usr/share/doc/*/copyright", "path-exclude=/usr/share/man/*/*",
	"path-exclude=/usr/share/locale/*", "path-exclude=/usr/share/info/*", "path-exclude=/usr/share/lintian/*",
}

// common are the toolchains that Prepare fetches ahead: those of the examples people start with.
var common = []plan.Toolchain{{Name: "static"}, {Name: "node"}, {Name: "python"}, {Name: "go"}}

// Prepare makes what every host needs before its first builds, and tells the story: the base image,
// toolchains, compilers. What is there already is not made again.
func (e *Engine) Prepare(ctx context.Context, story *platform.Story) error {
	done, err := e.begin(hostApp)
	if err != nil {
		return err
	}
	defer done()
	base, err := e.baseLayer(ctx, story)
	if err != nil {
		return err
	}
	layers := []string{base}
	for _, t := range common {
		made, err := e.toolchain(ctx, base, t, story)
		if err != nil {
			return err
		}
		layers = append(layers, made.layer)
	}
	tools, err := e.packages(ctx, base, buildPackages, story)
	if err != nil {
		return err
	}
	return e.rememberLayers(hostApp, append(layers, tools))
}

func (b *build) addBase(ctx context.Context) (err error) {
	t := b.begins("Debian "+suite, platform.BaseStep)
	if b.base, err = b.baseLayer(ctx, b.req.Story); err != nil {
		return b.tell(t, b.base, err)
	}
	b.add(b.base, true)
	if err := b.tell(t, b.base, nil); err != nil || len(b.plan.Packages) == 0 {
		return err
	}
	t = b.begins("packages", platform.PackagesStep, packageInputs(b.base, b.plan.Packages)...)
	layer, err := b.packages(ctx, b.base, b.plan.Packages, b.req.Story)
	if err == nil {
		b.add(layer, true)
	}
	return b.tell(t, layer, err)
}

// baseLayer finds or makes the base image.
func (e *Engine) baseLayer(ctx context.Context, story *platform.Story) (string, error) {
	key := keyOf("base", suite, recipe, runPackages, leftOut)
	return key, e.hostLayer(ctx, story, product{key, "base image: Debian " + suite}, func(dir string) error {
		story.Phase("Making the base image from Debian %s, once on this host", suite)
		return e.bootstrap(ctx, dir, story)
	})
}

func (e *Engine) bootstrap(ctx context.Context, dir string, story *platform.Story) error {
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		return platform.Errorf(platform.Failed, "the base image cannot be made: mmdebstrap is missing").
			WithHint("on the server: apt-get install mmdebstrap")
	}
	args := append(e.bootstrapOptions(), suite, dir)
	cmd := exec.CommandContext(ctx, "mmdebstrap", append(args, e.Machine.aptSources()...)...) //nolint:gosec // the host's mirror
	cmd.Env = e.Machine.Host
	// Its mounts vanish with its namespace, also when it is killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Cloneflags: unix.CLONE_NEWNS, Unshareflags: unix.CLONE_NEWNS}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	var said bytes.Buffer
	told := story.Writer()
	out := io.MultiWriter(told, &said)
	cmd.Stdout, cmd.Stderr = out, out
	err := errors.Join(cmd.Run(), told.Close())
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return platform.Errorf(platform.Failed, "the base image could not be made: %s", lastLine(said.String())).Because(err).
			WithHint("mmdebstrap fetches Debian %s from the host's mirror; does apt-get update work there?", suite)
	}
	return nil
}

// bootstrapOptions also make the user of apps, empty what only apt needs, and leave a directory for manual
// pages, without which Java's packages do not install.
func (e *Engine) bootstrapOptions() []string {
	options := []string{
		"--mode=root", "--variant=minbase", "--include=" + strings.Join(runPackages, ","),
		"--dpkgopt=force-unsafe-io", `--aptopt=Acquire::Languages "none"`,
		`--customize-hook=chroot "$1" useradd --uid 1000 --user-group --home-dir /app --create-home --shell /bin/bash app`,
		`--customize-hook=rm -rf "$1"/app/.??* "$1"/var/log/* && mkdir -p "$1"/usr/share/man/man1`,
	}
	for _, o := range leftOut {
		options = append(options, "--dpkgopt="+o)
	}
	for _, line := range e.Machine.Apt {
		options = append(options, "--aptopt="+line)
	}
	return options
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}
