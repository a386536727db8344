package http2

import (
	"bytes"
	"crypto/tls"
	"net"
	"os"
	"os/signal"
	"runtime/pprof"
	"testing"

	"paas/router/wire"
)

type demo struct{ body []byte }

func (d demo) Serve(x wire.Exchange) {
	x.Head(200, []wire.Field{{Name: []byte("Content-Type"), Value: []byte("text/plain")}, {Name: []byte("Server"), Value: []byte("x")}, {Name: []byte("Date"), Value: []byte("Sat, 21 Nov 2026 16:19:53 GMT")}}, int64(len(d.body)))
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
	if os.Getenv("DEMOTLS") != "" {
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{certificate(t)}, NextProtos: []string{"h2"}})
	}
	if p := os.Getenv("DEMOPROF"); p != "" {
		f, _ := os.Create(p)
		pprof.StartCPUProfile(f)
		ch := make(chan os.Signal, 1)
		signal.Notify(ch, os.Interrupt)
		go func() { <-ch; pprof.StopCPUProfile(); f.Close(); os.Exit(0) }()
	}
	s := &Server{Handler: demo{bytes.Repeat([]byte("a"), 1024)}}
	for {
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		go func() { s.Serve(c) }()
	}
}
