package http2

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	x2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// patience is how long a test waits for a frame.
const patience = 10 * time.Second

// peer is a client that can send anything.
type peer struct {
	t    testing.TB
	c    net.Conn
	f    *x2.Framer
	enc  *hpack.Encoder
	text bytes.Buffer
}

// dial greets the server, and takes its greeting.
func dial(t testing.TB, addr net.Addr, settings ...x2.Setting) *peer {
	c, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	p := &peer{t: t, c: c, f: x2.NewFramer(c, c)}
	p.reencode()
	p.f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	p.f.AllowIllegalWrites = true
	if _, err := io.WriteString(c, preface); err != nil {
		t.Fatal(err)
	}
	p.ok(p.f.WriteSettings(settings...))
	p.until(func(f x2.Frame) bool { s, ok := f.(*x2.SettingsFrame); return ok && s.IsAck() })
	return p
}

func (p *peer) reencode() { p.enc = hpack.NewEncoder(&p.text) }

// ok wants a frame to have been sent.
func (p *peer) ok(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// block encodes fields: "name: value", or a pseudo one ":name: value".
func (p *peer) block(fields ...string) []byte {
	p.text.Reset()
	for _, f := range fields {
		i := strings.Index(f[1:], ":") + 1
		_ = p.enc.WriteField(hpack.HeaderField{Name: f[:i], Value: strings.TrimPrefix(f[i+1:], " ")})
	}
	return bytes.Clone(p.text.Bytes())
}

// usual is a request's head.
func usual(method string, more ...string) []string {
	return append([]string{":method: " + method, ":scheme: http", ":authority: hello.test", ":path: /"}, more...)
}

func (p *peer) send(id uint32, end bool, fields ...string) {
	p.t.Helper()
	p.ok(p.f.WriteHeaders(x2.HeadersFrameParam{StreamID: id, BlockFragment: p.block(fields...), EndStream: end, EndHeaders: true}))
}

// until reads frames until one is the expected one.
func (p *peer) until(is func(x2.Frame) bool) x2.Frame {
	p.t.Helper()
	_ = p.c.SetReadDeadline(time.Now().Add(patience))
	var seen []string
	for {
		f, err := p.f.ReadFrame()
		if err != nil {
			p.t.Fatalf("%v after %v", err, seen)
		}
		if is(f) {
			return f
		}
		seen = append(seen, fmt.Sprintf("%+v", f))
	}
}

// reset wants a stream to be reset.
func (p *peer) reset(id uint32, why x2.ErrCode) {
	p.t.Helper()
	f := p.until(func(f x2.Frame) bool { _, ok := f.(*x2.RSTStreamFrame); return ok })
	if r, _ := f.(*x2.RSTStreamFrame); r.StreamID != id || r.ErrCode != why {
		p.t.Fatalf("got %v, expected %v of stream %d", r, why, id)
	}
}

// status reads a stream's answer.
func (p *peer) status(id uint32) string {
	p.t.Helper()
	f := p.until(func(f x2.Frame) bool { _, ok := f.(*x2.MetaHeadersFrame); return ok && f.Header().StreamID == id })
	return f.(*x2.MetaHeadersFrame).PseudoValue("status")
}

// away wants the connection to be ended, and to be told why.
func (p *peer) away(why x2.ErrCode) {
	p.t.Helper()
	_ = p.c.SetReadDeadline(time.Now().Add(patience))
	for {
		f, err := p.f.ReadFrame()
		if err != nil {
			p.t.Fatalf("%v without GOAWAY", err)
		}
		if g, ok := f.(*x2.GoAwayFrame); ok && g.ErrCode != why {
			p.t.Fatalf("GOAWAY says %v (%s), expected %v", g.ErrCode, g.DebugData(), why)
		} else if ok {
			break
		}
	}
	if _, err := io.Copy(io.Discard, p.c); err != nil && !strings.Contains(err.Error(), "reset") {
		p.t.Fatalf("after GOAWAY: %v", err)
	}
}

// lives wants the connection to be of use still: a PING comes back, and a request is answered.
func (p *peer) lives(id uint32) {
	p.t.Helper()
	p.send(id, true, usual("GET")...)
	if got := p.status(id); got != "200" {
		p.t.Fatalf("status %s, expected 200", got)
	}
}

// refused wants the server to end the connection, with or without a word.
func (p *peer) refused() {
	p.t.Helper()
	_ = p.c.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, p.c); err != nil && !strings.Contains(err.Error(), "reset") {
		p.t.Fatalf("the connection is still there: %v", err)
	}
}
