package oci

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"paas/platform"
	"paas/runtime/script"
)

// ExecOptions are those of exec.
type ExecOptions struct {
	Process       specs.Process
	PIDFile       string
	ConsoleSocket string
	Preserve      int
}

// Exec executes a further process in a running container and returns its pid, a child of ours, when that was
// done. A terminal's master goes to the console socket, or else to terminal.
func (r *Runtime) Exec(ctx context.Context, id string, o ExecOptions, terminal func(*os.File) error) (pid int, err error) {
	c, err := r.Store.open(id)
	if err != nil {
		return 0, err
	}
	defer c.close()
	if s := c.status(); s != specs.StateRunning && s != specs.StateCreated {
		return 0, platform.Errorf(platform.Conflict, "container %s is %s", id, s)
	}
	if err := CheckProcess(&o.Process); err != nil {
		return 0, platform.Errorf(platform.Failed, "%v", err)
	}
	spec, err := c.config()
	if err != nil {
		return 0, err
	}
	if pid, err = r.exec(ctx, c, spec, o, terminal); err != nil {
		return 0, fmt.Errorf("exec in %s: %w", id, err)
	}
	return pid, writePID(o.PIDFile, pid)
}

func (r *Runtime) exec(ctx context.Context, c *container, spec *specs.Spec, o ExecOptions, terminal func(*os.File) error) (pid int, err error) {
	s, err := execScript(spec, &o.Process, o.Preserve)
	if err != nil {
		return 0, err
	}
	more, err := preserved(o.Preserve)
	if err != nil {
		return 0, err
	}
	defer closeFiles(more)
	conn, pid, err := r.enter(c)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			_ = unix.Kill(pid, unix.SIGKILL)
			err = errors.Join(err, reap(pid))
		}
		err = errors.Join(err, conn.Close())
	}()
	stop := conn.Until(ctx)
	defer stop()
	if err := setLimits(pid, o.Process.Rlimits); err != nil {
		return 0, err
	}
	if !o.Process.Terminal {
		streams(r.Stdio, &o.Process, spec.Linux.UIDMappings)
	}
	if err := conn.Run(s, append([]*os.File{r.Stdio[0], r.Stdio[1], r.Stdio[2]}, more...)...); err != nil {
		return 0, err
	}
	if o.ConsoleSocket != "" {
		terminal = func(master *os.File) error { return sendConsole(o.ConsoleSocket, master) }
	}
	return pid, awaitExec(conn, terminal)
}

// awaitExec takes the terminal and returns when the process was executed.
func awaitExec(conn *script.Conn, terminal func(*os.File) error) error {
	for {
		m, err := conn.Receive()
		if err != nil {
			return scriptError(err)
		}
		if m.File == nil {
			continue
		}
		if err := errors.Join(terminal(m.File), m.File.Close()); err != nil {
			return err
		}
	}
}

// execScript is what the process does once it is in the namespaces.
func execScript(spec *specs.Spec, p *specs.Process, preserve int) (*script.Script, error) {
	s := script.New()
	stdio := [3]script.Arg{s.Inherit(), s.Inherit(), s.Inherit()}
	var more []script.Arg
	for range preserve {
		more = append(more, s.Inherit())
	}
	if p.OOMScoreAdj == nil && spec.Process != nil {
		p.OOMScoreAdj = spec.Process.OOMScoreAdj
	}
	if p.OOMScoreAdj != nil {
		s.TryWrite(script.N(unix.AT_FDCWD), "/proc/self/oom_score_adj", fmt.Sprint(*p.OOMScoreAdj))
	}
	if p.Terminal {
		root := s.Do("open /", unix.SYS_OPENAT, script.N(unix.AT_FDCWD), s.String("/"), script.N(unix.O_PATH|unix.O_CLOEXEC), script.N(0))
		openTerminal(s, root, p, false)
		s.Close(root)
	} else {
		s.Stdio(stdio)
	}
	return s, become(s, spec, p, more)
}

