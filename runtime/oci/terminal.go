package oci

import (
	"errors"
	"io"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// proxy joins a container's terminal with ours for run and exec in the foreground.
type proxy struct {
	stdin, stdout *os.File
	master        *os.File
	copied        chan struct{} // closed when the container's side ended
	resized       chan os.Signal
	before        *term.State // of our terminal; nil: stdin is none
}

// take gets the master; the file stays its giver's.
func (p *proxy) take(master *os.File) error {
	fd, err := unix.FcntlInt(master.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // so that Close ends a Read
		return errors.Join(os.NewSyscallError("fcntl", err), unix.Close(fd))
	}
	p.master = os.NewFile(uintptr(fd), "terminal")
	if term.IsTerminal(int(p.stdin.Fd())) {
		if p.before, err = term.MakeRaw(int(p.stdin.Fd())); err != nil {
			return err
		}
	}
	p.copied, p.resized = make(chan struct{}), make(chan os.Signal, 1)
	signal.Notify(p.resized, unix.SIGWINCH)
	p.resize()
	go p.followSize()
	go func() {
		defer close(p.copied)
		_, _ = io.Copy(p.stdout, p.master) // EIO when the last process inside closed its side
	}()
	go func() { _, _ = io.Copy(p.master, p.stdin) }() // ends with this program: nothing interrupts a read of stdin
	return nil
}

func (p *proxy) followSize() {
	for range p.resized {
		p.resize()
	}
}

func (p *proxy) resize() {
	size, err := unix.IoctlGetWinsize(int(p.stdin.Fd()), unix.TIOCGWINSZ)
	if err == nil {
		_ = unix.IoctlSetWinsize(int(p.master.Fd()), unix.TIOCSWINSZ, size)
	}
}

// close restores our terminal after the last of the container's output.
func (p *proxy) close() {
	if p.master == nil {
		return
	}
	<-p.copied
	signal.Stop(p.resized)
	close(p.resized)
	_ = p.master.Close()
	if p.before != nil {
		_ = term.Restore(int(p.stdin.Fd()), p.before)
	}
}
