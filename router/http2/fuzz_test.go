package http2

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	x2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"paas/router/wire"
)

// many does what the path says.
type many struct{}

func (many) Serve(x wire.Exchange) {
	switch r := x.Request(); {
	case r.Protocol != nil:
		s, err := x.Tunnel(nil)
		if err != nil {
			return
		}
		_, _ = io.Copy(s, s)
		_ = s.Close()
	case string(r.Target) == "/none":
	case string(r.Target) == "/early":
		_ = x.Head(200, nil, 0)
		_ = x.End(nil)
	case string(r.Target) == "/abort":
		_ = x.Head(200, nil, -1)
		_, _ = x.Write([]byte("part"))
		x.Abort()
	case string(r.Target) == "/much":
		_ = x.Interim(103, nil)
		_ = x.Head(200, nil, 200_000)
		_, _ = x.Write(make([]byte, 200_000))
		_ = x.End([]wire.Field{{Name: []byte("sum"), Value: []byte("x")}})
	default:
		echo{}.Serve(x)
	}
}

// FuzzFrames sends anything after the preface, then leaves: the server must end, with all it started.
func FuzzFrames(f *testing.F) {
	f.Fuzz(func(t *testing.T, frames []byte) {
		client, server := net.Pipe()
		s := &Server{Handler: many{}, Limits: Limits{Begun: time.Second, Stall: time.Second, Streams: 5}}
		done := make(chan struct{})
		go func() { defer close(done); _ = s.Serve(server) }()
		go func() { _, _ = io.Copy(io.Discard, client) }()
		_ = client.SetDeadline(time.Now().Add(2 * time.Second))
		_, _ = io.WriteString(client, preface)
		_, _ = client.Write(appendFrameHead(nil, 0, frameSettings, 0, 0))
		_, _ = client.Write(frames)
		_ = client.Close()
		mustEnd(t, s, done)
	})
}

var seeds = flag.Bool("seeds", false, "write the corpus of FuzzFrames")

