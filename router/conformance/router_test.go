package conformance_test

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"paas/platform"
	"paas/router"
	"paas/router/conformance"
)

// whole starts a router with one app that has one instance, the origin.
func whole(reference bool) conformance.Front {
	return func(t *testing.T, origin net.Addr) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		r := router.New(router.Options{Reference: reference})
		r.Swap(platform.Route{App: "a", Hosts: []string{"a.test"}, Backends: []platform.Backend{
			{ID: "a-1", Addr: netip.MustParseAddrPort(origin.String())},
		}})
		done := make(chan error, 1)
		go func() { done <- r.Serve(l) }()
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_ = r.Shutdown(ctx)
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
		return l.Addr().String()
	}
}

// TestRouter runs the cases over the whole router.
func TestRouter(t *testing.T) {
	conformance.Run(t, whole(false), conformance.Options{Router: true})
}

// TestReference runs them over the router with net/http in front.
func TestReference(t *testing.T) {
	conformance.Run(t, whole(true), conformance.Options{Router: true, Known: known})
}

// known is where net/http reads HTTP in another way. It only serves as the reference.
var known = map[string]string{}
