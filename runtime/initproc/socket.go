package initproc

import (
	"encoding/binary"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// maxMessage bounds a message in bytes; the environment is the largest part of one, and the kernel
// bounds that (execve(2), "Limits on size of arguments and environment").
const maxMessage = 8 << 20

// Send writes one message with its file descriptors to a stream socket. It may block.
func Send(socket *os.File, payload []byte, fds ...int) error {
	frame := binary.LittleEndian.AppendUint32(nil, uint32(len(payload)))
	frame = append(frame, payload...)
	if len(fds) > 0 {
		n, err := sendRights(socket, frame, unix.UnixRights(fds...))
		if err != nil {
			return err
		}
		frame = frame[n:]
	}
	if len(frame) == 0 { // a peer that answered and left already must not look like a broken one
		return nil
	}
	_, err := socket.Write(frame)
	return err
}

func sendRights(socket *os.File, frame, rights []byte) (n int, err error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, err
	}
	var sendErr error
	err = raw.Write(func(fd uintptr) bool {
		sendErr = uninterrupted(func() error {
			n, err = unix.SendmsgN(int(fd), frame, rights, nil, unix.MSG_NOSIGNAL)
			return err
		})
		return sendErr != unix.EAGAIN
	})
	if err != nil {
		return 0, err
	}
	return n, sendErr
}

// Receive reads one message and the file descriptors that came with it, close-on-exec. It blocks.
// io.EOF means that the peer is gone.
func Receive(socket *os.File) (payload []byte, fds []int, err error) {
	size := make([]byte, 4)
	n, fds, err := receiveRights(socket, size)
	if err != nil {
		return nil, nil, err
	}
	if _, err := io.ReadFull(socket, size[n:]); err != nil {
		return nil, fds, err
	}
	length := binary.LittleEndian.Uint32(size)
	if length > maxMessage {
		return nil, fds, errMalformed
	}
	payload = make([]byte, length)
	_, err = io.ReadFull(socket, payload)
	return payload, fds, err
}

func receiveRights(socket *os.File, b []byte) (n int, fds []int, err error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, nil, err
	}
	oob := make([]byte, unix.CmsgSpace(4*4))
	var oobn int
	var recvErr error
	err = raw.Read(func(fd uintptr) bool {
		recvErr = uninterrupted(func() error {
			n, oobn, _, _, err = unix.Recvmsg(int(fd), b, oob, unix.MSG_CMSG_CLOEXEC)
			return err
		})
		return recvErr != unix.EAGAIN
	})
	if err == nil {
		err = recvErr
	}
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err != nil {
		return 0, nil, err
	}
	fds, err = rightsIn(oob[:oobn])
	return n, fds, err
}

// uninterrupted repeats a system call that a signal cut short.
func uninterrupted(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

func rightsIn(oob []byte) ([]int, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(messages) == 0 {
		return nil, err
	}
	return unix.ParseUnixRights(&messages[0])
}
