package oci

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"paas/platform"
	"paas/runtime/script"
	"paas/runtime/seccomp"
)

// Runtime does the operations of the specification (runtime.md) on the containers of a state directory.
// Those that change one wait for each
// other; State, Kill, List and Processes wait for nobody.
type Runtime struct {
	Store   *Store
	Program string      // path of paas-init
	Systemd bool        // cgroupsPath has systemd's form
	Warn    func(error) // hears of what went wrong without being the end
	Stdio   [3]*os.File // what processes inherit
}

func (r *Runtime) warn(err error) {
	if r.Warn != nil {
		r.Warn(err)
	}
}

// checkSeccomp refuses rules that cannot be compiled, before anything is made.
func checkSeccomp(s *specs.Spec) error {
	rules := s.Linux.Seccomp
	if rules == nil {
		return nil
	}
	if rules.ListenerPath != "" {
		return errors.New("seccomp.listenerPath: notifications are not supported")
	}
	for _, f := range rules.Flags {
		if _, ok := seccompFlags()[f]; !ok {
			return fmt.Errorf("seccomp flag %q is not supported", f)
		}
	}
	_, err := seccomp.CompileSpec(rules)
	return err
}

// scriptError is nil when the program went away, as it does when it executes the process.
func scriptError(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	var e *script.Error
	if errors.As(err, &e) && e.Exec() {
		return platform.Errorf(platform.Failed, "%s", e.Error()).WithHint("process.args must name a program of the container")
	}
	return err
}

// awaitStep waits until the program answers that a script is done. Files that it sends meanwhile go to take.
func awaitStep(conn *script.Conn, take func(*os.File) error) error {
	for {
		m, err := conn.Receive()
		if errors.Is(err, io.EOF) {
			return errors.New("the container's first process died")
		}
		if err != nil {
			return err
		}
		if m.File != nil {
			if err := errors.Join(take(m.File), m.File.Close()); err != nil {
				return err
			}
		}
		if m.Started {
			return nil
		}
	}
}

// writePID is for whoever watches the process.
func writePID(path string, pid int) error {
	if path == "" {
		return nil
	}
	if err := replaceFile(path, []byte(strconv.Itoa(pid)), 0o644); err != nil {
		return fmt.Errorf("write pid file: %w", err)
	}
	return nil
}

// State tells about one container.
func (r *Runtime) State(id string) (specs.State, error) {
	c, err := r.Store.peek(id)
	if err != nil {
		return specs.State{}, err
	}
	return c.state(), nil
}

// Kill sends a signal to the container's process, or to all of its processes.
func (r *Runtime) Kill(id string, signal unix.Signal, all bool) error {
	c, err := r.Store.peek(id)
	if err != nil {
		return err
	}
	if all {
		c.Groups.signal(signal)
		return nil
	}
	switch c.status() {
	case specs.StateCreated, specs.StateRunning, StatePaused:
	default:
		return platform.Errorf(platform.Conflict, "container %s is not running", id)
	}
	return c.kill(signal)
}

// kill reaches the process that was meant, even if it ends now and its pid is given to another.
func (c *container) kill(signal unix.Signal) error {
	pidfd, err := c.pidfd()
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(pidfd) }()
	if err := unix.PidfdSendSignal(pidfd, signal, nil, 0); err != nil {
		return fmt.Errorf("kill %s: %w", c.ID, err)
	}
	return nil
}

// pidfd is of the container's process. The caller closes it.
func (c *container) pidfd() (int, error) {
	fd, err := unix.PidfdOpen(c.PID, 0)
	if err == nil && c.alive() {
		return fd, nil
	}
	if err == nil {
		_ = unix.Close(fd)
	}
	return -1, platform.Errorf(platform.Conflict, "container %s is not running", c.ID)
}

// Pause freezes all processes of a running container, Resume lets them go on.
func (r *Runtime) Pause(id string) error { return r.freeze(id, specs.StateRunning, true) }

// Resume undoes Pause.
func (r *Runtime) Resume(id string) error { return r.freeze(id, StatePaused, false) }

func (r *Runtime) freeze(id string, from specs.ContainerState, on bool) error {
	c, err := r.Store.open(id)
	if err != nil {
		return err
	}
	defer c.close()
	if s := c.status(); s != from {
		return platform.Errorf(platform.Conflict, "container %s is %s, not %s", id, s, from)
	}
	return c.Groups.freeze(on)
}
