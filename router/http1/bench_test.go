package http1_test

import (
	"bytes"
	"io"
	"testing"
	"time"

	"paas/router/http1"
	"paas/router/wire"
)

// BenchmarkRequest is a browser's GET with a kilobyte for an answer, on one connection.
func BenchmarkRequest(b *testing.B) {
	body := bytes.Repeat([]byte("x"), 1024)
	fields := []wire.Field{{Name: []byte("Content-Type"), Value: []byte("text/html; charset=utf-8")}, {Name: []byte("Date"), Value: []byte("Sat, 21 Nov 2026 16:21:11 GMT")}}
	s := serve(b, &http1.Server{Handler: handle(func(x wire.Exchange) {
		_ = x.Head(200, fields, int64(len(body)))
		_, _ = x.Write(body)
		_ = x.End(nil)
	})})
	c := s.dial()
	_ = c.SetDeadline(time.Time{})
	request := []byte("GET /a/page?with=query HTTP/1.1\r\nHost: hello.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nConnection: keep-alive\r\n\r\n")
	if _, err := c.Write(request); err != nil {
		b.Fatal(err)
	}
	answer := make([]byte, 4096)
	size, err := c.Read(answer)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(request); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, answer[:size]); err != nil {
			b.Fatal(err)
		}
	}
}
