package initproc

import (
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// serveExec runs commands beside the app for whoever can reach the socket, which is a file on the host
// that only its root can. No process of the host ever enters the container.
func (b *box) serveExec() {
	if b.spec.Exec == None || unix.SetNonblock(b.spec.Exec, true) != nil {
		return
	}
	listener := os.NewFile(uintptr(b.spec.Exec), "exec")
	for {
		conn, err := accept(listener)
		if err != nil {
			return
		}
		go b.execute(conn)
	}
}

func accept(listener *os.File) (*os.File, error) {
	raw, err := listener.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var acceptErr error
	err = raw.Read(func(l uintptr) bool {
		acceptErr = uninterrupted(func() error {
			fd, _, err = unix.Accept4(int(l), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
			return err
		})
		return acceptErr != unix.EAGAIN
	})
	if err == nil {
		err = acceptErr
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "exec"), nil
}

// execute serves one request to its end.
func (b *box) execute(conn *os.File) {
	defer func() { _ = conn.Close() }()
	payload, fds, err := Receive(conn)
	pid, ended, err := b.beside(payload, fds, err)
	closeAll(fds) // at once: the caller waits for the command's output to be closed
	if err != nil {
		_ = Send(conn, (&Reply{Kind: ReplyFailed, Text: err.Error(), Errno: int(errnoOf(err))}).Encode())
		return
	}
	_ = Send(conn, (&Reply{Kind: ReplyStarted}).Encode())
	gone := hangUp(conn)
	select {
	case status := <-ended:
		replyExited(conn, status)
	case <-gone:
		_ = unix.Kill(-pid, unix.SIGKILL)
		<-ended
	}
}

// beside starts what was asked for with the app's rights and environment.
func (b *box) beside(payload []byte, fds []int, err error) (int, <-chan unix.WaitStatus, error) {
	request := Request{}
	if err == nil {
		err = request.Decode(payload)
	}
	if err != nil {
		return 0, nil, err
	}
	if len(fds) != 3 {
		return 0, nil, errMalformed
	}
	process := b.spec.Process
	process.Argv = request.Argv
	process.Env = append(slices.Clone(process.Env), request.Env...)
	return b.children.start(launch{process: process, stdio: [3]int(fds), terminal: request.Terminal})
}

func replyExited(conn *os.File, status unix.WaitStatus) {
	code, signal := codeOf(status)
	_ = Send(conn, (&Reply{Kind: ReplyExited, Code: code, Signal: signal}).Encode())
}

// hangUp is closed when the caller goes away; its goroutine ends when conn is closed.
func hangUp(conn *os.File) <-chan struct{} {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _, _ = Receive(conn)
	}()
	return gone
}
