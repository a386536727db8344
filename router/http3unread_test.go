package router_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"paas/platform"
	"paas/router"
)

// Bodies that were read fast at first, so that their windows grew, and that nobody reads any more filled the window of
// the connection: what another one sent never arrived.
func TestHTTP3UnreadBodiesHoldUpNoOther(t *testing.T) {
	const streams, most = 6, 256 << 10
	r := serveWith(t, router.Options{}, platform.Intake{MaxStreams: streams, QUICWindow: most})
	release := make(chan struct{})
	r.swap(tightInstance(t, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/read" {
			digest(w, req)
			return
		}
		_, _ = io.CopyN(io.Discard, req.Body, 3*most)
		<-release
	}))
	client := farClient3(t, quicOf(t, r))
	t.Cleanup(func() { close(release) })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var sent atomic.Int64
	for range streams - 1 {
		go client.pour(ctx, &sent)
	}
	for before := int64(-1); before != sent.Load() || before < (streams-1)*3*most; {
		before = sent.Load()
		time.Sleep(500 * time.Millisecond)
	}
	const size = most + 1
	if _, got := client.ask("POST", "/read", strings.NewReader(strings.Repeat("x", size))); !strings.HasPrefix(got, strconv.Itoa(size)+" ") {
		t.Errorf("%q", got)
	}
}

// tightInstance is one whose socket takes little that it does not read.
func tightInstance(t *testing.T, h http.HandlerFunc) *instance {
	t.Helper()
	tight := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 64<<10) })
	}}
	l, err := tight.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	i := newInstance(t, h)
	i.Addr = netip.MustParseAddrPort(l.Addr().String())
	go func() { _ = i.server.Serve(l) }()
	return i
}

// pour sends a body without an end, and counts what the windows took.
func (c asker3) pour(ctx context.Context, sent *atomic.Int64) {
	body := readerFunc(func(p []byte) (int, error) { clear(p); sent.Add(int64(len(p))); return len(p), nil })
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+c.address+"/hold", io.NopCloser(body))
	if err != nil {
		panic(err)
	}
	req.Host = "hello.test"
	if res, err := c.RoundTrip(req); err == nil {
		_ = res.Body.Close()
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// farClient3 is a client whose packets are on their way for some milliseconds: quic-go lets windows grow only where a
// round trip takes longer than reading.
func farClient3(t *testing.T, address string) asker3 {
	c := client3(t, address)
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	far := newFar(socket)
	transport := &quic.Transport{Conn: far}
	t.Cleanup(func() { _, _, _ = transport.Close(), socket.Close(), far.Close() })
	c.Transport = &http3.Transport{TLSClientConfig: c.TLSClientConfig, Dial: func(ctx context.Context, address string, config *tls.Config, q *quic.Config) (*quic.Conn, error) {
		to, err := net.ResolveUDPAddr("udp", address)
		if err != nil {
			return nil, err
		}
		return transport.DialEarly(ctx, to, config, q)
	}}
	t.Cleanup(func() { _ = c.Transport.Close() })
	return c
}

// far sends packets late, and in order.
type far struct {
	net.PacketConn
	sent   chan late
	closed chan struct{}
}

type late struct {
	p    []byte
	to   net.Addr
	when time.Time
}

const farAway = 5 * time.Millisecond

func newFar(c net.PacketConn) *far {
	f := &far{PacketConn: c, sent: make(chan late, 1<<16), closed: make(chan struct{})}
	go func() {
		for {
			select {
			case l := <-f.sent:
				time.Sleep(time.Until(l.when))
				_, _ = c.WriteTo(l.p, l.to)
			case <-f.closed:
				return
			}
		}
	}()
	return f
}

func (f *far) WriteTo(p []byte, to net.Addr) (int, error) {
	select {
	case f.sent <- late{append([]byte(nil), p...), to, time.Now().Add(farAway)}:
	default: // lost
	}
	return len(p), nil
}

func (f *far) Close() error { close(f.closed); return nil }
