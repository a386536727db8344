package runtime

import (
	"os"

	"golang.org/x/sys/unix"
)

// process is the init of a container, held by a pidfd: unlike a pid it never comes to mean another one.
type process struct {
	pid    int
	fd     *os.File
	status unix.WaitStatus // after wait, if the process was our child
}

// holdProcess takes a pidfd. It is non-blocking, so that the poller waits for it and not a thread.
func holdProcess(pid, pidfd int) (*process, error) {
	if err := unix.SetNonblock(pidfd, true); err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return &process{pid: pid, fd: os.NewFile(uintptr(pidfd), "pidfd")}, nil
}

// findProcess holds a process of a former daemon, if it is still the one that started at that time.
func findProcess(pid int, started uint64) (*process, bool) {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, false
	}
	// One that ended may still be there, as a zombie that its new parent was slow to reap.
	if at, err := startTime(pid); err != nil || at != started || hasEnded(uintptr(pidfd)) {
		_ = unix.Close(pidfd)
		return nil, false
	}
	p, err := holdProcess(pid, pidfd)
	return p, err == nil
}

// signal sends a signal; a process that ended gets none.
func (p *process) signal(s unix.Signal) {
	raw, err := p.fd.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { _ = unix.PidfdSendSignal(int(fd), s, nil, 0) })
}

// wait blocks until the process and, it being an init, all of its PID namespace ended. It reaps it if
// it is a child. The error is os.ErrClosed after close.
func (p *process) wait() error {
	raw, err := p.fd.SyscallConn()
	if err != nil {
		return err
	}
	if err := raw.Read(hasEnded); err != nil {
		return os.ErrClosed
	}
	for {
		_, err := unix.Wait4(p.pid, &p.status, 0, nil)
		if err != unix.EINTR {
			return nil // ECHILD: somebody else's child
		}
	}
}

// hasEnded tells whether a pidfd is readable: pidfd_open(2).
func hasEnded(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0
}

func (p *process) close() { _ = p.fd.Close() }

// signalName is "SIGKILL" for 9 and empty for 0.
func signalName(n int) string {
	if n == 0 {
		return ""
	}
	return unix.SignalName(unix.Signal(n))
}
