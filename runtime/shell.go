package runtime

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"paas/runtime/network"
	"paas/runtime/script"
)

// shell is an empty container, made ahead of need: control groups, namespaces, an address, and a process 1
// that waits for its script. What is slow about a container is in it; what tells containers apart is not.
// It ends with the daemon, as its control socket does.
type shell struct {
	name     string // of its groups
	dir      string // takes the writes
	group    cgroup
	init     *process
	conn     *script.Conn
	endpoint *network.Endpoint
}

// newShell blocks for some ten milliseconds, most of it waiting for the kernel's RCU grace periods. After
// an error nothing is left.
func (r *Runtime) newShell(group string) (*shell, error) {
	s := &shell{name: strings.ToLower(rand.Text()[:16])}
	if err := r.fillShell(s, group); err != nil {
		return nil, errors.Join(fmt.Errorf("make an empty container: %w", err), r.dropShell(s))
	}
	return s, nil
}

func (r *Runtime) fillShell(s *shell, group string) (err error) {
	if s.dir, err = r.writable(s.name); err != nil {
		return err
	}
	if s.group, err = r.groups.create(group, s.name); err != nil {
		return err
	}
	if err := r.cloneShell(s); err != nil {
		return err
	}
	endpoint, err := r.options.Network.Attach(s.init.pid, s.name)
	if err != nil {
		return err
	}
	s.endpoint = &endpoint
	return s.await()
}

// await waits until process 1 has mounted what is mounted ahead. A shell that could not must never wait in a pool:
// who takes one that has ended takes the next, for ever.
func (s *shell) await() error {
	m, err := s.conn.Receive()
	if err == nil && !m.Started {
		err = errors.New("process 1 said something else than that it is ready")
	}
	return err
}

// namespaces of a container. The user namespace has no ids until it is known whose container it is.
const namespaces = unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET |
	unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWCGROUP

// cloneShell starts the stage in the group, so that process 1 is born there: on cgroup v1 moving a
// process waits for the kernel, and the group is the root of what the container sees of groups.
func (r *Runtime) cloneShell(s *shell) error {
	dir, err := s.group.open()
	if err != nil {
		return err
	}
	if dir != nil {
		defer func() { _ = dir.Close() }()
	}
	var stage int
	s.conn, stage, err = script.Start(script.Options{Program: r.program, Cgroup: dir})
	if err != nil {
		return err
	}
	defer reap(stage)
	if err := s.group.place(stage); err != nil {
		return errors.Join(err, unix.Kill(stage, unix.SIGKILL))
	}
	clone := script.New()
	ownCounters(clone)
	clone.Clone(namespaces)
	if err := s.conn.Run(clone); err != nil {
		return errors.Join(err, unix.Kill(stage, unix.SIGKILL))
	}
	pid, pidfd, err := s.conn.Ready()
	if err != nil {
		return errors.Join(err, unix.Kill(stage, unix.SIGKILL))
	}
	if s.init, err = holdProcess(pid, pidfd); err != nil {
		return err
	}
	ahead := script.New()
	mountAhead(ahead)
	return s.conn.Run(ahead)
}

// ownCounters makes the maker of the user namespace a user of the host whom nobody else is. What the kernel counts for
// a user inside (inotify instances, pending signals, message queues, locked memory: ucounts), it counts for the maker
// too: made by root, all containers and the host's root would share the bounds of one user. The maker has all rights
// in the namespace, so it must be nobody whom the host or an app runs as: ids from 1<<31 on are neither handed out
// nor those of apps. Two that meet by chance share what all would have shared.
func ownCounters(s *script.Script) {
	const keepCapabilities = 1 << 2 // SECBIT_NO_SETUID_FIXUP of linux/securebits.h: some hosts let only these make one
	s.Try("keep capabilities", unix.SYS_PRCTL, script.N(unix.PR_SET_SECUREBITS), script.N(keepCapabilities))
	var b [4]byte
	_, _ = rand.Read(b[:]) // it never fails
	maker := firstMaker | binary.LittleEndian.Uint32(b[:])&makers
	s.Do("become the user namespace's maker", unix.SYS_SETRESUID, script.N(unchanged), script.N(maker), script.N(unchanged))
}

const (
	firstMaker = 1 << 31
	makers     = 1<<30 - 1
	unchanged  = ^uint32(0) // an id, for setresuid(2)
)

// mountAhead makes what every container has of /proc and /sys before it is known whose it is: for a new /sys the
// kernel looks at every other one on the host.
func mountAhead(s *script.Script) {
	for _, m := range []struct {
		fstype   string
		attr, at int
	}{{"proc", procAttr, procAhead}, {"sysfs", sysAttr, sysAhead}} {
		mount := s.NewMount(m.fstype, m.attr)
		s.Do("keep "+m.fstype, unix.SYS_DUP3, mount, script.N(m.at), script.N(unix.O_CLOEXEC))
		s.Close(mount)
	}
	s.TellStarted(script.N(1))
}

// Descriptors of process 1 for the mounts that were made ahead, far above those that the kernel gives.
const (
	procAhead = 500 + iota
	sysAhead
)

func reap(pid int) {
	for {
		if _, err := unix.Wait4(pid, nil, 0, nil); err != unix.EINTR {
			return
		}
	}
}

// assign gives the shell's ids to an app. Process 1 has all rights in its namespaces, and none outside.
func (s *shell) assign(appID int64) error {
	base, err := uidBase(appID)
	if err != nil {
		return err
	}
	line := fmt.Sprintf("0 %d %d\n", base, rangeSize)
	for _, file := range []string{"uid_map", "gid_map"} {
		if err := writeControl("/proc/"+strconv.Itoa(s.init.pid)+"/"+file, line); err != nil {
			return fmt.Errorf("write %s: %w", file, err)
		}
	}
	return nil
}

// alive tells whether process 1 still waits.
func (s *shell) alive() bool { return !hasEndedFile(s.init.fd) }

func hasEndedFile(f *os.File) bool {
	raw, err := f.SyscallConn()
	if err != nil {
		return true
	}
	ended := false
	err = raw.Control(func(fd uintptr) { ended = hasEnded(fd) })
	return err != nil || ended
}

// dropShell removes a shell that nobody used, as far as it got.
func (r *Runtime) dropShell(s *shell) error {
	if s.conn != nil {
		_ = s.conn.Close()
	}
	if s.init != nil {
		s.init.signal(unix.SIGKILL)
		_ = s.init.wait()
		s.init.close()
	}
	var errs []error
	if s.group.of != nil {
		errs = append(errs, s.group.remove())
	}
	if s.endpoint != nil {
		errs = append(errs, r.options.Network.Detach(*s.endpoint))
	}
	return errors.Join(append(errs, r.recycle(s.dir))...)
}
