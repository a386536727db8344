package http2

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"paas/router/wire"
)

// listen serves on a port of its own until the test ends, and wants everything of it to be gone then.
func listen(t testing.TB, s *Server, secure bool) net.Addr {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if secure {
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{certificate(t)}, NextProtos: []string{"h2"}})
	}
	var all sync.WaitGroup
	all.Go(func() { accept(l, s, &all) })
	t.Cleanup(func() {
		_ = l.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.Shutdown(ctx)
		all.Wait()
		noLeak(t)
	})
	return l.Addr()
}

func accept(l net.Listener, s *Server, all *sync.WaitGroup) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		all.Go(func() { _ = s.Serve(c) })
	}
}

// mustEnd wants a server's only connection to be over, with all it started.
func mustEnd(t testing.TB, s *Server, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("the server does not end")
	}
	_ = s.Shutdown(t.Context())
	noLeak(t)
}

// noLeak wants no goroutine of this package to be left.
func noLeak(t testing.TB) {
	var stacks string
	for range 50 {
		buf := make([]byte, 1<<20)
		stacks = string(buf[:runtime.Stack(buf, true)])
		if !strings.Contains(stacks, "http2.(*conn)") && !strings.Contains(stacks, "http2.(*exchange)") && !strings.Contains(stacks, "http2.(*crew)") {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("goroutines are left:\n%s", stacks)
}

func certificate(t testing.TB) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "hello.test"}, DNSNames: []string{"hello.test", "127.0.0.1"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// echo answers with the request's body, or with a text where there is none, and its trailers.
type echo struct{}

func (echo) Serve(x wire.Exchange) {
	body := make([]byte, 0, 512)
	for {
		if len(body) == cap(body) {
			body = append(body, 0)[:len(body)]
		}
		n, err := x.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if err != nil {
			break
		}
	}
	if len(body) == 0 {
		body = []byte("hello")
	}
	_ = x.Head(200, []wire.Field{{Name: []byte("Content-Type"), Value: []byte("text/plain")}}, int64(len(body)))
	_, _ = x.Write(body)
	_ = x.End(x.Trailer())
}
