package buildpacks

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"paas/platform"
)

func (e *Engine) bootstrap(ctx context.Context, dir string, story *platform.Story) error {
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		return platform.Errorf(platform.Failed, "the base image cannot be made: mmdebstrap is missing").
			WithHint("on the server: apt-get install mmdebstrap")
	}
	args := append(e.bootstrapOptions(), suite, dir)
	cmd := exec.CommandContext(ctx, "mmdebstrap", append(args, e.Machine.aptSources()...)...) //nolint:gosec // the host's mirror
	cmd.Env = append(slices.Clone(e.Machine.Host), sourceDate)
	// Its mounts vanish with its namespace, also when it is killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Cloneflags: unix.CLONE_NEWNS, Unshareflags: unix.CLONE_NEWNS}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	var said bytes.Buffer
	told := story.Writer()
	out := io.MultiWriter(told, &said)
	cmd.Stdout, cmd.Stderr = out, out
	began := time.Now()
	err := errors.Join(cmd.Run(), told.Close())
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return platform.Errorf(platform.Failed, "the base image could not be made: %s", lastLine(said.String())).Because(err).
			WithHint("mmdebstrap fetches Debian %s from the host's mirror; does apt-get update work there?", suite)
	}
	return neutralise(dir, began)
}

// bootstrapOptions also make the user of apps, and leave a directory for manual pages, without which Java's packages do not install.
func (e *Engine) bootstrapOptions() []string {
	options := []string{
		"--mode=root", "--variant=minbase", "--include=" + strings.Join(runPackages, ","),
		"--dpkgopt=force-unsafe-io", `--aptopt=Acquire::Languages "none"`,
		`--customize-hook=chroot "$1" useradd --uid 1000 --user-group --home-dir /app --create-home --shell /bin/bash app`,
		`--customize-hook=mkdir -p "$1"/usr/share/man/man1`,
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
