package router

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"paas/platform"
	"paas/router/std"
)

// Limits of clients that come over HTTP/3 and are no settings. Those that are come from platform.Intake.
const (
	quicDead     = 60 * time.Second // a peer of whom nothing was heard for so long is gone; it is asked twice meanwhile
	quicControls = 8                // streams of the protocol itself; RFC 9114, 6.2 has three
	quicWindow   = 64 << 10         // bytes of a body that nobody has begun to read
	quicParting  = time.Second      // for a client that was told to go to go by itself
)

// What connections end with (RFC 9114, 8.1).
const (
	h3NoError       = 0x100
	h3ExcessiveLoad = 0x107
)

// newHTTP3 makes the server of HTTP/3: net/http's way, by quic-go. A request costs more there than over HTTP/2.
func (f *front) newHTTP3() *http3.Server {
	return &http3.Server{ConnContext: f.visits.begin}
}

// limitHTTP3 sets what clients over HTTP/3 may do. A handshake is given up after twice its idle time (quic-go), so
// that gets half of what a head may take.
func (f *front) limitHTTP3(in platform.Intake, handler func(std.Limits) http.Handler) {
	f.http3.MaxHeaderBytes = in.MaxHead
	f.http3.Handler = f.visits.count(handler(std.Limits{Fields: in.MaxFields, Target: in.MaxTarget, Body: in.HeaderTimeout, Stall: in.Stall}))
	f.http3.QUICConfig = &quic.Config{
		MaxIncomingStreams: int64(in.MaxStreams), MaxIncomingUniStreams: quicControls, HandshakeIdleTimeout: in.HeaderTimeout / 2,
		MaxIdleTimeout: quicDead, KeepAlivePeriod: quicDead / 3,
	}
	quicWindows(f.http3.QUICConfig, in)
	f.visits.idle = in.KeepAlive
	f.unproven.most = in.Handshakes
}

// quicWindows has the connection's window hold what all streams together may leave unread, whatever they have grown to:
// bodies that wait for their turn never hold up the one that is read. Over HTTP/2 the window of all grows when that is
// about to happen; quic-go's cannot be told to, so it is as large from the start. quic-go gives back what was read only
// when it is a quarter of a window (its WindowUpdateThreshold is 0.25), which may be missing at any moment.
func quicWindows(c *quic.Config, in platform.Intake) {
	most := uint64(max(in.QUICWindow, quicWindow))   //nolint:gosec // positive
	all := uint64(in.MaxStreams+quicControls) * most //nolint:gosec // positive
	all += all/3 + 1
	c.InitialStreamReceiveWindow, c.MaxStreamReceiveWindow = quicWindow, most
	c.InitialConnectionReceiveWindow, c.MaxConnectionReceiveWindow = all, all
}

// ServeHTTP3 answers over QUIC on c until Shutdown, which leaves c open; then it returns nil. It blocks. Clients
// learn of it by Options.AltSvc. A c that generates connection ids names those of its connections.
func (r *Router) ServeHTTP3(c net.PacketConn, config *tls.Config) error {
	r.front.begin()
	transport := &quic.Transport{Conn: c, VerifySourceAddress: r.front.unproven.tooMany, TokenGeneratorKey: r.tokenKey()}
	transport.ConnectionIDGenerator, _ = c.(quic.ConnectionIDGenerator)
	// Not ListenEarly: who has a connection has shown that its address is its own.
	listener, err := transport.Listen(http3.ConfigureTLSConfig(config), r.front.http3.QUICConfig)
	if err != nil {
		return err
	}
	err = r.front.http3.ServeListener(listener)
	if !errors.Is(err, http.ErrServerClosed) {
		return errors.Join(err, transport.Close())
	}
	go func() { _ = listener.Close() }() // waits for handshakes
	r.front.visits.wait()
	return transport.Close()
}

// tokenKey is the same in every process of the platform: what one gives to a client to prove its address with, the next
// one knows.
func (r *Router) tokenKey() *quic.TokenGeneratorKey {
	key, err := hkdf.Key(sha256.New, r.secret, nil, "tokens of QUIC", len(quic.TokenGeneratorKey{}))
	if err != nil {
		return nil // only in FIPS mode, with a short secret: then it makes up one
	}
	k := quic.TokenGeneratorKey(key)
	return &k
}

