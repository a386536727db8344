package buildpacks

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"paas/platform"
	"paas/runtime/image"
)

// chroots is a second, honest Executor: an overlay in a mount namespace of its own, and chroot. It has
// the host's network and no limits, so it is for tests of the engine only.
type chroots struct{ images *image.Store }

func (c chroots) Step(ctx context.Context, s platform.StepSpec, out io.Writer) (exit platform.Exit, err error) {
	root, err := os.MkdirTemp("", "paas-chroot-")
	if err != nil {
		return exit, err
	}
	defer func() { err = errors.Join(err, os.Remove(root)) }()
	var lower []string
	for i := len(s.Layers) - 1; i >= 0; i-- {
		lower = append(lower, c.images.Dir(s.Layers[i]))
	}
	script := []string{
		"mount -t overlay overlay -o \"lowerdir=" + strings.Join(lower, ":") + ",upperdir=" + s.Upper + ",workdir=" +
			filepath.Join(filepath.Dir(s.Upper), "work") + "\" " + root,
		"mount -t proc proc " + root + "/proc", "mount --rbind /dev " + root + "/dev",
		"cp /etc/resolv.conf " + root + "/etc/resolv.conf 2>/dev/null || true",
	}
	for _, b := range s.Binds {
		target := filepath.Join(root, b.Target)
		if info, err := os.Stat(b.Source); err == nil && info.IsDir() {
			script = append(script, "mkdir -p "+target)
		} else {
			script = append(script, "touch "+target)
		}
		script = append(script, "mount --bind "+b.Source+" "+target)
	}
	script = append(script, `cd `+root, `exec chroot --userspec=`+user(s)+` `+root+` /usr/bin/env -C `+s.Dir+` "$@"`)
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-ec", strings.Join(script, "\n"), "sh"}, s.Argv...)...)
	cmd.Stdout, cmd.Stderr = out, out
	for k, v := range s.Env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID, Unshareflags: unix.CLONE_NEWNS}
	err = cmd.Run()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		exit.Code, err = failed.ExitCode(), nil
	}
	return exit, errors.Join(err, ctx.Err())
}

func user(s platform.StepSpec) string {
	if s.UID == 0 {
		return "0:0"
	}
	return "1000:1000"
}
