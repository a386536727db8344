package oci

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"paas/platform"
	"paas/runtime/script"
)

// openNamespaces opens the namespaces that are joined and makes sure that each is of its kind.
func openNamespaces(spec *specs.Spec) (files []*os.File, flags []uintptr, err error) {
	for _, k := range namespaceKinds() {
		for _, ns := range spec.Linux.Namespaces {
			if ns.Type != k.kind || ns.Path == "" {
				continue
			}
			f, err := openNamespace(ns.Path, k)
			if err != nil {
				closeFiles(files)
				return nil, nil, err
			}
			files, flags = append(files, f), append(flags, k.flag)
		}
	}
	return files, flags, nil
}

func openNamespace(path string, k namespaceKind) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open %s namespace: %w", k.kind, err)
	}
	kind, err := unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_NSTYPE)
	if err != nil || uintptr(kind) != k.flag {
		_ = f.Close()
		return nil, platform.Errorf(platform.Failed, "%s is not a %s namespace", path, k.kind)
	}
	return f, nil
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// newNamespaces are the flags of those to be made. A time namespace is made beforehand, for its offsets are
// set before the first process is in it (time_namespaces(7)).
func newNamespaces(spec *specs.Spec) (flags uint64) {
	for _, k := range namespaceKinds() {
		if k.kind != specs.TimeNamespace && has(spec, k.kind) == created {
			flags |= uint64(k.flag)
		}
	}
	return flags
}

// stageScript joins namespaces, makes new ones and goes on as their process.
func stageScript(spec *specs.Spec, joined []uintptr) *script.Script {
	s := script.New()
	var files []script.Arg
	for range joined {
		files = append(files, s.Inherit())
	}
	for i, flag := range joined {
		s.Do("join a namespace", unix.SYS_SETNS, files[i], script.N(flag))
	}
	if has(spec, specs.TimeNamespace) == created {
		s.Do("make a time namespace", unix.SYS_UNSHARE, script.N(unix.CLONE_NEWTIME))
		setOffsets(s, spec.Linux.TimeOffsets)
	}
	s.Clone(newNamespaces(spec))
	return s
}

func setOffsets(s *script.Script, offsets map[string]specs.LinuxTimeOffset) {
	if len(offsets) == 0 {
		return
	}
	var text strings.Builder
	for clock, o := range offsets {
		fmt.Fprintln(&text, clock, o.Secs, o.Nanosecs)
	}
	fd := s.Do("open the clocks' offsets", unix.SYS_OPENAT, script.N(unix.AT_FDCWD), s.String("/proc/self/timens_offsets"),
		script.N(unix.O_WRONLY|unix.O_CLOEXEC), script.N(0))
	s.Do("set the clocks' offsets", unix.SYS_WRITE, fd, s.String(text.String()), script.N(text.Len()))
	s.Close(fd)
}

// writeMaps gives a new user namespace its ids.
func writeMaps(pid int, uids, gids []specs.LinuxIDMapping) error {
	for file, maps := range map[string][]specs.LinuxIDMapping{"uid_map": uids, "gid_map": gids} {
		var text strings.Builder
		for _, m := range maps {
			fmt.Fprintln(&text, m.ContainerID, m.HostID, m.Size)
		}
		if err := writeControl(fmt.Sprintf("/proc/%d/%s", pid, file), text.String()); err != nil {
			return fmt.Errorf("write %s: %w", file, err)
		}
	}
	return nil
}

// userNamespace makes one that no process lives in: the descriptor alone keeps it.
func userNamespace(program *os.File, uids, gids []specs.LinuxIDMapping) (_ *os.File, err error) {
	spec := &specs.Spec{Linux: &specs.Linux{Namespaces: []specs.LinuxNamespace{{Type: specs.UserNamespace}}}}
	conn, pid, err := startStage(stageOptions{program: program, script: stageScript(spec, nil)})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close(), reap(pid)) }()
	if err := writeMaps(pid, uids, gids); err != nil {
		return nil, err
	}
	return os.Open(fmt.Sprintf("/proc/%d/ns/user", pid))
}

// stageOptions say what a stage does.
type stageOptions struct {
	program *os.File
	script  *script.Script // ends with Clone
	files   []*os.File
	group   *os.File            // cgroup v2 directory that the process is born in, or nil
	place   func(pid int) error // into its other groups, or nil
}

// startStage runs a stage and returns the process that it left, our child, which waits for its script.
func startStage(o stageOptions) (_ *script.Conn, pid int, err error) {
	conn, stage, err := script.Start(script.Options{Program: o.program, Cgroup: o.group})
	if err != nil {
		return nil, 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, conn.Close())
		}
	}()
	pid, err = runStage(conn, stage, o)
	if err := errors.Join(err, reapAfter(stage, err)); err != nil {
		return nil, 0, err
	}
	return conn, pid, nil
}

func runStage(conn *script.Conn, stage int, o stageOptions) (pid int, err error) {
	if o.place != nil {
		if err := o.place(stage); err != nil {
			return 0, err
		}
	}
	if err := conn.Run(o.script, o.files...); err != nil {
		return 0, err
	}
	pid, pidfd, err := conn.Ready()
	if err != nil {
		return 0, err
	}
	_ = unix.Close(pidfd) // a child of ours: its pid is not reused before we reap it
	return pid, nil
}

// reapAfter reaps a stage, which did not end by itself if there was an error.
func reapAfter(pid int, err error) error {
	if err != nil {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	return reap(pid)
}

// reap waits for a child of ours.
func reap(pid int) error {
	for {
		_, err := unix.Wait4(pid, nil, 0, nil)
		if err != unix.EINTR {
			if err == unix.ECHILD {
				return nil
			}
			return err
		}
	}
}
