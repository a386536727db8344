package router

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"paas/router/std"
)

// Limits of what clients may do.
const (
	headerTimeout = 10 * time.Second  // to send a request's head
	idleTimeout   = 120 * time.Second // between two requests
	maxHeader     = 32 << 10          // bytes of a request's head
)

// front is what speaks with clients.
type front struct {
	reference bool
	server    *http.Server
}

func (f *front) open(r *Router, reference bool) {
	f.reference = reference
	f.server = &http.Server{
		Handler: std.Handler(r.Handler()), ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     log.New(io.Discard, "", 0), // strangers' broken requests are no news
	}
}

// Serve answers on l until Shutdown; then it returns nil. It blocks.
func (r *Router) Serve(l net.Listener) error {
	if err := r.front.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (f *front) shutdown(ctx context.Context) error {
	err := f.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, f.server.Close())
	}
	return err
}

// serveOwn has a handler of the platform's own answer.
func (f *flight) serveOwn(own http.Handler) { std.Serve(own, f.x) }
