package http1

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"paas/router/conformance"
	"paas/router/wire"
)

// still is a connection that says text and ends, in pieces of size bytes.
type still struct {
	net.Conn
	text []byte
	size int
}

func (s *still) Read(p []byte) (int, error) {
	if len(s.text) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.size)], s.text)
	s.text = s.text[n:]
	return n, nil
}

func sends(f *testing.F) {
	for _, c := range conformance.Cases() {
		if len(c.Send) < 4<<10 {
			f.Add([]byte(strings.ReplaceAll(c.Send, conformance.Pause, "")))
		}
	}
}

func parsed(b []byte) (*head, int, error) {
	h := &head{}
	h.reset(&wire.Request{})
	l := defaults.filled()
	n, err := h.parse(b, &l)
	return h, n, err
}

// FuzzRequest reads heads. Where we and net/http both take one, we agree on what was asked, of whom, and where the
// body ends; and what we say of it is in order.
func FuzzRequest(f *testing.F) {
	sends(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := parsed(b)
		if err != nil {
			return
		}
		if n > len(b) || !bytes.HasSuffix(b[:n], []byte("\r\n\r\n")) {
			t.Fatalf("a head of %d bytes of %q", n, b)
		}
		inOrder(t, h)
		if again, _, err := parsed(append(write(h), "\r\n"...)); err != nil || shown(again.Fields) != shown(h.Fields) {
			t.Fatalf("read again: %v: %q", err, write(h))
		}
		if theirs, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b))); err == nil {
			agree(t, h, theirs)
		}
	})
}

func inOrder(t *testing.T, h *head) {
	t.Helper()
	for _, f := range h.Fields {
		if !ValidName(f.Name) || !ValidValue(f.Value) || HopByHop(f.Name) || Is(f.Name, "host") || bytes.Contains(f.Name, []byte("_")) || h.opts.lists(f.Name) {
			t.Fatalf("passes on %q: %q", f.Name, f.Value)
		}
	}
	if !all(h.Method, inToken) || !all(h.Target, inTarget) || h.Target[0] != '/' && string(h.Target) != "*" {
		t.Fatalf("passes on %q %q", h.Method, h.Target)
	}
	if h.Authority != nil && !ValidHost(h.Authority) || h.Authority == nil && h.Version != wire.HTTP10 {
		t.Fatalf("passes on the host %q", h.Authority)
	}
}

// write makes a head of what was read.
func write(h *head) []byte {
	b := append(append(append(append([]byte(nil), h.Method...), ' '), h.Target...), " HTTP/1.1\r\nHost: "...)
	if h.Authority == nil {
		b = append(b, 'x')
	}
	b = append(append(b, h.Authority...), "\r\n"...)
	for _, f := range h.Fields {
		b = AppendField(b, f)
	}
	return b
}

func agree(t *testing.T, h *head, theirs *http.Request) {
	t.Helper()
	length := theirs.ContentLength
	if len(theirs.TransferEncoding) > 0 {
		length = -1
	}
	if string(h.Method) != theirs.Method || h.Length != length || !strings.EqualFold(string(h.Authority), theirs.Host) {
		t.Fatalf("%s %s %d: net/http reads %s %s %d", h.Method, h.Authority, h.Length, theirs.Method, theirs.Host, length)
	}
	if h.host == nil && string(h.Target) != theirs.RequestURI {
		t.Fatalf("target %q: net/http reads %q", h.Target, theirs.RequestURI)
	}
	for _, f := range h.Fields {
		if len(theirs.Header.Values(string(f.Name))) == 0 && theirs.Header[string(f.Name)] == nil {
			t.Fatalf("net/http finds no %q", f.Name)
		}
	}
}

// FuzzChunks reads bodies, in one piece and bytewise: both find the same, leave the same, and so does net/http.
func FuzzChunks(f *testing.F) {
	for _, c := range conformance.Cases() {
		if _, body, ok := strings.Cut(c.Send, "chunked\r\n\r\n"); ok && len(body) < 4<<10 {
			f.Add([]byte(strings.ReplaceAll(body, conformance.Pause, "")))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, left, err := unchunk(b, len(b)+1)
		slow, slowLeft, slowErr := unchunk(b, 1)
		if !bytes.Equal(got, slow) || (err == nil) != (slowErr == nil) || err == nil && !bytes.Equal(left, slowLeft) {
			t.Fatalf("%q: %q, %q, %v; bytewise %q, %q, %v", b, got, left, err, slow, slowLeft, slowErr)
		}
		if err != nil {
			return
		}
		in := "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + string(b)
		req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(in)))
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := io.ReadAll(req.Body)
		if err == nil && !bytes.Equal(theirs, got) {
			t.Fatalf("%q: %q, and net/http reads %q", b, got, theirs)
		}
	})
}

