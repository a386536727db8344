package gitreceive

import (
	"errors"
	"io"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"paas/platform"
)

// whole is a session's standard input. The end of input and the loss of the client look alike to who reads it, but half
// a secret or half a file must not be taken for a whole one: so the end counts when the client answers after it.
//
//	client: data, EOF  ──►
//	        ◄──  channel request keepalive@openssh.com, which asks for a reply (RFC 4254, section 5.4)
//	client: failure    ──►  the input was whole
//	client: close, or nothing more  ──►  it was not
type whole struct {
	in      io.Reader
	channel gossh.Channel
	asked   bool
	end     error
}

// proofOfLife is how long an answer may take. Who sends none, against the standard, but keeps the channel open, is there.
const proofOfLife = 10 * time.Second

func (w *whole) Read(p []byte) (int, error) {
	n, err := w.in.Read(p)
	if n > 0 || !errors.Is(err, io.EOF) {
		return n, err
	}
	if !w.asked {
		w.asked, w.end = true, w.ask()
	}
	return 0, w.end
}

func (w *whole) ask() error {
	answer := make(chan error, 1)
	go func() { // ends with the channel at the latest
		_, err := w.channel.SendRequest("keepalive@openssh.com", true, nil)
		answer <- err
	}()
	select {
	case err := <-answer:
		if err != nil {
			return platform.Errorf(platform.Interrupted, "the connection was lost before all of the input was here").Because(err)
		}
	case <-time.After(proofOfLife):
	}
	return io.EOF
}
