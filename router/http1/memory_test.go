package http1_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"paas/router/http1"
)

// idle is how many connections are open at once, and what each may cost, in bytes of resident memory.
const (
	idle      = 5000
	plainMost = 8 << 10
	tlsMost   = 40 << 10
)

// TestIdleConnections opens connections that have had an answer and wait, and weighs the process. The clients are
// descriptors without anything around them.
func TestIdleConnections(t *testing.T) {
	if raceEnabled { // its own memory is not what is weighed
		out, err := exec.Command("go", "test", "-count", "1", "-run", "^TestIdleConnections$", ".").CombinedOutput()
		if err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	for _, c := range []struct {
		name string
		most int64
		tls  *tls.Config
	}{{"plain", plainMost, nil}, {"tls", tlsMost, certificate(t)}} {
		t.Run(c.name, func(t *testing.T) {
			s := serveTLS(t, &http1.Server{Handler: handle(hello)}, c.tls)
			open := make([]int, 0, idle+1)
			t.Cleanup(func() {
				for _, fd := range open {
					_ = unix.Close(fd)
				}
			})
			open = append(open, idleClient(t, s.addr, c.tls)) // what is made once
			before := resident(t)
			for range idle {
				open = append(open, idleClient(t, s.addr, c.tls))
			}
			each := (resident(t) - before) / idle
			t.Logf("%d bytes for each of %d idle connections", each, idle)
			if each > c.most {
				t.Errorf("more than %d", c.most)
			}
		})
	}
}

func serveTLS(t testing.TB, s *http1.Server, c *tls.Config) *served {
	t.Helper()
	if c == nil {
		return serve(t, s)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, s, tls.NewListener(l, c))
}

// idleClient asks once, and leaves nothing but an open descriptor.
func idleClient(t *testing.T, addr string, config *tls.Config) (fd int) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	if err = raw.Control(func(from uintptr) { fd, failed = unix.FcntlInt(from, unix.F_DUPFD_CLOEXEC, 0) }); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	talk := c
	if config != nil {
		talk = tls.Client(c, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // our own certificate
	}
	_, err = io.WriteString(talk, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	answer := make([]byte, 1024)
	n, e := talk.Read(answer)
	if err = errors.Join(err, e, c.Close()); err != nil || !bytes.HasPrefix(answer[:n], []byte("HTTP/1.1 200")) {
		t.Fatal(err, string(answer[:n]))
	}
	return fd
}

// resident is the process's own memory, in bytes, once garbage is collected.
func resident(t *testing.T) int64 {
	t.Helper()
	for range 3 { // stacks shrink by half at each
		debug.FreeOSMemory()
	}
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(string(bytes.Fields(b)[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// certificate is one for any name, of our own.
func certificate(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a"}, NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"a"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
}
