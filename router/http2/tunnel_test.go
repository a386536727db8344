package http2

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	x2 "golang.org/x/net/http2"

	"paas/router/wire"
)

// mirror accepts tunnels, sends back what comes, and ends when the client does.
type mirror struct{ ended chan error }

func (m mirror) Serve(x wire.Exchange) {
	s, err := x.Tunnel([]wire.Field{{Name: []byte("Sec-WebSocket-Accept"), Value: []byte("x")}, {Name: []byte("Sec-WebSocket-Protocol"), Value: []byte("chat")}})
	if err != nil {
		m.ended <- err
		return
	}
	_, err = io.Copy(struct{ io.Writer }{s}, struct{ io.Reader }{s})
	_ = s.CloseWrite()
	_ = s.Close()
	m.ended <- errors.Join(err, s.Close())
}

func websocket(p *peer, id uint32) {
	p.send(id, false, usual("CONNECT", ":protocol: websocket", "sec-websocket-version: 13")...)
	f := p.until(func(f x2.Frame) bool { _, ok := f.(*x2.MetaHeadersFrame); return ok })
	m, _ := f.(*x2.MetaHeadersFrame)
	if m.PseudoValue("status") != "200" || len(m.RegularFields()) != 1 || m.RegularFields()[0].Value != "chat" {
		p.t.Fatalf("answer %v", m.Fields)
	}
}

// TestTunnel speaks through a WebSocket's tunnel, both ways, to a clean end (RFC 8441).
func TestTunnel(t *testing.T) {
	m := mirror{make(chan error, 1)}
	p := dial(t, listen(t, &Server{Handler: m}, false))
	websocket(p, 1)
	for size := range 300 {
		text := bytes.Repeat([]byte{byte(size)}, size+1)
		p.ok(p.f.WriteData(1, false, text))
		var got []byte
		for len(got) < len(text) {
			f := p.until(func(f x2.Frame) bool { _, ok := f.(*x2.DataFrame); return ok })
			got = append(got, f.(*x2.DataFrame).Data()...)
		}
		if !bytes.Equal(got, text) {
			t.Fatalf("%d bytes came back as %d others", len(text), len(got))
		}
	}
	p.ok(p.f.WriteData(1, true, nil))
	p.until(func(f x2.Frame) bool { d, ok := f.(*x2.DataFrame); return ok && d.StreamEnded() })
	if err := <-m.ended; err != nil {
		t.Error(err)
	}
}

// TestTunnelReset ends the tunnel when the client resets it, or goes.
func TestTunnelReset(t *testing.T) {
	m := mirror{make(chan error, 1)}
	p := dial(t, listen(t, &Server{Handler: m}, false))
	websocket(p, 1)
	p.ok(p.f.WriteRSTStream(1, x2.ErrCodeCancel))
	if err := <-m.ended; !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("after RST_STREAM: %v", err)
	}
	websocket(p, 3)
	_ = p.c.Close()
	if err := <-m.ended; !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("after the connection: %v", err)
	}
}

// hand gives tunnels away: they outlive the handler.
type hand struct{ to chan wire.Stream }

func (h hand) Serve(x wire.Exchange) {
	if x.Request().Protocol == nil {
		echo{}.Serve(x)
		return
	}
	s, _ := x.Tunnel([]wire.Field{{Name: []byte("sec-websocket-protocol"), Value: []byte("chat")}})
	h.to <- s
}

// TestTunnelOutlives uses a tunnel after its handler returned, and others of the connection meanwhile and after.
func TestTunnelOutlives(t *testing.T) {
	h := hand{make(chan wire.Stream, 1)}
	p := dial(t, listen(t, &Server{Handler: h}, false))
	websocket(p, 1)
	s := <-h.to
	p.lives(3)
	_, _ = s.Write([]byte("still here"))
	f := p.until(func(f x2.Frame) bool { _, ok := f.(*x2.DataFrame); return ok && f.Header().StreamID == 1 })
	if got := string(f.(*x2.DataFrame).Data()); got != "still here" {
		t.Errorf("got %q", got)
	}
	_ = s.Close()
	p.reset(1, x2.ErrCodeNo)
	p.lives(5)
	if _, err := s.Write([]byte("x")); err == nil {
		t.Error("a closed tunnel was written to")
	}
}

