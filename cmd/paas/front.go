package main

import (
	"context"
	"net"
	"time"

	"paas/router/proxyproto"
	"paas/router/sockets"
)

// front is a listener for clients: it can be paused, and where balancers stand before it they are asked who
// their clients are.
type front struct {
	net.Listener
	socket *sockets.Listener
	behind *proxyproto.Listener // nil: nobody is believed
}

// newFront puts what the networks say before the socket; "" is nobody. The setting was checked when it was read.
// Clients speak first, with or without TLS.
func newFront(l *sockets.Listener, networks string) (*front, error) {
	if err := l.HoldBack(); err != nil {
		return nil, err
	}
	trusted, err := proxyproto.ParseNetworks(networks)
	if err != nil || len(trusted) == 0 {
		return &front{Listener: l, socket: l}, nil
	}
	behind := proxyproto.Listen(l, proxyproto.Options{Trusted: trusted})
	return &front{Listener: behind, socket: l, behind: behind}, nil
}

// takenTime is more than enough for a connection to get from Accept to the server's count.
const takenTime = 100 * time.Millisecond

// stop takes no more connections, and waits until those that were taken are known to the server, or ctx ends.
func (f *front) stop(ctx context.Context) {
	f.socket.Pause()
	select {
	case <-time.After(takenTime):
	case <-ctx.Done():
	}
	for f.behind != nil && f.behind.Pending() > 0 && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
}
