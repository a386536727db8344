package image

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// UserNS makes a user namespace that maps ids 0 to size-1 inside to base and up outside, and returns
// a descriptor of it (a /proc/PID/ns/user file) that the caller closes. No process lives in it; the
// descriptor alone keeps it. setgroups(2) is allowed inside. It blocks for about a millisecond: hold
// on to the file where many mounts use the same range.
func UserNS(base, size uint32) (*os.File, error) {
	f, err := userNS(base, size)
	if err != nil {
		return nil, fmt.Errorf("make user namespace %d+%d: %w", base, size, err)
	}
	return f, nil
}

// userNS lends a namespace a child for the time it takes to open it. The kernel makes user namespaces
// for new or single-threaded processes only, so a child there must be. As a traced one it stops right
// after execve and none of the program ever runs. Where tracing is forbidden (Yama's ptrace_scope 3) or
// taken (strace), the child is a cat that waits for input.
func userNS(base, size uint32) (*os.File, error) {
	runtime.LockOSThread() // a traced child belongs to the thread that started it
	defer runtime.UnlockOSThread()
	attr := procAttr(base, size)
	attr.Sys.Ptrace = true
	pid, err := syscall.ForkExec("/proc/self/exe", []string{"userns"}, attr)
	if errors.Is(err, unix.EPERM) {
		return waitingUserNS(base, size)
	}
	if err != nil {
		return nil, err
	}
	return openAndEnd(pid)
}

func waitingUserNS(base, size uint32) (*os.File, error) {
	cat, err := exec.LookPath("cat")
	if err != nil {
		return nil, err
	}
	in, hold, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _, _ = in.Close(), hold.Close() }()
	attr := procAttr(base, size)
	attr.Files = []uintptr{in.Fd()}
	pid, err := syscall.ForkExec(cat, []string{"cat"}, attr)
	if err != nil {
		return nil, err
	}
	return openAndEnd(pid)
}

func procAttr(base, size uint32) *syscall.ProcAttr {
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: int(base), Size: int(size)}}
	return &syscall.ProcAttr{Sys: &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER, UidMappings: ids, GidMappings: ids,
		GidMappingsEnableSetgroups: true, Pdeathsig: unix.SIGKILL,
	}}
}

func openAndEnd(pid int) (*os.File, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", pid))
	if err := errors.Join(err, end(pid)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// end kills and reaps a child. wait4 also reports a traced child's stops, hence the loop; if somebody
// in this process reaps whatever ends, there is nothing left to wait for.
func end(pid int) error {
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		return err
	}
	for {
		var status unix.WaitStatus
		_, err := unix.Wait4(pid, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR) || err == nil && status.Stopped():
			continue
		case errors.Is(err, unix.ECHILD):
			return nil
		}
		return err
	}
}
