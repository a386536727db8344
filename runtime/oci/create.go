package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"paas/platform"
	"paas/runtime/script"
)

// CreateOptions are those of create and run.
type CreateOptions struct {
	Bundle        string // directory with config.json
	PIDFile       string // takes the process's pid, or empty
	ConsoleSocket string // takes the terminal's master, or empty
	Preserve      int    // descriptors from 3 on that the process inherits
}

// Create makes a container, whose process waits for Start. After an error nothing is left.
func (r *Runtime) Create(ctx context.Context, id string, o CreateOptions) error {
	_, err := r.create(ctx, id, o, nil)
	return err
}

// create gives a terminal's master to terminal unless there is a console socket.
func (r *Runtime) create(ctx context.Context, id string, o CreateOptions, terminal func(*os.File) error) (pid int, err error) {
	bundle, err := filepath.Abs(o.Bundle)
	if err != nil {
		return 0, fmt.Errorf("find bundle: %w", err)
	}
	o.Bundle = bundle
	spec, err := Load(bundle)
	if err != nil {
		return 0, err
	}
	if err := o.check(spec, terminal != nil); err != nil {
		return 0, err
	}
	c, err := r.Store.make(id)
	if err != nil {
		return 0, err
	}
	defer c.close()
	m := &making{Runtime: r, container: c, spec: spec, options: o, terminal: terminal}
	if err := m.all(ctx); err != nil {
		err = errors.Join(fmt.Errorf("create %s: %w", id, err), c.scrap())
		if m.hooked {
			r.tryHooks(context.WithoutCancel(ctx), spec.Hooks.Poststop, specs.State{
				Version: c.Version, ID: c.ID, Status: specs.StateStopped, Bundle: c.Bundle, Annotations: c.Annotations,
			})
		}
		return 0, err
	}
	return c.PID, nil
}

func (o CreateOptions) check(spec *specs.Spec, terminal bool) error {
	wants := spec.Process != nil && spec.Process.Terminal
	switch {
	case wants && o.ConsoleSocket == "" && !terminal:
		return platform.Errorf(platform.Usage, "the process wants a terminal").WithHint("--console-socket names the socket that takes it")
	case !wants && o.ConsoleSocket != "":
		return platform.Errorf(platform.Usage, "--console-socket is of no use: process.terminal is false")
	}
	return nil
}

// making is one create.
type making struct {
	*Runtime
	*container
	spec     *specs.Spec
	options  CreateOptions
	terminal func(*os.File) error
	program  *os.File
	conn     *script.Conn
	hooked   bool // hooks have run: poststop hooks must too
}

func (m *making) all(ctx context.Context) (err error) {
	if err := m.describe(); err != nil {
		return err
	}
	if m.program, err = script.Program(m.Program); err != nil {
		return err
	}
	defer func() { _ = m.program.Close() }()
	if err := m.makeGroups(); err != nil {
		return err
	}
	if err := m.clone(); err != nil {
		return err
	}
	defer func() { _ = m.conn.Close() }()
	stop := m.conn.Until(ctx)
	defer stop()
	plan := planOf(m.spec, m.container)
	plan.stage = m.program
	if err := m.setUp(ctx, plan); err != nil {
		return err
	}
	return m.finish(plan)
}

// describe writes down what was asked for.
func (m *making) describe() error {
	m.Version, m.Bundle, m.Annotations, m.Preserve = m.spec.Version, m.options.Bundle, m.spec.Annotations, m.options.Preserve
	root := m.spec.Root.Path
	if !filepath.IsAbs(root) {
		root = filepath.Join(m.Bundle, root)
	}
	rootfs, err := filepath.EvalSymlinks(root)
	if err != nil {
		return platform.Errorf(platform.Failed, "root.path: %v", err)
	}
	if info, err := os.Stat(rootfs); err != nil || !info.IsDir() {
		return platform.Errorf(platform.Failed, "root.path %s is not a directory", root)
	}
	m.Rootfs = rootfs
	text, err := json.Marshal(m.spec)
	if err != nil {
		return err
	}
	if err := os.WriteFile(m.path(configName), text, 0o600); err != nil {
		return fmt.Errorf("keep the configuration: %w", err)
	}
	return m.save()
}

func (m *making) makeGroups() error {
	h, err := findHierarchies()
	if err != nil {
		return err
	}
	path, err := groupPath(m.spec.Linux.CgroupsPath, m.ID, m.Systemd)
	if err != nil {
		return err
	}
	m.Groups = h.groups(path)
	made, err := m.Groups.make()
	m.Made = made
	if err := errors.Join(err, m.save()); err != nil {
		return err
	}
	return m.Groups.limit(m.spec.Linux.Resources)
}

