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
	conformance.Run(t, whole(true), conformance.Options{Router: true, Stays: true, Known: known()})
}

// known is where net/http reads HTTP in another way: it only serves as the reference, and these are the reasons for
// a reader of our own.
func known() map[string]string {
	list := map[string]string{}
	for why, names := range map[string][]string{
		"net/http ends lines with LF alone": {
			"lines/bare LF after a field", "lines/bare LF after the request line", "lines/bare LF ends the head", "lines/bare LF everywhere",
			"codings/bad bare LF before it", "codings/bad bare LF behind it", "chunks/bad bare LF at the end", "chunks/bad trailer with bare LF",
		},
		"net/http unfolds lines": {
			"fields/folded and empty", "fields/folded with a blank", "fields/folded with a tab", "hosts/folded first", "lengths/bad folded",
			"codings/bad folded", "codings/bad folded behind a length", "chunks/bad folded trailer",
		},
		"net/http takes Transfer-Encoding for the stronger of two framings": {
			"codings/bad CL.TE", "codings/bad CL.TE with length 0", "codings/bad TE.CL", "codings/bad listed in Connection, and CL",
		},
		"net/http reads chunks of HTTP/1.0":      {"codings/HTTP 1.0", "codings/HTTP 1.0 kept alive"},
		"net/http takes lengths that are alike":  {"lengths/bad two alike"},
		"net/http takes zeros before a length":   {"lengths/bad many digits"},
		"net/http waits for the end of a line":   {"lines/TLS"},
		"net/http knows no empty line first":     {"lines/one empty line first"},
		"net/http counts bytes, not fields":      {"fields/101 of them"},
		"net/http looks at bytes, not at a host": {"hosts/bad behind the bracket", "hosts/bad brackets within", "hosts/bad no IPv6", "hosts/bad open bracket", "hosts/bad port too large"},
		"net/http drops the Host of an absolute target": {
			"targets/absolute of another host", "targets/absolute with another port", "targets/absolute with a user", "targets/absolute with a password",
			"targets/absolute without a host", "targets/absolute of another scheme", "targets/absolute of a script", "targets/absolute for an asterisk",
		},
		"net/http takes any byte in a target":            {"targets/UTF-8", "targets/invalid UTF-8", "targets/overlong UTF-8", "targets/fragment", "targets/asterisk with GET"},
		"net/http decodes targets":                       {"targets/as sent /%"},
		"net/http hands on an Upgrade of HTTP/1.0":       {"connections/Upgrade of HTTP 1.0"},
		"net/http limits the head as a whole":            {"targets/too long"},
		"net/http wants a host and a port after CONNECT": {"targets/CONNECT"},
		"net/http skips what is around a chunk's size": {
			"chunks/bad NUL in an extension", "chunks/bad blank after the size", "chunks/bad tab after the size", "chunks/blank before an extension",
			"chunks/bad trailer with a blank before the colon",
		},
		"net/http waits for as many bytes as there never are":       {"chunks/bad 2^63"},
		"net/http sends nothing of an answer that breaks off early": {"answers/chunk too long", "answers/no chunk"},
	} {
		for _, name := range names {
			list[name] = why
		}
	}
	return list
}
