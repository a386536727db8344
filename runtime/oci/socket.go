package oci

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
	"paas/runtime/script"
)

// listen makes the socket on which the process waits for start. Its directory is closed to all but root.
func listen(path string) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), path)
	err = short(path, func(address *unix.SockaddrUnix) error { return unix.Bind(fd, address) })
	if err == nil {
		err = unix.Listen(fd, 1)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return f, nil
}

// short gives a path that fits an address, which holds 107 bytes: through a descriptor of its directory.
func short(path string, use func(*unix.SockaddrUnix) error) error {
	dir, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(dir) }()
	return use(&unix.SockaddrUnix{Name: "/proc/self/fd/" + strconv.Itoa(dir) + "/" + filepath.Base(path)})
}

// dial connects to a process that waits for start; s is what it executes then.
func dial(path string, s *script.Script) (*script.Conn, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := short(path, func(address *unix.SockaddrUnix) error { return unix.Connect(fd, address) }); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("connect to %s: %w", path, err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return script.Resume(os.NewFile(uintptr(fd), path), s), nil
}

// sendConsole gives a terminal's master to whoever listens on the socket. The name beside it is of no
// meaning, but not empty.
func sendConsole(path string, master *os.File) error {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return fmt.Errorf("send the terminal: %w", err)
	}
	defer func() { _ = conn.Close() }()
	rights := unix.UnixRights(int(master.Fd()))
	if _, _, err := conn.(*net.UnixConn).WriteMsgUnix([]byte("/dev/pts/ptmx"), rights, nil); err != nil {
		return fmt.Errorf("send the terminal: %w", err)
	}
	return nil
}
