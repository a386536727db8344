package router

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// Limits of clients that come over HTTP/3. Those of HTTP/1 and HTTP/2 that are settings do not reach it yet.
const (
	quicIdle    = 60 * time.Second
	quicStreams = 100
	quicHead    = 32 << 10 // bytes
)

// newHTTP3 makes the server of HTTP/3: net/http's way, by quic-go. A request costs more there than over HTTP/2.
func newHTTP3(h http.Handler) *http3.Server {
	return &http3.Server{
		Handler: h, MaxHeaderBytes: quicHead, IdleTimeout: quicIdle,
		QUICConfig: &quic.Config{MaxIncomingStreams: quicStreams, MaxIdleTimeout: quicIdle},
	}
}

// ServeHTTP3 answers over QUIC on c until Shutdown, which leaves c open; then it returns nil. It blocks. Clients
// learn of it by Options.AltSvc.
func (r *Router) ServeHTTP3(c net.PacketConn, config *tls.Config) error {
	r.front.begin()
	listener, err := quic.ListenEarly(c, http3.ConfigureTLSConfig(config), r.front.http3.QUICConfig)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }()
	if err := r.front.http3.ServeListener(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// EndHTTP3 closes all connections of HTTP/3 at once, and tells their clients: two processes cannot share a socket of
// QUIC, as they can one that is listened on.
func (r *Router) EndHTTP3() error { return r.front.http3.Close() }

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
