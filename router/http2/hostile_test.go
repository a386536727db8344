package http2

import (
	"bytes"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	x2 "golang.org/x/net/http2"

	"paas/router/wire"
)

// slow holds every request until the test lets go, or the client does.
type slow struct {
	free       chan struct{}
	now, peak  atomic.Int32
	all, freed atomic.Int32
}

func (s *slow) Serve(x wire.Exchange) {
	s.all.Add(1)
	if n := s.now.Add(1); n > s.peak.Load() {
		s.peak.Store(n)
	}
	<-s.free
	s.now.Add(-1)
	s.freed.Add(1)
}

// TestRapidReset opens and resets streams as fast as it can (CVE-2023-44487): the work for handlers is bounded,
// and the client is sent away.
func TestRapidReset(t *testing.T) {
	h := &slow{free: make(chan struct{})}
	addr := listen(t, &Server{Handler: h}, false)
	free := sync.OnceFunc(func() { close(h.free) })
	t.Cleanup(free)
	p := dial(t, addr)
	go func() {
		var text bytes.Buffer
		f := x2.NewFramer(&text, nil)
		block := p.block(usual("GET")...)
		for id := uint32(1); id < 20000; id += 2 {
			text.Reset()
			_ = f.WriteHeaders(x2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndStream: true, EndHeaders: true})
			_ = f.WriteRSTStream(id, x2.ErrCodeCancel)
			if _, err := p.c.Write(text.Bytes()); err != nil {
				return
			}
		}
	}()
	time.AfterFunc(200*time.Millisecond, free)
	p.away(x2.ErrCodeEnhanceYourCalm)
	if peak := h.peak.Load(); peak > 200 {
		t.Errorf("%d handlers at a time, expected at most 200", peak)
	}
	if all := h.all.Load(); all > noiseMost/costReset+100 {
		t.Errorf("%d requests were begun", all)
	}
}

// TestResetsByUs makes the server reset streams (CVE-2025-8671), which costs the client the same.
func TestResetsByUs(t *testing.T) {
	h := &slow{free: make(chan struct{})}
	addr := listen(t, &Server{Handler: h}, false)
	t.Cleanup(func() { close(h.free) })
	p := dial(t, addr)
	go func() {
		for id := uint32(1); id < 20000; id += 2 {
			if p.f.WriteHeaders(x2.HeadersFrameParam{StreamID: id, BlockFragment: p.block(usual("GET")...), EndStream: true, EndHeaders: true}) != nil {
				return
			}
			if p.f.WriteRawFrame(x2.FrameWindowUpdate, 0, id, make([]byte, 4)) != nil {
				return
			}
		}
	}()
	p.away(x2.ErrCodeEnhanceYourCalm)
	if peak := h.peak.Load(); peak > 200 {
		t.Errorf("%d handlers at a time, expected at most 200", peak)
	}
}

// TestResetsInMeasure lets a browser cancel a page's requests.
func TestResetsInMeasure(t *testing.T) {
	p := dial(t, listen(t, &Server{Handler: echo{}}, false))
	for id := uint32(1); id < 200; id += 2 {
		p.send(id, false, usual("POST")...)
	}
	for id := uint32(1); id < 200; id += 2 {
		p.ok(p.f.WriteRSTStream(id, x2.ErrCodeCancel))
	}
	p.lives(201)
}

