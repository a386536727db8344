package http1

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"paas/router/wire"
)

// piped is a reader of what a peer sends, in pieces of size bytes.
func piped(t testing.TB, text string, size int) *Reader {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { _ = near.Close() })
	go func() {
		defer func() { _ = far.Close() }()
		for len(text) > 0 {
			n := min(size, len(text))
			if _, err := far.Write([]byte(text[:n])); err != nil {
				return
			}
			text = text[n:]
		}
	}()
	return NewReader(near)
}

func shown(fields []wire.Field) string {
	var b strings.Builder
	for _, f := range fields {
		fmt.Fprintf(&b, "%s: %s\n", f.Name, f.Value)
	}
	return b.String()
}

func TestReadAnswer(t *testing.T) {
	for _, c := range []struct {
		name, in, fields, body, trailers string
		head, close                      bool
		status                           int
		err                              error
	}{
		{name: "sized", in: "HTTP/1.1 200 OK\r\nA: b \r\nContent-Length: 3\r\n\r\nabc", status: 200, fields: "A: b\n", body: "abc"},
		{name: "no words", in: "HTTP/1.1 204\r\nContent-Length: 3\r\n\r\n", status: 204},
		{name: "LF", in: "HTTP/1.1 200 OK\nContent-Length: 1\n\nx", status: 200, body: "x"},
		{name: "to the end", in: "HTTP/1.0 200 OK\r\n\r\nabc", status: 200, body: "abc", close: true},
		{name: "kept 1.0", in: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", status: 200, body: "x"},
		{name: "chunked", in: "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3;a=b\r\nabc\r\n00\r\nT: u\r\nContent-Length: 3\r\n\r\n", status: 200, body: "abc", trailers: "T: u\n"},
		{name: "both framings", in: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", status: 200, body: "a", close: true},
		{name: "same lengths", in: "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\nContent-Length: 1\r\n\r\nx", status: 200, body: "x"},
		{name: "listed", in: "HTTP/1.1 200 OK\r\nX-A: 1\r\nConnection: close, x-a\r\nContent-Length: 0\r\nKeep-Alive: 3\r\n\r\n", status: 200, close: true},
		{name: "blank before colon", in: "HTTP/1.1 200 OK\r\nContent-Length \t: 1\r\n\r\nx", status: 200, body: "x"},
		{name: "HEAD", in: "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", head: true, status: 200},
		{name: "other lengths", in: "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", err: ErrAnswer},
		{name: "folded", in: "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", err: ErrAnswer},
		{name: "gzip, chunked", in: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", err: ErrAnswer},
		{name: "1.0 chunked", in: "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", err: ErrAnswer},
		{name: "garbage", in: "SSH-2.0-x\r\n\r\n", err: ErrAnswer},
		{name: "NUL", in: "HTTP/1.1 200 OK\r\nA: \x00\r\n\r\n", err: ErrAnswer},
		{name: "nothing", in: "", err: io.EOF},
		{name: "half", in: "HTTP/1.1 200 OK\r\n", err: io.ErrUnexpectedEOF},
	} {
		for _, size := range []int{1 << 20, 1} {
			r := piped(t, c.in, size)
			var a Answer
			if err := ReadAnswer(r, &a, c.head); !errors.Is(err, c.err) || err != nil {
				if !errors.Is(err, c.err) || c.err == nil {
					t.Errorf("%s: %v", c.name, err)
				}
				continue
			}
			var b Body
			b.Start(r, a.Framing, a.Length)
			body, err := io.ReadAll(&b)
			if err != nil || string(body) != c.body || a.Status != c.status || shown(a.Fields) != c.fields || shown(b.Trailer()) != c.trailers || a.Close != c.close {
				t.Errorf("%s: %d %q %q %q %v %v", c.name, a.Status, shown(a.Fields), body, shown(b.Trailer()), a.Close, err)
			}
		}
	}
}

func TestChunks(t *testing.T) {
	for in, want := range map[string]error{
		"3\r\nabc\r\n0\r\n\r\n":                              nil,
		"3;a;b=\"c\"\r\nabc\r\n0\r\n\r\n":                    nil,
		"3 ;a\r\nabc\r\n0\r\n\r\n":                           nil,
		"3\nabc\r\n0\r\n\r\n":                                wire.ErrBody,
		"3\r\nabc\n0\r\n\r\n":                                wire.ErrBody,
		"3\r\nabcd\r\n0\r\n\r\n":                             wire.ErrBody,
		"3 \r\nabc\r\n0\r\n\r\n":                             wire.ErrBody,
		"\r\nabc\r\n0\r\n\r\n":                               wire.ErrBody,
		"-3\r\nabc\r\n0\r\n\r\n":                             wire.ErrBody,
		"0x3\r\nabc\r\n0\r\n\r\n":                            wire.ErrBody,
		"3;\r\nabc\r\n0\r\n\r\n":                             wire.ErrBody,
		"3;a\x00\r\nabc\r\n0\r\n\r\n":                        wire.ErrBody,
		"3;a\rb\r\nabc\r\n0\r\n\r\n":                         wire.ErrBody,
		"fffffffffffffffff\r\nabc":                           wire.ErrBody,
		"3;" + strings.Repeat("a", 300) + "\r\nabc":          wire.ErrBody,
		"3\r\nabc\r\n0\r\nA : b\r\n\r\n":                     wire.ErrBody,
		"3\r\nabc\r\n0\r\n b\r\n\r\n":                        wire.ErrBody,
		"3\r\nabc\r\n0\r\nA: b\n\r\n":                        wire.ErrBody,
		"3\r\nabc\r\n0\r\n" + strings.Repeat("A: b\r\n", 40): wire.ErrBody,
		"3\r\nabc\r\n0\r\n":                                  io.ErrUnexpectedEOF,
		"3\r\nab":                                            io.ErrUnexpectedEOF,
		strings.Repeat("1;"+strings.Repeat("a", 200)+"\r\na\r\n", 100) + "0\r\n\r\n": wire.ErrBody,
	} {
		for _, size := range []int{1 << 20, 1} {
			var b Body
			b.Start(piped(t, in, size), Chunked, 0)
			if got, err := io.ReadAll(&b); err != want || want == nil && string(got) != "abc" {
				t.Errorf("%.40q in pieces of %d: %q, %v", in, size, got, err)
			}
		}
	}
}

// TestResetIsANetError: who reads through a Reader tells a connection that was reset from nonsense, as with net's.
func TestResetIsANetError(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = far.(*net.TCPConn).SetLinger(0)
	_ = far.Close()
	var op *net.OpError
	if err = ReadAnswer(NewReader(c), &Answer{}, false); !errors.As(err, &op) || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%T %v", err, err)
	}
	_ = c.Close()
}

// TestAsk writes requests that fit a socket and one that does not, and reads the answers, the last of which does not
// come.
func TestAsk(t *testing.T) {
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
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	r := NewReader(c)
	for _, size := range []int{1, 100, 8 << 20} {
		answered := make(chan error)
		go func() {
			_, err := io.CopyN(io.Discard, far, int64(size))
			_, e := io.WriteString(far, "HTTP/1.1 204 No Content\r\n\r\n")
			answered <- errors.Join(err, e)
		}()
		var a Answer
		if err := errors.Join(r.Ask(make([]byte, size)), ReadAnswer(r, &a, false), <-answered); err != nil || a.Status != 204 {
			t.Fatal(size, err, a.Status)
		}
		r.Release()
	}
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if err := r.Ask([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	_ = c.SetReadDeadline(time.Time{})
	_ = far.Close()
	if err := r.Ask([]byte("x")); err == nil {
		t.Error("asked a connection that is closed")
	}
}
