package http2

import (
	"bytes"
	"net"
	"os"
	"runtime/pprof"
	"testing"

	"paas/router/wire"
)

type demo struct{ body []byte }

func (d demo) Serve(x wire.Exchange) {
	x.Head(200, []wire.Field{{Name: []byte("Content-Type"), Value: []byte("text/plain")}, {Name: []byte("Server"), Value: []byte("x")}}, int64(len(d.body)))
	x.Write(d.body)
	x.End(nil)
}

func TestDemo(t *testing.T) {
	addr := os.Getenv("DEMO")
	if addr == "" {
		t.Skip()
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if p := os.Getenv("DEMOPROF"); p != "" {
		f, _ := os.Create(p)
		pprof.StartCPUProfile(f)
		go func() { b := make([]byte, 1); os.Stdin.Read(b); pprof.StopCPUProfile(); f.Close(); os.Exit(0) }()
	}
	s := &Server{Handler: demo{bytes.Repeat([]byte("a"), 1024)}}
	for {
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			if err := s.Serve(c); err != nil {
				t.Log(err)
			}
		}()
	}
}
