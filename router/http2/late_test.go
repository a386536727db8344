package http2

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	x2 "golang.org/x/net/http2"
)

// mute is a client whose connection breaks behind the server's preface, when more of its requests have arrived already.
type mute struct {
	net.Conn // has addresses
	parts    chan []byte
	late     []byte
	writes   int
}

func (m *mute) SetReadDeadline(time.Time) error  { return nil }
func (m *mute) SetWriteDeadline(time.Time) error { return nil }

func (m *mute) Write(p []byte) (int, error) {
	if m.writes++; m.writes == 1 {
		return len(p), nil
	}
	if m.writes == 2 {
		m.parts <- m.late
		close(m.parts)
	}
	return 0, errors.New("the connection is broken")
}

func (m *mute) Read(p []byte) (int, error) {
	part, ok := <-m.parts
	time.Sleep(100 * time.Millisecond) // whoever wrote has noticed, and whoever was begun is at work
	if !ok {
		return 0, io.EOF
	}
	return copy(p, part), nil
}

// A request that is read after the connection broke is not begun: nothing would tell its handler to stop.
func TestRequestsOfABrokenConnectionAreNotBegun(t *testing.T) {
	_, server := net.Pipe()
	var first, late bytes.Buffer
	first.WriteString(preface)
	first.Write(appendFrameHead(nil, 0, frameSettings, 0, 0))
	p := &peer{t: t, f: x2.NewFramer(&late, nil)}
	p.reencode()
	for id := uint32(1); id < 9; id += 2 {
		p.send(id, true, to("/much")...)
	}
	m := &mute{Conn: server, parts: make(chan []byte, 2), late: late.Bytes()}
	m.parts <- first.Bytes()
	s := &Server{Handler: many{}}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(m) }()
	mustEnd(t, s, done)
}