// clone starts the process in its groups and namespaces.
func (m *making) clone() error {
	files, flags, err := openNamespaces(m.spec)
	if err != nil {
		return err
	}
	defer closeFiles(files)
	stage := stageOptions{program: m.program, script: stageScript(m.spec, flags), files: files, place: m.Groups.place}
	if dir, ok := m.Groups.v2(); ok {
		if stage.group, err = os.Open(dir); err != nil {
			return fmt.Errorf("open cgroup: %w", err)
		}
		defer func() { _ = stage.group.Close() }()
	}
	conn, pid, err := startStage(stage)
	if err != nil {
		return err
	}
	m.conn, m.PID = conn, pid
	if _, m.StartTime, err = processStat(pid); err != nil {
		return err
	}
	if err := m.save(); err != nil {
		return err
	}
	if has(m.spec, specs.UserNamespace) != created {
		return nil
	}
	return writeMaps(pid, m.spec.Linux.UIDMappings, m.spec.Linux.GIDMappings)
}

// setUp makes everything of the container but its being locked in, and runs the hooks that look at it then.
func (m *making) setUp(ctx context.Context, p *plan) error {
	if p.shared { // if it is not attached at its place, there is nothing to detach
		m.Attached = true
		if err := m.save(); err != nil {
			return err
		}
	}
	for _, step := range p.setup(m.Bundle) {
		if err := m.step(p, step); err != nil {
			return err
		}
	}
	if err := m.Groups.restrictDevices(m.spec.Linux.Resources); err != nil {
		return err
	}
	m.hooked = true
	state := m.state()
	state.Status = specs.StateCreated // what runc and crun tell prestart hooks
	if err := runHooks(ctx, prestart(m.spec.Hooks), state); err != nil {
		return err
	}
	if err := runHooks(ctx, m.spec.Hooks.CreateRuntime, m.state()); err != nil {
		return err
	}
	return m.runInside(ctx, m.spec.Hooks.CreateContainer, m.container)
}

func (m *making) step(p *plan, write step) error {
	defer p.close()
	s := script.New()
	if err := write(s); err != nil {
		return err
	}
	s.TellStarted(script.N(0))
	if err := m.conn.Run(s, p.files...); err != nil {
		return err
	}
	return awaitStep(m.conn, nil)
}

// finish locks the container in and leaves it waiting for start.
func (m *making) finish(p *plan) error {
	s, err := p.finishScript(m.options.Preserve)
	if err != nil {
		return err
	}
	listener, err := listen(m.path(startName))
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }()
	files := []*os.File{listener, m.Stdio[0], m.Stdio[1], m.Stdio[2]}
	more, err := preserved(m.options.Preserve)
	if err != nil {
		return err
	}
	defer closeFiles(more)
	if m.spec.Process != nil && !m.spec.Process.Terminal {
		streams(m.Stdio, m.spec.Process, m.spec.Linux.UIDMappings)
	}
	if err := m.conn.Run(s, append(files, more...)...); err != nil {
		return err
	}
	if err := awaitStep(m.conn, m.takeTerminal); err != nil {
		return err
	}
	if err := m.adjust(); err != nil {
		return err
	}
	m.Phase = waiting
	return errors.Join(writePID(m.options.PIDFile, m.PID), m.save())
}

func planOf(spec *specs.Spec, c *container) *plan {
	return &plan{spec: spec, rootfs: c.Rootfs, groups: c.Groups, shared: has(spec, specs.MountNamespace) == absent}
}

// detach takes the mounts of a container without a mount namespace off the host.
func (c *container) detach() {
	if c.Attached {
		_ = unix.Unmount(c.Rootfs, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	}
}

func (m *making) takeTerminal(master *os.File) error {
	if m.options.ConsoleSocket != "" {
		return sendConsole(m.options.ConsoleSocket, master)
	}
	return m.terminal(master)
}

// adjust sets what belongs to a process and is set from outside.
func (m *making) adjust() error {
	p := m.spec.Process
	if p == nil {
		return nil
	}
	if p.OOMScoreAdj != nil {
		file := fmt.Sprintf("/proc/%d/oom_score_adj", m.PID)
		if err := writeControl(file, fmt.Sprint(*p.OOMScoreAdj)); err != nil {
			return fmt.Errorf("set oomScoreAdj to %d: %w", *p.OOMScoreAdj, err)
		}
	}
	return setLimits(m.PID, p.Rlimits)
}

// scrap takes back what a failed create made.
func (c *container) scrap() error {
	var errs []error
	if c.PID != 0 {
		_ = unix.Kill(c.PID, unix.SIGKILL)
		errs = append(errs, reap(c.PID))
	}
	c.detach()
	if c.Groups != nil {
		errs = append(errs, c.Groups.destroy(c.Made))
	}
	return errors.Join(append(errs, os.RemoveAll(c.dir))...)
}

// preserved are our own descriptors from 3 on.
func preserved(n int) (files []*os.File, err error) {
	for fd := 3; fd < 3+n; fd++ {
		dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			closeFiles(files)
			return nil, platform.Errorf(platform.Usage, "--preserve-fds %d: descriptor %d is not open", n, fd)
		}
		files = append(files, os.NewFile(uintptr(dup), "preserved"))
	}
	return files, nil
}