// TestFloods repeats one frame until the server has enough of it, and counts how long that takes.
func TestFloods(t *testing.T) {
	for name, c := range map[string]struct {
		code  x2.ErrCode
		setup func(p *peer)
		frame func(f *x2.Framer, i int) error
	}{
		"ping":     {x2.ErrCodeEnhanceYourCalm, nil, func(f *x2.Framer, i int) error { return f.WritePing(false, [8]byte{byte(i)}) }},
		"ping ack": {x2.ErrCodeEnhanceYourCalm, nil, func(f *x2.Framer, i int) error { return f.WritePing(true, [8]byte{byte(i)}) }},
		"settings": {x2.ErrCodeEnhanceYourCalm, nil, func(f *x2.Framer, i int) error { return f.WriteSettings() }},
		"many settings": {x2.ErrCodeEnhanceYourCalm, nil, func(f *x2.Framer, i int) error {
			return f.WriteRawFrame(x2.FrameSettings, 0, 0, bytes.Repeat([]byte{0, 4, 0, 0, 0xff, 0xff}, 2000))
		}},
		"settings ack": {x2.ErrCodeEnhanceYourCalm, nil, func(f *x2.Framer, i int) error { return f.WriteSettingsAck() }},
		"priority": {x2.ErrCodeEnhanceYourCalm, nil, func(f *x2.Framer, i int) error {
			return f.WritePriority(uint32(2*i+3), x2.PriorityParam{StreamDep: 1, Weight: 3})
		}},
		"unknown": {x2.ErrCodeEnhanceYourCalm, nil, func(f *x2.Framer, i int) error { return f.WriteRawFrame(0xee, 0, 0, nil) }},
		"window":  {x2.ErrCodeEnhanceYourCalm, nil, func(f *x2.Framer, i int) error { return f.WriteWindowUpdate(0, 1) }},
		"goaway":  {x2.ErrCodeEnhanceYourCalm, nil, func(f *x2.Framer, i int) error { return f.WriteGoAway(0, x2.ErrCodeNo, nil) }},
		"empty data": {x2.ErrCodeEnhanceYourCalm, func(p *peer) { p.send(1, false, usual("POST")...) },
			func(f *x2.Framer, i int) error { return f.WriteData(1, false, nil) }},
		"padding only": {x2.ErrCodeEnhanceYourCalm, func(p *peer) { p.send(1, false, usual("POST")...) },
			func(f *x2.Framer, i int) error { return f.WriteDataPadded(1, false, nil, make([]byte, 9)) }},
		"data on closed streams": {x2.ErrCodeEnhanceYourCalm, func(p *peer) { p.lives(1) },
			func(f *x2.Framer, i int) error { return f.WriteData(1, false, []byte("x")) }},
		"resets of closed streams": {x2.ErrCodeEnhanceYourCalm, func(p *peer) { p.lives(1) },
			func(f *x2.Framer, i int) error { return f.WriteRSTStream(1, x2.ErrCodeCancel) }},
		"malformed requests": {x2.ErrCodeEnhanceYourCalm, nil, func(f *x2.Framer, i int) error {
			return f.WriteHeaders(x2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: []byte{0x82}, EndStream: true, EndHeaders: true})
		}},
		"continuation": {x2.ErrCodeEnhanceYourCalm, func(p *peer) {
			p.ok(p.f.WriteHeaders(x2.HeadersFrameParam{StreamID: 1, BlockFragment: p.block(usual("GET")...)}))
		}, func(f *x2.Framer, i int) error { return f.WriteContinuation(1, false, []byte{0x82}) }},
		"empty continuation": {x2.ErrCodeEnhanceYourCalm, func(p *peer) {
			p.ok(p.f.WriteHeaders(x2.HeadersFrameParam{StreamID: 1, BlockFragment: p.block(usual("GET")...)}))
		}, func(f *x2.Framer, i int) error { return f.WriteContinuation(1, false, nil) }},
		"large continuation": {x2.ErrCodeEnhanceYourCalm, func(p *peer) {
			p.ok(p.f.WriteHeaders(x2.HeadersFrameParam{StreamID: 1, BlockFragment: p.block(usual("GET")...)}))
		}, func(f *x2.Framer, i int) error { return f.WriteContinuation(1, false, make([]byte, 16000)) }},
	} {
		t.Run(name, func(t *testing.T) {
			p := dial(t, listen(t, &Server{Handler: echo{}}, false))
			if c.setup != nil {
				c.setup(p)
			}
			var sent atomic.Int32
			go func() {
				for i := range 50_000 {
					if c.frame(p.f, i) != nil {
						return
					}
					sent.Add(1)
				}
			}()
			p.away(c.code)
			if sent.Load() == 50_000 {
				t.Error("the server took everything")
			}
		})
	}
}

