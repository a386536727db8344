package initproc

import "golang.org/x/sys/unix"

// openTerminal makes a PTY in the container's own devpts, so that tty(1) and /dev/tty work inside, and
// sends its master to the daemon. The slave is taken through the master, not by a path of the image.
func (b *box) openTerminal() (own [3]int, err error) {
	own = [3]int{None, None, None}
	master, err := unix.Open("/dev/pts/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return own, fail("open a terminal", err)
	}
	defer func() { _ = unix.Close(master) }()
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return own, fail("unlock the terminal", err)
	}
	slave, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return own, fail("open the terminal's slave", errno)
	}
	own[0] = int(slave)
	for i := 1; i < 3; i++ {
		if own[i], err = unix.FcntlInt(slave, unix.F_DUPFD_CLOEXEC, 3); err != nil {
			return own, fail("copy the terminal", err)
		}
	}
	_ = unix.Fchown(own[0], b.spec.Process.UID, 5)
	size := unix.Winsize{Row: uint16(b.spec.Terminal.Rows), Col: uint16(b.spec.Terminal.Cols)}
	_ = unix.IoctlSetWinsize(own[0], unix.TIOCSWINSZ, &size)
	b.report(Reply{Kind: ReplyTerminal}, master)
	return own, nil
}
