package script

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The kinds of struct message of init.c.
const (
	ready = iota + 1
	started
	failed
	descriptor
	exited
)

// maxMessage is the size of struct message in bytes, made is where its text begins.
const (
	maxMessage = 12 + 4096
	textAt     = 12
)

// Conn is the daemon's end of a connection to the program: to a stage or an init (Start), or to an
// init that runs a command (Command). One goroutine at a time may use it.
type Conn struct {
	socket *os.File
	last   *Script // for the words of its errors
}

// Message is what the program told.
type Message struct {
	Started bool
	Exited  bool
	Made    []string // Started: mount points that were made in the root
	PID     int      // Started: of the app, as seen inside
	Code    int      // Exited: as a shell has it
	Signal  int      // Exited: 0 if it exited by itself
	File    *os.File // what the script sent, to be closed by the receiver; else nil
}

// Error is a call of a script that failed.
type Error struct {
	Doing string
	Errno unix.Errno
}

func (e *Error) Error() string { return e.Doing + ": " + e.Errno.Error() }
func (e *Error) Unwrap() error { return e.Errno }

// Exec tells whether it was the app's own command that could not be executed.
func (e *Error) Exec() bool { return strings.HasPrefix(e.Doing, "execute ") }

// Options say how the program is started.
type Options struct {
	Program *os.File // of paas-init, see Program
	Cgroup  *os.File // cgroup v2 directory that it is born in; nil: the daemon's own
	Errors  *os.File // its stderr; nil: /dev/null
}

// Start starts the program as a stage, without namespaces of its own, and returns its pid. It waits for
// its first script. The caller reaps it and closes the Conn.
func Start(o Options) (*Conn, int, error) {
	ours, theirs, err := pair()
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = theirs.Close() }()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, 0, errors.Join(err, ours.Close())
	}
	defer func() { _ = null.Close() }()
	pid, err := syscall.ForkExec(programPath(o.Program), []string{"paas-init"}, attributes(o, null, theirs))
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("start paas-init: %w", err), ours.Close())
	}
	return &Conn{socket: ours}, pid, nil
}

// programPath goes by our own descriptors: those of the child are shuffled before it executes.
func programPath(f *os.File) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd()) }

func attributes(o Options, null, control *os.File) *syscall.ProcAttr {
	stderr := null
	if o.Errors != nil {
		stderr = o.Errors
	}
	sys := &syscall.SysProcAttr{Setsid: true} // a Ctrl-C on the daemon's terminal is not for containers
	if o.Cgroup != nil {
		sys.UseCgroupFD, sys.CgroupFD = true, int(o.Cgroup.Fd())
	}
	return &syscall.ProcAttr{
		Dir: "/", Env: []string{}, Sys: sys,
		Files: []uintptr{null.Fd(), null.Fd(), stderr.Fd(), control.Fd()},
	}
}

func pair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	_ = unix.SetNonblock(fds[0], true)
	return os.NewFile(uintptr(fds[0]), "init"), os.NewFile(uintptr(fds[1]), "control"), nil
}

// Wrap makes a Conn of a connected SOCK_SEQPACKET socket in non-blocking mode.
func Wrap(socket *os.File) *Conn { return &Conn{socket: socket} }

// Close ends the connection: a stage, a tethered init and a command beside an app end with it.
func (c *Conn) Close() error { return c.socket.Close() }

// Until makes Receive fail with ctx's cause when ctx ends first. The returned function undoes that.
func (c *Conn) Until(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { _ = c.socket.SetReadDeadline(time.Unix(1, 0)) })
}

// Run sends a script with the descriptors it inherits, in their order. The files stay the caller's.
func (c *Conn) Run(s *Script, files ...*os.File) error {
	if len(files) != s.inherited {
		return fmt.Errorf("run script: %d files for %d descriptors", len(files), s.inherited)
	}
	memory, err := s.memory()
	if err != nil {
		return err
	}
	defer func() { _ = memory.Close() }()
	fds := []int{int(memory.Fd())}
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
	}
	c.last = s
	return c.send([]byte{0}, unix.UnixRights(fds...))
}

