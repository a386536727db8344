package http1

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// What is asked leaves also when the deadline of the answer has passed already.
func TestAskAfterTheDeadline(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	there, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = there.Close() }()
	_ = c.SetReadDeadline(time.Unix(1, 0))
	if err := NewReader(c).Ask([]byte("hello")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
	_ = there.SetReadDeadline(time.Now().Add(time.Second))
	got := make([]byte, 5)
	if _, err := io.ReadFull(there, got); err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
}