func unchunk(b []byte, size int) (body, left []byte, err error) {
	r := NewReader(&still{text: b, size: size})
	var c Body
	c.Start(r, Chunked, 0)
	if body, err = io.ReadAll(&c); err != nil {
		return body, nil, err
	}
	for _, f := range c.Trailer() {
		if !inTrailers(f.Name) || !ValidName(f.Name) || !ValidValue(f.Value) {
			return nil, nil, io.ErrNoProgress
		}
	}
	left, err = io.ReadAll(r)
	return body, left, err
}

// FuzzAnswer reads answers, in one piece and bytewise. Where net/http takes one, too, we agree on its body.
func FuzzAnswer(f *testing.F) {
	for _, c := range conformance.Cases() {
		if len(c.Answer) < 4<<10 {
			f.Add([]byte(strings.ReplaceAll(c.Answer, conformance.Pause, "")), c.Head)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, head bool) {
		status, body, err := readAnswer(b, len(b)+1, head)
		slowStatus, slow, slowErr := readAnswer(b, 1, head)
		if status != slowStatus || !bytes.Equal(body, slow) || (err == nil) != (slowErr == nil) {
			t.Fatalf("%q: %d %q %v; bytewise %d %q %v", b, status, body, err, slowStatus, slow, slowErr)
		}
		if err != nil || status < 200 {
			return
		}
		method := http.MethodGet
		if head {
			method = http.MethodHead
		}
		res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), &http.Request{Method: method})
		if err != nil {
			return
		}
		defer func() { _ = res.Body.Close() }()
		theirs, err := io.ReadAll(res.Body)
		if err == nil && (res.StatusCode != status || !bytes.Equal(body, theirs)) {
			t.Fatalf("%q: %d %q, and net/http reads %d %q", b, status, body, res.StatusCode, theirs)
		}
	})
}

func readAnswer(b []byte, size int, head bool) (int, []byte, error) {
	r := NewReader(&still{text: bytes.Clone(b), size: size})
	var a Answer
	if err := ReadAnswer(r, &a, head); err != nil {
		return 0, nil, err
	}
	for _, f := range a.Fields {
		if !ValidName(f.Name) || !ValidValue(f.Value) || HopByHop(f.Name) {
			return 0, nil, io.ErrNoProgress
		}
	}
	var body Body
	body.Start(r, a.Framing, a.Length)
	text, err := io.ReadAll(&body)
	return a.Status, text, err
}

// FuzzRewrite strips what Connection lists, whatever that is.
func FuzzRewrite(f *testing.F) {
	f.Add("close, x-a,\t,Upgrade", "X-A", "x")
	f.Add("host, content-length, transfer-encoding", "Cookie", "a=b")
	f.Fuzz(func(t *testing.T, listed, name, value string) {
		if !ValidValue([]byte(listed)) || !ValidName([]byte(name)) || !ValidValue([]byte(value)) || strings.TrimSpace(listed) != listed {
			return
		}
		h, _, err := parsed([]byte("GET / HTTP/1.1\r\nHost: a\r\nConnection: " + listed + "\r\n" + name + ": " + value + "\r\n\r\n"))
		if err != nil {
			return
		}
		inOrder(t, h)
		for _, token := range strings.Split(strings.ToLower(listed), ",") {
			if strings.Trim(token, " \t") == strings.ToLower(name) && len(h.Fields) > 0 {
				t.Fatalf("%q was listed in %q and passed on", name, listed)
			}
		}
	})
}

// reads answers a request with its body.
type reads struct{}

func (reads) Serve(x wire.Exchange) {
	if s, err := x.Tunnel(nil); err == nil {
		_ = s.Close()
		return
	}
	n, err := io.Copy(io.Discard, x)
	if err != nil || x.Head(200, nil, n) != nil {
		return
	}
	_, _ = x.Write(make([]byte, n))
	_ = x.End(x.Trailer())
}

// FuzzConnection has a server read anything: it ends, and says nothing that is no answer.
func FuzzConnection(f *testing.F) {
	sends(f)
	s := &Server{Handler: reads{}, Limits: Limits{Header: time.Second, Idle: time.Second, Window: time.Second}}
	f.Fuzz(func(t *testing.T, b []byte) {
		near, far := net.Pipe()
		go func() {
			_, _ = far.Write(b)
			_ = far.Close()
		}()
		c := &recorded{Conn: near}
		s.Serve(c)
		_ = far.Close()
		if len(c.sent) > 0 && !bytes.HasPrefix(c.sent, []byte("HTTP/1.1 ")) {
			t.Fatalf("%q was answered with %q", b, c.sent)
		}
	})
}

// recorded keeps what is written, which nobody reads.
type recorded struct {
	net.Conn
	sent []byte
}

func (r *recorded) Write(p []byte) (int, error) {
	r.sent = append(r.sent, p...)
	return len(p), nil
}
