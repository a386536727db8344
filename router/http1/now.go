package http1

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readNow, writeNow and writeLast are read(2), write(2) and send(2) on a socket that does not block, without telling the scheduler: they
// return within microseconds, and telling it costs as much as a tenth of them.

func readNow(fd uintptr, b []byte) (int, error) {
	return done(syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b))))
}

func writeNow(fd uintptr, b []byte) (int, error) {
	return done(syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b))))
}

// writeLast is for what the end of the connection follows at once: both leave in one packet.
func writeLast(fd uintptr, b []byte) (int, error) {
	return done(syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
		unix.MSG_MORE|unix.MSG_NOSIGNAL, 0, 0))
}

func done(n, _ uintptr, failed syscall.Errno) (int, error) {
	if failed != 0 {
		return 0, failed
	}
	return int(n), nil //nolint:gosec // not more than was asked for
}