// TestUnread floods with PINGs and reads no answer: the server must not queue them up.
func TestUnread(t *testing.T) {
	s := &Server{Handler: echo{}, Limits: Limits{Stall: 400 * time.Millisecond}}
	p := dial(t, listen(t, s, false))
	_ = p.c.SetWriteDeadline(time.Now().Add(patience))
	for i := range 1_000_000 {
		if p.f.WritePing(false, [8]byte{byte(i)}) != nil {
			return
		}
	}
	t.Error("the server took a million PINGs and sent no client away")
}

// TestBomb repeats a large indexed field (an "HPACK bomb"): 431, and the connection's table stays right.
func TestBomb(t *testing.T) {
	p := dial(t, listen(t, &Server{Handler: echo{}}, false))
	block := append(p.block(append(usual("GET"), "x: "+strings.Repeat("y", 4000))...), bytes.Repeat([]byte{0x80 | 62}, 16000)...)
	p.ok(p.f.WriteHeaders(x2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:8000], EndStream: true}))
	p.ok(p.f.WriteContinuation(1, true, block[8000:]))
	if got := p.status(1); got != "431" {
		t.Fatalf("status %s, expected 431", got)
	}
	p.lives(3)
}

// TestStreams opens one more than may be.
func TestStreams(t *testing.T) {
	h := &slow{free: make(chan struct{})}
	addr := listen(t, &Server{Handler: h, Limits: Limits{Streams: 5}}, false)
	t.Cleanup(func() { close(h.free) })
	p := dial(t, addr)
	for id := uint32(1); id <= 11; id += 2 {
		p.send(id, true, usual("GET")...)
	}
	p.reset(11, x2.ErrCodeRefusedStream)
}

// flood answers with more than fits anywhere.
type flood struct{ ended chan error }

func (f flood) Serve(x wire.Exchange) {
	_ = x.Head(200, nil, -1)
	part := make([]byte, 32<<10)
	for {
		if _, err := x.Write(part); err != nil {
			f.ended <- err
			return
		}
	}
}

// TestSlowRead takes the head of an answer and nothing more, with a window of nothing, and with one it dribbles into.
func TestSlowRead(t *testing.T) {
	for name, dribble := range map[string]uint32{"nothing": 0, "dribble": 1} {
		t.Run(name, func(t *testing.T) {
			h := flood{make(chan error, 1)}
			addr := listen(t, &Server{Handler: h, Limits: Limits{Stall: 200 * time.Millisecond}}, false)
			p := dial(t, addr, x2.Setting{ID: x2.SettingInitialWindowSize, Val: 0})
			p.send(1, true, usual("GET")...)
			stop := make(chan struct{})
			defer close(stop)
			if dribble > 0 {
				go func() {
					for {
						select {
						case <-stop:
							return
						case <-time.After(20 * time.Millisecond):
							_ = p.f.WriteWindowUpdate(1, dribble)
						}
					}
				}()
			}
			p.reset(1, x2.ErrCodeCancel)
			if err := <-h.ended; err != errStalled {
				t.Errorf("the handler was told %v", err)
			}
		})
	}
}

// TestSlowTake opens the windows wide and reads nothing from the socket: the connection is closed.
func TestSlowTake(t *testing.T) {
	h := flood{make(chan error, 1)}
	addr := listen(t, &Server{Handler: h, Limits: Limits{Stall: 200 * time.Millisecond}}, false)
	p := dial(t, addr, x2.Setting{ID: x2.SettingInitialWindowSize, Val: maxWindow})
	p.ok(p.f.WriteWindowUpdate(0, maxWindow-initWindow))
	p.send(1, true, usual("GET")...)
	select {
	case <-h.ended:
	case <-time.After(patience):
		t.Error("the handler still writes")
	}
}