// enter leaves a process, our child, in the container's groups and namespaces, which waits for its script.
func (r *Runtime) enter(c *container) (*script.Conn, int, error) {
	pidfd, err := c.pidfd()
	if err != nil {
		return nil, 0, err
	}
	target := os.NewFile(uintptr(pidfd), "pidfd")
	defer func() { _ = target.Close() }()
	flags, err := othersNamespaces(c.PID)
	if err != nil {
		return nil, 0, err
	}
	program, err := script.Program(r.Program)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = program.Close() }()
	stage := stageOptions{program: program, script: enterScript(flags), files: []*os.File{target}, place: c.Groups.place}
	if dir, ok := c.Groups.v2(); ok {
		if stage.group, err = os.Open(dir); err != nil {
			return nil, 0, fmt.Errorf("open cgroup: %w", err)
		}
		defer func() { _ = stage.group.Close() }()
	}
	return startStage(stage)
}

// enterScript joins all namespaces in one call, which lets the rights in a new user namespace count for
// the others without an order of ours (setns(2), Linux 5.8).
func enterScript(flags uintptr) *script.Script {
	s := script.New()
	target := s.Inherit()
	s.Do("join the container's namespaces", unix.SYS_SETNS, target, script.N(flags))
	if flags&unix.CLONE_NEWUSER != 0 {
		s.SetIDs(0, 0, nil)
	}
	s.Close(target)
	s.Clone(0)
	return s
}

// othersNamespaces are the flags of those that a process does not share with us.
func othersNamespaces(pid int) (flags uintptr, err error) {
	for _, k := range namespaceKinds() {
		own, err := os.Stat("/proc/self/ns/" + k.file)
		if errors.Is(err, os.ErrNotExist) {
			continue // a kernel without it
		}
		theirs, theirErr := os.Stat(fmt.Sprintf("/proc/%d/ns/%s", pid, k.file))
		if err := errors.Join(err, theirErr); err != nil {
			return 0, fmt.Errorf("compare namespaces: %w", err)
		}
		if !os.SameFile(own, theirs) {
			flags |= k.flag
		}
	}
	return flags, nil
}

// ProcessOf is the container's own process with another command, for exec without a description.
func (r *Runtime) ProcessOf(id string, args []string) (specs.Process, error) {
	c, err := r.Store.peek(id)
	if err != nil {
		return specs.Process{}, err
	}
	spec, err := c.config()
	if err != nil {
		return specs.Process{}, err
	}
	if spec.Process == nil {
		return specs.Process{}, platform.Errorf(platform.Failed, "container %s has no process", id)
	}
	p := *spec.Process
	p.Args, p.Terminal, p.ConsoleSize = args, false, nil
	return p, nil
}

// Info is one line of list.
type Info struct {
	specs.State
	Rootfs  string `json:"rootfs"`
	Created string `json:"created"` // RFC 3339
	Owner   string `json:"owner"`
}

// List tells about all containers. One that is deleted meanwhile is left out.
func (r *Runtime) List() ([]Info, error) {
	ids, err := r.Store.ids()
	if err != nil {
		return nil, err
	}
	list := []Info{}
	for _, id := range ids {
		c, err := r.Store.peek(id)
		var e *platform.Error
		if errors.As(err, &e) && e.Kind == platform.NotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, Info{c.state(), c.Rootfs, c.Created.Format("2006-01-02T15:04:05.999999999Z07:00"), "root"})
	}
	return list, nil
}

// Processes are the pids of a container's processes on the host.
func (r *Runtime) Processes(id string) ([]int, error) {
	c, err := r.Store.peek(id)
	if err != nil {
		return nil, err
	}
	pids := c.Groups.processes()
	if len(pids) == 0 && c.alive() {
		pids = []int{c.PID}
	}
	slices.Sort(pids)
	return pids, nil
}