// calls runs what a test wants of an exchange.
type calls func(x wire.Exchange)

func (c calls) Serve(x wire.Exchange) { c(x) }

// TestAnswers looks at what leaves for what a handler does, well or badly.
func TestAnswers(t *testing.T) {
	text := []byte("text")
	for name, c := range map[string]struct {
		method string
		do     calls
		want   func(p *peer)
	}{
		"nothing":      {"GET", func(x wire.Exchange) {}, func(p *peer) { p.reset(1, x2.ErrCodeInternal) }},
		"head only":    {"GET", func(x wire.Exchange) { _ = x.Head(200, nil, 4) }, func(p *peer) { p.reset(1, x2.ErrCodeInternal) }},
		"too short":    {"GET", func(x wire.Exchange) { _ = x.Head(200, nil, 5); _, _ = x.Write(text); _ = x.End(nil) }, func(p *peer) { p.reset(1, x2.ErrCodeInternal) }},
		"too long":     {"GET", func(x wire.Exchange) { _ = x.Head(200, nil, 3); _, _ = x.Write(text); _ = x.End(nil) }, func(p *peer) { p.reset(1, x2.ErrCodeInternal) }},
		"abort":        {"GET", func(x wire.Exchange) { _ = x.Head(200, nil, -1); _, _ = x.Write(text); _ = x.Flush(); x.Abort() }, func(p *peer) { p.reset(1, x2.ErrCodeInternal) }},
		"HEAD":         {"HEAD", func(x wire.Exchange) { _ = x.Head(200, nil, 4); _, _ = x.Write(text); _ = x.End(nil) }, func(p *peer) { wantEnd(p, "content-length", "4", 0) }},
		"no content":   {"GET", func(x wire.Exchange) { _ = x.Head(204, nil, 0); _ = x.End(nil) }, func(p *peer) { wantEnd(p, "content-length", "", 0) }},
		"not modified": {"GET", func(x wire.Exchange) { _ = x.Head(304, nil, 4); _ = x.End(nil) }, func(p *peer) { wantEnd(p, "content-length", "4", 0) }},
		"large fields": {"GET", func(x wire.Exchange) {
			_ = x.Head(200, []wire.Field{{Name: []byte("X"), Value: bytes.Repeat([]byte("ab"), 20000)}}, 0)
			_ = x.End(nil)
		}, func(p *peer) { wantEnd(p, "x", string(bytes.Repeat([]byte("ab"), 20000)), 0) }},
		"one write": {"GET", func(x wire.Exchange) { _ = x.Head(200, nil, 4); _, _ = x.Write(text); _ = x.End(nil) }, func(p *peer) { wantEnd(p, "content-length", "4", 4) }},
		"early hints": {"GET", func(x wire.Exchange) {
			_ = x.Interim(103, nil)
			_ = x.Head(200, nil, 4)
			_, _ = x.Write(text)
			_ = x.End(nil)
		}, func(p *peer) { wantStatus(p, "103"); wantEnd(p, "content-length", "4", 4) }},
		"reads to go on": {"POST", func(x wire.Exchange) { _, _ = x.Read(make([]byte, 1)); _ = x.Head(200, nil, 0); _ = x.End(nil) }, func(p *peer) { wantStatus(p, "100"); p.ok(p.f.WriteData(1, true, text)); wantStatus(p, "200") }},
		"early answer":   {"POST", func(x wire.Exchange) { _ = x.Head(200, nil, 0); _ = x.End(nil) }, func(p *peer) { wantStatus(p, "200"); p.reset(1, x2.ErrCodeNo); p.ok(p.f.WriteData(1, true, text)) }},
	} {
		t.Run(name, func(t *testing.T) {
			done := make(chan struct{})
			p := dial(t, listen(t, &Server{Handler: calls(func(x wire.Exchange) {
				if x.Request().Target[0] == '/' && len(x.Request().Target) > 1 {
					echo{}.Serve(x)
					return
				}
				defer close(done)
				c.do(x)
			})}, false))
			head := usual(c.method)
			if c.method == "POST" {
				head = append(head, "expect: 100-continue")
			}
			p.send(1, c.method != "POST", head...)
			c.want(p)
			<-done
			p.send(3, true, ":method: GET", ":scheme: http", ":authority: hello.test", ":path: /again")
			if got := p.status(3); got != "200" {
				t.Errorf("then status %s", got)
			}
		})
	}
}

