package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"paas/platform"
	"paas/router/certs"
)

// listenTLS opens HTTPS, or nothing when that is off. Where nobody asked for it, a port that somebody else has is
// no reason not to serve the rest: an older version did without.
func (d *daemon) listenTLS() (net.Listener, error) {
	if d.settings.HTTPS == noHTTPS {
		return nil, nil
	}
	l, err := listen("tcp", d.settings.HTTPS, "https")
	if err != nil && !d.settings.httpsAsked {
		d.log.Warn("HTTPS is not served", "err", err)
		return nil, nil
	}
	return l, err
}

// openCertificates opens the room of certificates over the store. web and secure are the router's listeners;
// secure may be nil.
func (d *daemon) openCertificates(ctx context.Context, web, secure net.Listener) (*certs.Manager, error) {
	o := certs.Options{Vault: d.rooms.store.Vault(), Log: d.log, HTTPPort: port(web.Addr()), HTTPSPort: httpsPort(secure)}
	m, err := certs.Open(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("open certificates: %w", err)
	}
	return m, nil
}

// httpsPort is 0 without HTTPS.
func httpsPort(l net.Listener) int {
	if l == nil {
		return 0
	}
	return port(l.Addr())
}

// protocols are what the router serves over TLS, best first.
func protocols() []string { return []string{"h2", "http/1.1"} }

func overTLS(l net.Listener, m *certs.Manager) net.Listener {
	return tls.NewListener(l, m.TLSConfig(protocols()...))
}

// httpsFinding tells how visitors come in over TLS.
func (h host) httpsFinding() platform.Finding {
	f := platform.Finding{Check: "https port", Grade: platform.Fine}
	switch {
	case h.httpsAddr == nil:
		f.Grade, f.Text = platform.Warning, "HTTPS is not served: what visitors send can be read on the way."
		f.Fix = "paas serve --https :443"
	case port(h.httpsAddr) != 443:
		f.Grade, f.Text = platform.Warning, fmt.Sprintf("HTTPS is served on port %d: unless something leads port 443 to it, visitors must type that.", port(h.httpsAddr))
		f.Fix = "paas serve --https :443"
	default:
		f.Text = "Port 443 is served."
	}
	return f
}
