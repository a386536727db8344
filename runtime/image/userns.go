package image

import (
	"errors"
	"fmt"
	"os"
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
// for new or single-threaded processes only, so a child there must be; as a traced one it stops right
// after execve and none of the program ever runs.
func userNS(base, size uint32) (*os.File, error) {
	runtime.LockOSThread() // a traced child belongs to the thread that started it
	defer runtime.UnlockOSThread()
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: int(base), Size: int(size)}}
	pid, err := syscall.ForkExec("/proc/self/exe", []string{"userns"}, &syscall.ProcAttr{
		Sys: &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWUSER, UidMappings: ids, GidMappings: ids,
			GidMappingsEnableSetgroups: true,
			Ptrace:                     true, Pdeathsig: unix.SIGKILL,
		},
	})
	if err != nil {
		return nil, err
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", pid))
	return f, errors.Join(err, end(pid))
}

// end kills and reaps a child. wait4 also reports a traced child's stops, hence the loop.
func end(pid int) error {
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		return err
	}
	for {
		var status unix.WaitStatus
		_, err := unix.Wait4(pid, &status, 0, nil)
		if errors.Is(err, unix.EINTR) || err == nil && status.Stopped() {
			continue
		}
		return err
	}
}