func wantStatus(p *peer, status string) {
	p.t.Helper()
	if got := p.status(1); got != status {
		p.t.Fatalf("status %s, expected %s", got, status)
	}
}

// wantEnd wants an answer with a field, and a body of some bytes, that ends with its last frame.
func wantEnd(p *peer, name, value string, body int) {
	p.t.Helper()
	f := p.until(func(f x2.Frame) bool { _, ok := f.(*x2.MetaHeadersFrame); return ok })
	m, _ := f.(*x2.MetaHeadersFrame)
	got := ""
	for _, h := range m.RegularFields() {
		if h.Name == name {
			got = h.Value
		}
	}
	if got != value {
		p.t.Errorf("%s: %q, expected %q", name, got, value)
	}
	ended := m.StreamEnded()
	if body > 0 {
		d, _ := p.until(func(f x2.Frame) bool { _, ok := f.(*x2.DataFrame); return ok }).(*x2.DataFrame)
		ended = d.StreamEnded() && len(d.Data()) == body
	}
	if !ended {
		p.t.Error("the last frame does not end the stream")
	}
}

// TestAbortLate aborts, and asks of, an exchange that is over while its stream serves another request.
func TestAbortLate(t *testing.T) {
	var old wire.Exchange
	p := dial(t, listen(t, &Server{Handler: calls(func(x wire.Exchange) {
		if old != nil {
			old.Abort()
			<-old.Gone()
			if _, err := old.Read(nil); err == nil || old.Head(200, nil, 0) == nil || old.End(nil) == nil {
				t.Error("an exchange that is over goes on")
			}
		}
		old = x
		echo{}.Serve(x)
	})}, false))
	p.lives(1)
	time.Sleep(50 * time.Millisecond)
	p.lives(3)
}

// TestGone tells a handler that its client left.
func TestGone(t *testing.T) {
	left := make(chan struct{}, 2)
	p := dial(t, listen(t, &Server{Handler: calls(func(x wire.Exchange) {
		<-x.Gone()
		<-x.Gone()
		left <- struct{}{}
	})}, false))
	p.send(1, true, usual("GET")...)
	p.ok(p.f.WriteRSTStream(1, x2.ErrCodeCancel))
	<-left
	p.send(3, true, usual("GET")...)
	p.ok(p.f.WritePing(false, [8]byte{}))
	_ = p.c.Close()
	<-left
}

// TestReaderOutlivesHandler leaves a goroutine in Read when the handler returns: it must not hang.
func TestReaderOutlivesHandler(t *testing.T) {
	ended := make(chan error, 2)
	p := dial(t, listen(t, &Server{Handler: calls(func(x wire.Exchange) {
		go func() { _, err := x.Read(make([]byte, 1)); ended <- err }()
		time.Sleep(20 * time.Millisecond)
		_ = x.Head(200, nil, 0)
		_ = x.End(nil)
	})}, false))
	p.send(1, false, usual("POST")...)
	if err := <-ended; err == nil {
		t.Error("Read returned without an error")
	}
	p.reset(1, x2.ErrCodeNo)
}