// EndHTTP3 closes all connections of HTTP/3 at once, and tells their clients.
func (r *Router) EndHTTP3() error { return r.front.http3.Close() }

// leaveHTTP3 has the clients of HTTP/3 go (GOAWAY), and blocks until they have, or ctx ends.
func (f *front) leaveHTTP3(ctx context.Context) error {
	f.visits.leave()
	return f.http3.Shutdown(ctx)
}

// unproven counts connections that begin without a proof of their address, by the second. When there are too many,
// others must show first that what we send arrives (Retry; RFC 9000, 8.1.2), so that nobody has us keep state, or
// answer with three times the bytes, for addresses that are not its own.
type unproven struct {
	most   int // a second; negative: all must show it
	mu     sync.Mutex
	second int64
	n      int
}

func (u *unproven) tooMany(net.Addr) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if now := time.Now().Unix(); now != u.second {
		u.second, u.n = now, 0
	}
	u.n++
	return u.n > u.most
}

// visits are the connections of HTTP/3.
type visits struct {
	idle     time.Duration // without a request being answered, however much of one was sent; an app's own is SNI's
	patience func(name string) time.Duration
	enter    func(netip.Addr) (leave func(), ok bool)

	mu      sync.Mutex
	open    map[*visit]struct{}
	leaving bool
	ended   sync.WaitGroup
}

// visit is one connection.
type visit struct {
	all     *visits
	conn    *quic.Conn
	idle    time.Duration
	timer   *time.Timer
	mu      sync.Mutex
	running int
}

type visitKey struct{}

// begin is http3.Server's ConnContext. The handshake is over.
func (s *visits) begin(ctx context.Context, c *quic.Conn) context.Context {
	client, _ := netip.ParseAddrPort(c.RemoteAddr().String()) // zero is counted nowhere
	left, ok := s.enter(client.Addr().Unmap())
	if !ok {
		_ = c.CloseWithError(h3ExcessiveLoad, "too many connections of one client")
		return ctx
	}
	v := &visit{all: s, conn: c, idle: s.idle}
	if own := s.patience(c.ConnectionState().TLS.ServerName); own > 0 {
		v.idle = own
	}
	s.mu.Lock()
	if s.open == nil {
		s.open = map[*visit]struct{}{}
	}
	s.open[v] = struct{}{}
	s.ended.Add(1)
	if s.leaving {
		v.idle = quicParting
	}
	v.timer = time.AfterFunc(v.idle, v.rest)
	s.mu.Unlock()
	context.AfterFunc(c.Context(), func() { left(); s.end(v) })
	return context.WithValue(ctx, visitKey{}, v)
}

func (s *visits) end(v *visit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v.timer.Stop()
	delete(s.open, v)
	s.ended.Done()
}

// rest closes a connection that nothing was asked over for too long.
func (v *visit) rest() {
	v.mu.Lock()
	busy := v.running > 0
	v.mu.Unlock()
	if !busy {
		_ = v.conn.CloseWithError(h3NoError, "idle")
	}
}

// count has a connection live as long as a request of it is answered.
func (s *visits) count(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if v, ok := req.Context().Value(visitKey{}).(*visit); ok {
			v.add(1)
			defer v.add(-1)
		}
		h.ServeHTTP(w, req)
	})
}

func (v *visit) add(n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.running += n; v.running > 0 {
		v.timer.Stop()
		return
	}
	v.timer.Reset(v.all.patienceOf(v))
}

func (s *visits) patienceOf(v *visit) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaving {
		return quicParting
	}
	return v.idle
}

// leave lets connections without a request go soon, whether their clients do or not.
func (s *visits) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaving = true
	for v := range s.open {
		v.timer.Reset(quicParting) // one that is busy is looked at again when it is not
	}
}

// wait blocks until there is no connection.
func (s *visits) wait() { s.ended.Wait() }

var altSvc = []byte("Alt-Svc")

// advertise adds where else the host can be reached (RFC 7838). Plain answers must not say it: nobody vouches for
// them.
func (f *flight) advertise(fields []field) []field {
	if f.r.altSvc == nil || f.req.TLS == nil {
		return fields
	}
	f.fields = append(append(f.fields[:0], fields...), field{Name: altSvc, Value: f.r.altSvc})
	return f.fields
}
