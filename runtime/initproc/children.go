package initproc

import (
	"os"
	"os/signal"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// children knows the processes somebody waits for. All others that end below init are orphans.
type children struct {
	mu      sync.Mutex
	waiting map[int]chan unix.WaitStatus
}

func newChildren() *children { return &children{waiting: make(map[int]chan unix.WaitStatus)} }

// start executes a process; its status comes through the channel once. The lock is held over the fork,
// so that a child that ends at once is not taken for an orphan.
func (c *children) start(l launch) (int, <-chan unix.WaitStatus, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pid, err := l.start()
	if err != nil {
		return 0, nil, err
	}
	ended := make(chan unix.WaitStatus, 1)
	c.waiting[pid] = ended
	return pid, ended, nil
}

func (c *children) ended(pid int, status unix.WaitStatus) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ch, ok := c.waiting[pid]; ok {
		ch <- status
		delete(c.waiting, pid)
	}
}

// listen takes the signals init cares for; the rest get their default action, from which the kernel
// shields the first process of a PID namespace. The Go runtime had handlers for those that end it.
func (c *children) listen() <-chan os.Signal {
	ch := make(chan os.Signal, 16)
	signal.Notify(ch, unix.SIGCHLD, unix.SIGTERM, unix.SIGHUP)
	for s := unix.Signal(1); s <= 31; s++ {
		switch s {
		case unix.SIGCHLD, unix.SIGTERM, unix.SIGHUP, unix.SIGPIPE, unix.SIGURG:
		default:
			defaultAction(s)
		}
	}
	return ch
}

func defaultAction(s unix.Signal) {
	var action [4]uint64 // struct sigaction of the kernel on 64-bit machines: handler, flags, restorer, mask
	_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
}

// serve reaps, and forwards SIGTERM (as the stop signal) and SIGHUP to the app's process group.
func (c *children) serve(signals <-chan os.Signal, app int, stop unix.Signal) {
	c.reap()
	for s := range signals {
		switch s {
		case unix.SIGCHLD:
			c.reap()
		case unix.SIGTERM:
			_ = unix.Kill(-app, stop)
		case unix.SIGHUP:
			_ = unix.Kill(-app, unix.SIGHUP)
		}
	}
}

func (c *children) reap() {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		c.ended(pid, status)
	}
}

// killAll ends every other process of the container and returns when all are gone.
func (c *children) killAll() {
	for {
		_ = unix.Kill(-1, unix.SIGKILL)
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		if err == unix.ECHILD {
			return
		}
		if err == nil {
			c.ended(pid, status)
		}
	}
}
