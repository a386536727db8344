package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"paas/runtime/script"
)

// runHooks runs hooks of the host in their order; the first that fails ends it. Each reads the container's
// state from its stdin.
func runHooks(ctx context.Context, hooks []specs.Hook, state specs.State) error {
	for _, h := range hooks {
		if err := runHook(ctx, h, state); err != nil {
			return err
		}
	}
	return nil
}

// tryHooks runs all hooks; what fails is only told.
func (r *Runtime) tryHooks(ctx context.Context, hooks []specs.Hook, state specs.State) {
	for _, h := range hooks {
		if err := runHook(ctx, h, state); err != nil {
			r.warn(err)
		}
	}
}

func runHook(ctx context.Context, h specs.Hook, state specs.State) error {
	ctx, cancel := hookContext(ctx, h)
	defer cancel()
	text, err := json.Marshal(state)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, h.Path)
	if len(h.Args) > 0 {
		cmd.Args = h.Args
	}
	var out bytes.Buffer
	cmd.Env = append([]string{}, h.Env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(text), &out, &out
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("hook %s: %w", h.Path, errors.Join(err, ctx.Err(), said(out.String())))
	}
	return nil
}

func said(output string) error {
	if output = strings.TrimSpace(output); output != "" {
		return errors.New(output)
	}
	return nil
}

func hookContext(ctx context.Context, h specs.Hook) (context.Context, context.CancelFunc) {
	if h.Timeout == nil {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Duration(*h.Timeout)*time.Second)
}

// runInside runs hooks in the container's namespaces.
func (r *Runtime) runInside(ctx context.Context, hooks []specs.Hook, c *container) error {
	for _, h := range hooks {
		if err := r.runHookInside(ctx, h, c); err != nil {
			return fmt.Errorf("hook %s: %w", h.Path, err)
		}
	}
	return nil
}

func (r *Runtime) runHookInside(ctx context.Context, h specs.Hook, c *container) error {
	ctx, cancel := hookContext(ctx, h)
	defer cancel()
	stdin, err := stateFile(c.state())
	if err != nil {
		return err
	}
	defer func() { _ = stdin.Close() }()
	conn, pid, err := r.enter(c)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	kill := context.AfterFunc(ctx, func() { _ = unix.Kill(pid, unix.SIGKILL) })
	defer kill()
	err = conn.Run(hookScript(h), stdin, os.Stderr, os.Stderr)
	if err == nil {
		_, err = conn.Receive() // the end of the connection is the success of execve(2)
	}
	status, waitErr := waitFor(pid)
	if err := scriptError(err); err != nil {
		return err
	}
	if waitErr == nil && status != 0 {
		waitErr = fmt.Errorf("exit status %d", status)
	}
	return errors.Join(waitErr, ctx.Err())
}

// hookScript executes a hook with all rights of the container's namespaces, and none of the host's
// descriptors.
func hookScript(h specs.Hook) *script.Script {
	s := script.New()
	in, out, errs := s.Inherit(), s.Inherit(), s.Inherit()
	s.Stdio([3]script.Arg{in, out, errs})
	s.KeepOnlyStdio()
	argv := h.Args
	if len(argv) == 0 {
		argv = []string{h.Path}
	}
	s.Do("unblock signals", unix.SYS_RT_SIGPROCMASK, script.N(2), s.Words(0), script.N(0), script.N(8)) // SIG_SETMASK
	s.Do("execute "+h.Path, unix.SYS_EXECVE, s.String(h.Path), s.Strings(argv), s.Strings(h.Env))
	return s
}

// stateFile is a file that exists nowhere.
func stateFile(state specs.State) (*os.File, error) {
	text, err := json.Marshal(state)
	if err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate("state", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "state")
	_, err = f.Write(text)
	if _, seekErr := f.Seek(0, 0); err == nil {
		err = seekErr
	}
	return f, err
}

// waitFor waits for a child and returns its status as a shell has it.
func waitFor(pid int) (int, error) {
	for {
		var status unix.WaitStatus
		_, err := unix.Wait4(pid, &status, 0, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("wait for process %d: %w", pid, err)
		}
		if status.Signaled() {
			return 128 + int(status.Signal()), nil
		}
		return status.ExitStatus(), nil
	}
}
