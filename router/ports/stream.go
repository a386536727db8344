package ports

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"paas/platform"
	"paas/router/proxyproto"
	"paas/router/sockets"
)

// How long a TCP client waits.
const (
	dialTimeout = 5 * time.Second
	awaitTime   = 30 * time.Second // for an instance, while the app has none: it starts, or wakes up
)

// stream is a TCP port.
type stream struct {
	listener *sockets.Listener
	backends *backends
	wake     func()
	log      *slog.Logger

	to      atomic.Pointer[platform.PortRoute]
	open    atomic.Int64
	refused atomic.Int64
	over    context.Context // ends when the door is closed or cut: nobody waits for an instance any more
	end     context.CancelFunc
	work    sync.WaitGroup
}

func newStream(l *sockets.Listener, wake func(), log *slog.Logger) *stream {
	s := &stream{listener: l, backends: newBackends(), wake: wake, log: log}
	s.over, s.end = context.WithCancel(context.Background())
	l.Pause() // until the first swap says where to
	s.work.Go(s.run)
	return s
}

func (s *stream) swap(route platform.Route, to platform.PortRoute) []farewell {
	first := s.to.Swap(&to) == nil
	gone := s.backends.swap(to.Backends, route.Stopped)
	if !first {
		return gone
	}
	if err := s.listener.Resume(); err != nil {
		s.log.Error("open a mapped port", "mapping", to.Mapping, "err", err)
	}
	return gone
}

func (s *stream) usage() platform.PortUsage {
	return platform.PortUsage{Connections: int(s.open.Load()), Refused: s.refused.Load()}
}

func (s *stream) pause() { s.listener.Pause() }

func (s *stream) close() []farewell {
	_ = s.listener.Close() // twice does no harm
	s.end()
	return s.backends.close()
}

// leaveStep is how often leave looks whether everybody has gone.
const leaveStep = 50 * time.Millisecond

func (s *stream) leave(ctx context.Context) {
	for quiet := 0; quiet < 2 && ctx.Err() == nil; quiet++ { // twice: one may just have been taken
		time.Sleep(leaveStep)
		if s.open.Load() > 0 {
			quiet = -1
		}
	}
	_ = s.listener.Close()
	s.end()
	s.backends.cutAll()
	s.work.Wait()
}

// run takes connections until the listener is closed.
func (s *stream) run() {
	for {
		c, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		client, ok := c.(*net.TCPConn)
		if err != nil || !ok {
			time.Sleep(leaveStep) // out of descriptors or memory: it may pass
			continue
		}
		if s.open.Add(1) > int64(s.to.Load().Limit()) {
			s.open.Add(-1)
			s.refuse(client)
			continue
		}
		s.work.Go(func() {
			defer s.open.Add(-1)
			s.serve(client)
		})
	}
}

// refuse tells the client at once, with a reset, that it is not served.
func (s *stream) refuse(c *net.TCPConn) {
	s.refused.Add(1)
	_ = c.SetLinger(0)
	_ = c.Close()
}

func (s *stream) serve(client *net.TCPConn) {
	to := s.to.Load()
	server, b := s.connect()
	if server == nil {
		s.refuse(client)
		return
	}
	defer s.backends.release(b)
	stop := context.AfterFunc(b.cut, func() { _ = client.Close(); _ = server.Close() })
	defer stop()
	if introduce(server, client, to.Proxy) == nil {
		relay(client, server, to.Patience())
	}
	_ = client.Close()
	_ = server.Close()
}

// connect reaches an instance. One that refuses has seen nothing of the client, so another is tried.
func (s *stream) connect() (*net.TCPConn, *backend) {
	ctx, cancel := context.WithTimeout(s.over, awaitTime)
	defer cancel()
	var tried []*backend
	dialer := net.Dialer{Timeout: dialTimeout}
	for {
		b := s.backends.await(ctx, tried, s.wake)
		if b == nil {
			return nil, nil
		}
		c, err := dialer.DialContext(ctx, "tcp", b.Addr.String())
		if err == nil {
			return c.(*net.TCPConn), b
		}
		s.backends.rest(b)
		s.backends.release(b)
		s.log.Debug("an instance refused a connection", "instance", describe(b), "err", err)
		tried = append(tried, b)
	}
}

// introduce tells the instance who the client is, in the version of the PROXY protocol that it wants.
func introduce(server, client *net.TCPConn, version string) error {
	if version == "" {
		return nil
	}
	h := proxyproto.Header{Client: addrPort(client.RemoteAddr()), Server: addrPort(client.LocalAddr())}
	text := h.AppendV1(nil)
	if version == "v2" {
		text = h.AppendV2(nil, false)
	}
	_ = server.SetWriteDeadline(time.Now().Add(dialTimeout))
	_, err := server.Write(text)
	_ = server.SetWriteDeadline(time.Time{})
	return err
}

func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	return tcp.AddrPort()
}