// memory is a file that exists nowhere: the environment in it is secret.
func (s *Script) memory() (*os.File, error) {
	b, err := s.encode()
	if err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate("script", unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) { // MFD_NOEXEC_SEAL is from Linux 6.3
		fd, err = unix.MemfdCreate("script", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "script")
	if _, err := f.Write(b); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Signal has process 1 pass a signal on: over the connection that started a tethered container to its app's
// process group, over that of a command beside an app to the command's.
func (c *Conn) Signal(s unix.Signal) error { return c.send([]byte{byte(s)}, nil) }

func (c *Conn) send(b, rights []byte) error {
	raw, err := c.socket.SyscallConn()
	if err != nil {
		return err
	}
	var sendErr error
	err = raw.Write(func(fd uintptr) bool {
		sendErr = unix.Sendmsg(int(fd), b, rights, nil, unix.MSG_NOSIGNAL)
		return sendErr != unix.EAGAIN && sendErr != unix.EINTR
	})
	return errors.Join(err, sendErr)
}

// Ready waits until a stage made the namespaces, and returns the pid of their process 1 and its pidfd, to
// be closed by the caller. The stage has ended or is about to: reap it.
func (c *Conn) Ready() (pid, pidfd int, err error) {
	kind, a, _, _, fds, err := c.receive()
	if err != nil {
		return 0, -1, err
	}
	if kind != ready || len(fds) != 1 {
		closeAll(fds)
		return 0, -1, fmt.Errorf("stage answered %d with %d descriptors", kind, len(fds))
	}
	return int(a), fds[0], nil
}

// Receive waits for the next message. io.EOF means that the program is gone or executed the app in its
// place. A failed call of the last script is an *Error.
func (c *Conn) Receive() (Message, error) {
	kind, a, b, text, fds, err := c.receive()
	if err != nil {
		return Message{}, err
	}
	m := Message{Started: kind == started, Exited: kind == exited}
	if m.Started {
		m.PID = int(a)
		m.Made = strings.FieldsFunc(text, func(r rune) bool { return r == 0 })
	}
	if m.Exited {
		m.Code, m.Signal = int(a), int(b)
	}
	if kind == descriptor && len(fds) == 1 {
		m.File = os.NewFile(uintptr(fds[0]), "sent")
		return m, nil
	}
	closeAll(fds)
	return m, nil
}

func (c *Conn) receive() (kind uint32, a, b int32, text string, fds []int, err error) {
	p := make([]byte, maxMessage)
	oob := make([]byte, unix.CmsgSpace(4))
	n, oobn, err := c.recvmsg(p, oob)
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err == nil && n < textAt {
		err = fmt.Errorf("message of %d bytes", n)
	}
	if err != nil {
		return 0, 0, 0, "", nil, err
	}
	if fds, err = rightsIn(oob[:oobn]); err != nil {
		return 0, 0, 0, "", nil, err
	}
	kind = binary.LittleEndian.Uint32(p)
	a, b = int32(binary.LittleEndian.Uint32(p[4:])), int32(binary.LittleEndian.Uint32(p[8:]))
	if kind == failed {
		closeAll(fds)
		return 0, 0, 0, "", nil, c.failure(int(a), int(b))
	}
	return kind, a, b, string(p[textAt:n]), fds, nil
}

func (c *Conn) failure(at, errno int) error {
	doing := "run a script"
	if c.last != nil {
		doing = c.last.name(at)
	}
	return &Error{doing, unix.Errno(errno)}
}

func (c *Conn) recvmsg(p, oob []byte) (n, oobn int, err error) {
	raw, err := c.socket.SyscallConn()
	if err != nil {
		return 0, 0, err
	}
	var receiveErr error
	err = raw.Read(func(fd uintptr) bool {
		n, oobn, _, _, receiveErr = unix.Recvmsg(int(fd), p, oob, unix.MSG_CMSG_CLOEXEC)
		return receiveErr != unix.EAGAIN && receiveErr != unix.EINTR
	})
	if errors.Is(receiveErr, unix.ECONNRESET) { // it ended without reading all we sent
		receiveErr = io.EOF
	}
	return n, oobn, errors.Join(err, receiveErr)
}

func rightsIn(oob []byte) ([]int, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(messages) == 0 {
		return nil, err
	}
	return unix.ParseUnixRights(&messages[0])
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}

// Program copies the program into sealed memory: nobody who gets hold of /proc/<pid>/exe from inside a
// container can change what the next container starts (CVE-2019-5736). The caller closes it.
func Program(path string) (*os.File, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the container init: %w", err)
	}
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate("paas-init", flags|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // MFD_EXEC is from Linux 6.3
		fd, err = unix.MemfdCreate("paas-init", flags)
	}
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "paas-init")
	if err := seal(f, b); err != nil {
		return nil, errors.Join(fmt.Errorf("copy the container init: %w", err), f.Close())
	}
	return reopen(f)
}

func seal(f *os.File, b []byte) error {
	if _, err := f.Write(b); err != nil {
		return err
	}
	if err := f.Chmod(0o555); err != nil {
		return err
	}
	const all = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	_, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, all)
	return err
}

// reopen gives a read-only descriptor: a file that is open for writing cannot be executed (ETXTBSY). Its
// number is above those that the program is started with.
func reopen(f *os.File) (*os.File, error) {
	defer func() { _ = f.Close() }()
	low, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	if err != nil {
		return nil, err
	}
	defer func() { _ = low.Close() }()
	fd, err := unix.FcntlInt(low.Fd(), unix.F_DUPFD_CLOEXEC, 16)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fd), "paas-init"), nil
}
