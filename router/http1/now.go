package http1

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readNow, writeNow and writeLast are recvfrom(2) and sendto(2) on a socket that does not block, without telling the
// scheduler: they return within microseconds, and telling it costs as much as a tenth of them. read(2) and write(2)
// would do the same by way of the file system's layer, which costs another hundredth or two of a request.

func readNow(fd uintptr, b []byte) (int, error) {
	return done(syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0, 0, 0))
}

func writeNow(fd uintptr, b []byte) (int, error) { return sendNow(fd, b, unix.MSG_NOSIGNAL) }

// writeLast is for what the end of the connection follows at once: both leave in one packet.
func writeLast(fd uintptr, b []byte) (int, error) {
	return sendNow(fd, b, unix.MSG_MORE|unix.MSG_NOSIGNAL)
}

func sendNow(fd uintptr, b []byte, flags uintptr) (int, error) {
	return done(syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), flags, 0, 0))
}

// Ripe tells whether a read from a socket would return at once, with bytes, the end or an error. It takes nothing,
// and does not wait.
func Ripe(fd uintptr) bool {
	var b [1]byte
	_, err := done(syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b)), 1, unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0))
	return err != syscall.EAGAIN
}

func done(n, _ uintptr, failed syscall.Errno) (int, error) {
	if failed != 0 {
		return 0, failed
	}
	return int(n), nil //nolint:gosec // not more than was asked for
}
