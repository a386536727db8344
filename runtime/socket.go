package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// ourEnd is non-blocking, so that it can be given deadlines and closed while it is read.
func ourEnd(fd int) *os.File {
	_ = unix.SetNonblock(fd, true)
	return os.NewFile(uintptr(fd), "ours")
}

// pipe makes a pipe whose far end, the writing one if inward, is for a container: it blocks, as
// programs expect, and belongs to the container's user, who may open /dev/stdout again.
func pipe(inward bool, uid, gid int) (ours, theirs *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, os.NewSyscallError("pipe2", err)
	}
	if !inward {
		fds[0], fds[1] = fds[1], fds[0]
	}
	_ = unix.Fchown(fds[1], uid, gid)
	return ourEnd(fds[0]), os.NewFile(uintptr(fds[1]), "theirs"), nil
}

func dup(f *os.File) (*os.File, error) {
	if f == nil {
		return nil, os.ErrInvalid
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// listen makes a listening unix socket as a file in dir.
func listen(dir, name string) (*os.File, error) {
	return unixSocket(dir, name, func(fd int, address *unix.SockaddrUnix) error {
		if err := unix.Bind(fd, address); err != nil {
			return err
		}
		return unix.Listen(fd, 64)
	})
}

// dial connects to a unix socket in dir.
func dial(dir, name string) (*os.File, error) {
	f, err := unixSocket(dir, name, func(fd int, address *unix.SockaddrUnix) error {
		if err := unix.Connect(fd, address); err != nil {
			return err
		}
		return unix.SetNonblock(fd, true)
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return dup(f) // now non-blocking: this one is known to the poller
}

// unixSocket goes by the directory's descriptor: a socket's path has at most 107 bytes (unix(7)).
func unixSocket(dir, name string, use func(fd int, address *unix.SockaddrUnix) error) (*os.File, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	address := &unix.SockaddrUnix{Name: filepath.Join("/proc/self/fd", strconv.Itoa(int(d.Fd())), name)}
	if err := use(fd, address); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("unix socket %s: %w", filepath.Join(dir, name), err)
	}
	return os.NewFile(uintptr(fd), name), nil
}
