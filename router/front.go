package router

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/quic-go/quic-go/http3"

	"paas/platform"
	"paas/router/http1"
	"paas/router/http2"
	"paas/router/std"
)

// front is what speaks with clients: package http1, which hands the connections on which TLS agreed on HTTP/2 to
// package http2; quic-go for HTTP/3; or net/http, as the reference that the first two are compared with.
type front struct {
	http1 *http1.Server
	http2 *http2.Server
	http3 *http3.Server
	std   *http.Server // nil but for the reference

	visits   visits
	unproven unproven
	handler  func(std.Limits) http.Handler

	mu      sync.Mutex
	serving bool
}

// limit sets what clients may do. What serves already keeps its limits.
func (f *front) limit(in platform.Intake) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.serving {
		return
	}
	f.http1.Limits = http1.Limits{
		Head: in.MaxHead, Target: in.MaxTarget, Fields: in.MaxFields, Header: in.HeaderTimeout, Idle: in.KeepAlive,
		Rate: int64(in.MinRate), PerClient: in.MaxConnections, Unread: unread(in.MaxUnread), Linger: in.Linger, Dropped: int64(in.MaxLinger),
		Chunking: http1.Chunking{Line: in.MaxChunkLine, Extensions: in.MaxExtensions, Trailer: in.MaxTrailer},
	}
	f.http2.Limits = http2.Limits{
		Streams: in.MaxStreams, Head: in.MaxHead, Fields: in.MaxFields, Target: in.MaxTarget, Idle: in.KeepAlive, Begun: in.HeaderTimeout,
		Noise: in.MaxNoise, Stall: in.Stall, Continued: in.MaxContinued, StreamWindow: in.StreamWindow, Window: in.Window,
	}
	f.limitHTTP3(in, f.handler)
}

// unread is package http1's word for it: there is always room for one byte, and what is negative is not limited.
func unread(most int) int64 { return int64(max(most, 1)) }

func (f *front) begin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.serving = true
}

// Limits of the reference. Those of http1 and http2 are theirs.
const (
	referenceHeader = 10 * time.Second
	referenceIdle   = 120 * time.Second
	referenceHead   = 32 << 10 // bytes
)

func (f *front) open(r *Router, o Options) {
	f.http2 = &http2.Server{Handler: r.Handler(), Covers: o.Covers, Patience: r.patienceOf}
	f.handler = func(l std.Limits) http.Handler { return std.Handler(r.Handler(), l) }
	f.http3 = f.newHTTP3()
	f.http1 = &http1.Server{
		Handler: r.Handler(), Log: r.log, Patience: r.patienceOf,
		Protocols: map[string]func(*tls.Conn){"h2": func(c *tls.Conn) { _ = f.http2.Serve(c) }}, // strangers' broken ones are no news
		Trusted:   func(a netip.Addr) bool { return contained(a.Unmap(), r.intake.Load().TrustedProxies, nil) },
	}
	f.visits.enter = f.http1.Enter
	f.visits.patience = func(name string) time.Duration {
		if p := r.patienceOf(name); p != nil {
			return p.Idle
		}
		return 0
	}
	if o.Reference {
		f.std = &http.Server{
			Handler: std.Handler(r.Handler(), std.Limits{}), ReadHeaderTimeout: referenceHeader, IdleTimeout: referenceIdle,
			MaxHeaderBytes: referenceHead, DisableGeneralOptionsHandler: true, ErrorLog: log.New(io.Discard, "", 0),
		}
	}
}

// Serve answers on l until Shutdown; then it returns nil. It blocks. A listener of package tls brings HTTP/2 where
// its configuration has "h2" in NextProtos.
func (r *Router) Serve(l net.Listener) error {
	r.front.begin()
	var err error
	if r.front.std != nil {
		err = r.front.std.Serve(l)
	} else {
		err = r.front.http1.ServeListener(l)
	}
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, http1.ErrClosed) {
		return nil
	}
	return err
}

// Leave asks the clients to go to another process that listens in the place of this one: every answer from now on
// is the last one on its connection. It blocks until no connection is left, or ctx ends. Listeners are the
// caller's to stop.
func (r *Router) Leave(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { _ = r.front.http2.Shutdown(ctx) }) // ctx is the caller's own
	wg.Go(func() { _ = r.front.leaveHTTP3(ctx) })
	r.front.http1.Drain()
	_ = r.front.http1.Wait(ctx)
	wg.Wait()
}

// shutdown ends all connections, those in use when ctx ends.
func (f *front) shutdown(ctx context.Context) error {
	if f.std != nil {
		err := f.std.Shutdown(ctx)
		if err != nil {
			err = errors.Join(err, f.std.Close())
		}
		return err
	}
	others := make(chan error, 2)
	go func() { others <- f.http2.Shutdown(ctx) }()
	go func() { others <- f.leaveHTTP3(ctx) }()
	err := f.http1.Shutdown(ctx)
	err = errors.Join(err, <-others, <-others)
	if err != nil {
		err = errors.Join(err, f.http1.Close(), f.http3.Close())
	}
	return err
}

// serveOwn has a handler of the platform's own answer.
func (f *flight) serveOwn(own http.Handler) { std.Serve(own, f.x) }
