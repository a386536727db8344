package buildpacks

import (
	"context"
	"errors"
	"fmt"
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

// chroots is a second, honest Executor: an overlay in mount and process namespaces of its own, and chroot.
// It has the host's network and no limits, so it is for tests of the engine only.
type chroots struct{ images *image.Store }

func (c chroots) Step(ctx context.Context, s platform.StepSpec, out io.Writer) (exit platform.Exit, err error) {
	root, err := os.MkdirTemp("", "paas-chroot-")
	if err != nil {
		return exit, err
	}
	defer func() { err = errors.Join(err, os.Remove(root)) }()
	script := append(c.mounts(s, root), fmt.Sprintf(`exec chroot --userspec=%d:%d %s /usr/bin/env -i -C %s "$@"`, s.UID, s.GID, root, s.Dir))
	args := []string{"-ec", strings.Join(script, "\n"), "sh"}
	for k, v := range s.Env {
		args = append(args, k+"="+v)
	}
	cmd := exec.CommandContext(ctx, "sh", append(args, s.Argv...)...)
	cmd.Stdout, cmd.Stderr = out, out
	// The shell is process 1 of its namespace: nothing outlives it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID, Unshareflags: unix.CLONE_NEWNS}
	err = cmd.Run()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		exit.Code, err = failed.ExitCode(), nil
	}
	return exit, errors.Join(ctx.Err(), err)
}

func (c chroots) mounts(s platform.StepSpec, root string) []string {
	var lower []string
	for i := len(s.Layers) - 1; i >= 0; i-- {
		lower = append(lower, c.images.Dir(s.Layers[i]))
	}
	work := filepath.Join(filepath.Dir(s.Upper), "work")
	script := []string{
		fmt.Sprintf("mount -t overlay overlay -o lowerdir=%s,upperdir=%s,workdir=%s %s", strings.Join(lower, ":"), s.Upper, work, root),
		"mount -t proc proc " + root + "/proc", "mount --rbind /dev " + root + "/dev",
		"cat /etc/resolv.conf > " + root + "/etc/resolv.conf",
	}
	for _, b := range s.Binds {
		target, make := filepath.Join(root, b.Target), "touch "
		if info, err := os.Stat(b.Source); err == nil && info.IsDir() {
			make = "mkdir -p "
		}
		script = append(script, "test -e "+target+" || "+make+target, "mount --bind "+b.Source+" "+target)
	}
	return script
}
