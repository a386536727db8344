// Package wire is how the daemon and its Dockerfile builder talk: HTTP in both directions, with JSON
// bodies, over connections that need no name anywhere.
//
//	daemon                                   builder process
//	  link fd ──one end of a socket pair──►    link fd       a connection that the daemon opens
//	  link fd ◄──one end of a socket pair──    link fd       a connection that the builder opens
//
// Each side has two links, one to open connections on and one to take them from. A link is a pair of
// SEQPACKET sockets; to connect is to send one end of a fresh pair of stream sockets over it. Nothing lies in
// the file system, nobody else can connect, and the end of either process ends everything between them.
package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Link is one end of a link. It is a net.Listener of what the other end dials.
type Link struct {
	file *os.File
	once sync.Once
	gone chan struct{}
}

// Pair makes both ends of a link. The second is for a child process.
func Pair() (ours *Link, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	ours, err = Open(fds[0])
	if err != nil {
		return nil, nil, errors.Join(err, unix.Close(fds[1]))
	}
	return ours, os.NewFile(uintptr(fds[1]), "link"), nil
}

// Open makes a Link of an inherited descriptor, which is the Link's own from then on.
func Open(fd int) (*Link, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(fmt.Errorf("open link: %w", err), unix.Close(fd))
	}
	unix.CloseOnExec(fd)
	return &Link{file: os.NewFile(uintptr(fd), "link"), gone: make(chan struct{})}, nil
}

// Dial opens a connection to who accepts at the other end. It does not wait for that.
func (l *Link) Dial() (net.Conn, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "connection")
	defer func() { _ = theirs.Close() }()
	if err := l.send(fds[1]); err != nil {
		return nil, errors.Join(fmt.Errorf("dial: %w", err), unix.Close(fds[0]))
	}
	return connOf(fds[0])
}

func (l *Link) send(fd int) error {
	raw, err := l.file.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Write(func(s uintptr) bool {
		sent = unix.Sendmsg(int(s), []byte{0}, unix.UnixRights(fd), nil, unix.MSG_NOSIGNAL)
		return !errors.Is(sent, unix.EAGAIN)
	})
	return errors.Join(err, sent)
}

// Accept implements net.Listener. When the other process is gone it fails.
func (l *Link) Accept() (net.Conn, error) {
	fd, err := l.receive()
	if err != nil {
		l.lost()
		return nil, fmt.Errorf("accept: %w", err)
	}
	return connOf(fd)
}

func (l *Link) receive() (int, error) {
	raw, err := l.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	var n, oobn int
	var got error
	buf, oob := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	err = raw.Read(func(s uintptr) bool {
		n, oobn, _, _, got = unix.Recvmsg(int(s), buf, oob, unix.MSG_CMSG_CLOEXEC)
		return !errors.Is(got, unix.EAGAIN)
	})
	if err = errors.Join(err, got); err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, net.ErrClosed
	}
	return descriptorIn(oob[:oobn])
}

func descriptorIn(oob []byte) (int, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(messages) != 1 {
		return 0, errors.Join(errors.New("a message without a connection"), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return 0, errors.Join(errors.New("a message without a connection"), err)
	}
	return fds[0], nil
}

func connOf(fd int) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "connection")
	defer func() { _ = f.Close() }()
	return net.FileConn(f)
}

// Gone is closed when Accept has seen the end of the other process.
func (l *Link) Gone() <-chan struct{} { return l.gone }

func (l *Link) lost() { l.once.Do(func() { close(l.gone) }) }

// Close ends the link; the other side sees that.
func (l *Link) Close() error { return l.file.Close() }

// Addr implements net.Listener.
func (l *Link) Addr() net.Addr { return &net.UnixAddr{Name: "link", Net: "unix"} }

// Client sends requests over the link, to whatever host their URLs name.
func (l *Link) Client() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext:        func(context.Context, string, string) (net.Conn, error) { return l.Dial() },
		DisableCompression: true, MaxIdleConnsPerHost: 4,
	}}
}