// TestSlowBody announces a body and does not send it.
func TestSlowBody(t *testing.T) {
	p := dial(t, listen(t, &Server{Handler: echo{}, Limits: Limits{Stall: 200 * time.Millisecond}}, false))
	p.send(1, false, usual("POST", "content-length: 100000")...)
	p.ok(p.f.WriteData(1, false, []byte("x")))
	p.reset(1, x2.ErrCodeCancel)
	p.lives(3)
}

// TestLongSilence keeps a stream without a length open for longer than that: it may be a conversation.
func TestLongSilence(t *testing.T) {
	p := dial(t, listen(t, &Server{Handler: echo{}, Limits: Limits{Stall: 100 * time.Millisecond}}, false))
	p.send(1, false, usual("POST")...)
	time.Sleep(400 * time.Millisecond)
	p.ok(p.f.WriteData(1, true, []byte("x")))
	if got := p.status(1); got != "200" {
		t.Errorf("status %s, expected 200", got)
	}
}

// TestSlowloris begins and does not go on: the preface, a frame, a head.
func TestSlowloris(t *testing.T) {
	head := func(p *peer) []byte { return p.block(usual("GET")...) }
	for name, begin := range map[string]func(p *peer){
		"frame": func(p *peer) { _, _ = p.c.Write([]byte{0, 0}) },
		"payload": func(p *peer) {
			_, _ = p.c.Write(append(appendFrameHead(nil, 100, frameHeaders, flagEndHeaders|flagEnd, 1), 0x82))
		},
		"head": func(p *peer) {
			_ = p.f.WriteHeaders(x2.HeadersFrameParam{StreamID: 1, BlockFragment: head(p), EndStream: true})
		},
		"dripping head": func(p *peer) {
			_ = p.f.WriteHeaders(x2.HeadersFrameParam{StreamID: 1, BlockFragment: head(p), EndStream: true})
			for range 20 {
				time.Sleep(20 * time.Millisecond)
				_ = p.f.WriteContinuation(1, false, nil)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := dial(t, listen(t, &Server{Handler: never{t}, Limits: Limits{Begun: 200 * time.Millisecond}}, false))
			begin(p)
			p.refused()
		})
	}
	for name, text := range map[string]string{"nothing": "", "half the preface": preface[:10], "no settings": preface} {
		t.Run(name, func(t *testing.T) {
			addr := listen(t, &Server{Handler: never{t}, Limits: Limits{Begun: 200 * time.Millisecond}}, false)
			c, err := net.Dial("tcp", addr.String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			_, _ = io.WriteString(c, text)
			(&peer{t: t, c: c}).refused()
		})
	}
}

// TestIdle leaves a connection alone: it is ended with GOAWAY, and a busy one is not.
func TestIdle(t *testing.T) {
	h := &slow{free: make(chan struct{})}
	addr := listen(t, &Server{Handler: h, Limits: Limits{Idle: 200 * time.Millisecond}}, false)
	busy := dial(t, addr)
	busy.send(1, true, usual("GET")...)
	p := dial(t, addr)
	p.away(x2.ErrCodeNo)
	time.Sleep(200 * time.Millisecond)
	close(h.free)
	busy.reset(1, x2.ErrCodeInternal) // as slow leaves it
}

// TestFlowControl sends more than the windows allow.
func TestFlowControl(t *testing.T) {
	h := &slow{free: make(chan struct{})}
	addr := listen(t, &Server{Handler: h}, false)
	t.Cleanup(func() { close(h.free) })
	part := make([]byte, frameSize)
	t.Run("stream", func(t *testing.T) {
		p := dial(t, addr)
		p.send(1, false, usual("POST")...)
		for range 5 {
			p.ok(p.f.WriteData(1, false, part))
		}
		p.reset(1, x2.ErrCodeFlowControl)
	})
	t.Run("connection", func(t *testing.T) {
		p := dial(t, addr)
		for id := uint32(1); id <= 41; id += 2 {
			p.send(id, false, usual("POST")...)
			for left := initWindow; left > 0 && p.f.WriteData(id, false, part[:min(left, frameSize)]) == nil; left -= frameSize {
			}
		}
		p.away(x2.ErrCodeFlowControl)
	})
}