// TestSeeds writes what FuzzFrames begins with: conversations that go well, and the beginnings of attacks.
func TestSeeds(t *testing.T) {
	if !*seeds {
		return
	}
	dir := filepath.Join("testdata", "fuzz", "FuzzFrames")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, write := range conversations() {
		var b bytes.Buffer
		p := &peer{t: t, f: x2.NewFramer(&b, nil)}
		p.f.AllowIllegalWrites = true
		p.reencode()
		write(p)
		text := fmt.Sprintf("go test fuzz v1\n[]byte(%q)\n", b.Bytes())
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func to(path string, more ...string) []string {
	return append([]string{":method: POST", ":scheme: http", ":authority: a", ":path: " + path}, more...)
}

func conversations() map[string]func(p *peer) {
	return map[string]func(p *peer){
		"get": func(p *peer) {
			p.send(1, true, usual("GET", "cookie: a=b", "cookie: c=d")...)
			p.send(3, true, usual("HEAD")...)
		},
		"post": func(p *peer) {
			p.send(1, false, to("/", "content-length: 3")...)
			_ = p.f.WriteData(1, true, []byte("abc"))
		},
		"trailers": func(p *peer) {
			p.send(1, false, to("/", "te: trailers")...)
			_ = p.f.WriteDataPadded(1, false, []byte("abc"), make([]byte, 7))
			p.send(1, true, "sum: 1")
		},
		"paths": func(p *peer) {
			for i, path := range []string{"/none", "/early", "/abort", "/much", "/"} {
				p.send(uint32(2*i+1), false, to(path)...)
			}
			_ = p.f.WriteData(9, true, []byte("x"))
		},
		"windows": func(p *peer) {
			_ = p.f.WriteSettings(x2.Setting{ID: x2.SettingInitialWindowSize, Val: 1}, x2.Setting{ID: x2.SettingHeaderTableSize, Val: 0})
			p.send(1, true, to("/much")...)
			_ = p.f.WriteWindowUpdate(1, 70000)
			_ = p.f.WriteWindowUpdate(0, 700000)
			_ = p.f.WriteSettings(x2.Setting{ID: x2.SettingInitialWindowSize, Val: 500000})
		},
		"tunnel": func(p *peer) {
			p.send(1, false, usual("CONNECT", ":protocol: websocket")...)
			_ = p.f.WriteData(1, false, []byte("hello"))
			_ = p.f.WriteData(1, true, nil)
		},
		"resets": func(p *peer) {
			for id := uint32(1); id < 20; id += 2 {
				p.send(id, false, to("/")...)
				_ = p.f.WriteRSTStream(id, x2.ErrCodeCancel)
			}
		},
		"continuation": func(p *peer) {
			b := p.block(usual("GET")...)
			_ = p.f.WriteHeaders(x2.HeadersFrameParam{StreamID: 1, BlockFragment: b[:3], EndStream: true, PadLength: 3, Priority: x2.PriorityParam{StreamDep: 5}})
			_ = p.f.WriteContinuation(1, false, b[3:5])
			_ = p.f.WriteContinuation(1, true, b[5:])
		},
		"control": func(p *peer) {
			_ = p.f.WritePing(false, [8]byte{1})
			_ = p.f.WriteSettingsAck()
			_ = p.f.WritePriority(3, x2.PriorityParam{StreamDep: 1})
			_ = p.f.WriteRawFrame(0x10, 0, 0, []byte("\x00\x00\x00\x01u=1"))
			_ = p.f.WriteGoAway(0, x2.ErrCodeNo, []byte("bye"))
		},
		"late": func(p *peer) {
			p.send(1, false, to("/early")...)
			_ = p.f.WriteData(1, false, make([]byte, 1000))
			p.send(1, true, "sum: 1")
			_ = p.f.WriteData(1, true, nil)
		},
	}
}

// FuzzHead decodes anything as a head: what is accepted must read as one request in HTTP/1.1 too.
func FuzzHead(f *testing.F) {
	p := &peer{t: f}
	p.reencode()
	f.Add(p.block(usual("GET", "cookie: a=b", "cookie: c=d", "te: trailers", "x: y")...), true)
	f.Add(p.block(to("/", "content-length: 3", "host: a", "expect: 100-continue")...), false)
	f.Add(p.block(usual("CONNECT", ":protocol: websocket")...), false)
	f.Add(p.block(usual("GET", "x: a\r\nb: c", "transfer-encoding: chunked")...), true)
	f.Fuzz(func(t *testing.T, block []byte, end bool) {
		limits := Limits{}.filled()
		h := &head{limits: &limits}
		h.dec = hpack.NewDecoder(tableSize, h.field)
		h.begin(false)
		if _, err := h.dec.Write(block); err != nil || h.dec.Close() != nil {
			return
		}
		if h.check(end) != 0 || h.bad != "" {
			return
		}
		s := &stream{}
		h.request(s, end)
		oneReading(t, &s.req)
	})
}

// oneReading writes a request as HTTP/1.1 and has net/http read it.
func oneReading(t *testing.T, r *wire.Request) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.Method, r.Target, r.Authority)
	for _, f := range r.Fields {
		fmt.Fprintf(&b, "%s: %s\r\n", f.Name, f.Value)
	}
	b.WriteString("\r\nrest")
	in := bufio.NewReader(&b)
	got, err := http.ReadRequest(in)
	if err != nil {
		t.Fatalf("%s: %v", describe(r), err)
	}
	fields := 0
	for _, values := range got.Header {
		fields += len(values)
	}
	rest, _ := io.ReadAll(in)
	if got.Method != string(r.Method) || got.RequestURI != string(r.Target) || fields != len(r.Fields) || string(rest) != "rest" {
		t.Fatalf("%s is read as %+v", describe(r), got)
	}
}
