package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"

	"paas/platform"
	"paas/router/certs"
	"paas/router/packets"
)

// listenTLS opens HTTPS, or nothing when that is off. Where nobody asked for it, a port that somebody else has is
// no reason not to serve the rest: an older version did without.
func (d *daemon) listenTLS() error {
	if d.settings.HTTPS == noHTTPS {
		return nil
	}
	l, err := d.listen("https", d.settings.HTTPS)
	if err != nil && !d.settings.httpsAsked {
		d.log.Warn("HTTPS is not served", "err", err)
		return nil
	}
	if err == nil {
		d.https, err = newFront(l, d.settings.HTTPProxyProtocol)
	}
	return err
}

// listenQUIC opens the socket of HTTP/3, where that was asked for.
func (d *daemon) listenQUIC() (err error) {
	if !d.settings.HTTP3 || d.https == nil {
		return nil
	}
	addr := d.https.Addr().String()
	c, err := d.sockets.ListenPacket("http3", addr)
	if err != nil {
		return platform.Errorf(platform.Failed, "cannot listen on UDP %s for HTTP/3: %v", addr, err).
			WithHint("free that port, or leave out --http3")
	}
	d.quic, err = packets.Open(c, filepath.Join(d.settings.Data, packetsName))
	return err
}

// packetsName is where processes that serve HTTP/3 reach each other, below the data directory.
const packetsName = "http3"

// endQUIC is for the end of the process, when clients were let go.
func (d *daemon) endQUIC() {
	if d.quic == nil {
		return
	}
	if err := errors.Join(d.web.EndHTTP3(), d.quic.Close()); err != nil {
		d.log.Warn("close HTTP/3", "err", err)
	}
}

// altSvc tells clients of HTTP/3, for a day (RFC 7838).
func (d *daemon) altSvc() string {
	if d.quic == nil {
		return ""
	}
	return fmt.Sprintf(`h3=":%d"; ma=86400`, d.httpsPort())
}

// openCertificates opens the room of certificates over the store.
func (r *reign) openCertificates(ctx context.Context) (err error) {
	o := certs.Options{Vault: r.rooms.store.Vault(), Log: r.log, HTTPPort: port(r.http.Addr()), HTTPSPort: r.httpsPort()}
	if r.certificates, err = certs.Open(ctx, o); err != nil {
		return fmt.Errorf("open certificates: %w", err)
	}
	r.tls = r.certificates.TLSConfig(protocols()...)
	return nil
}

// httpsPort is 0 without HTTPS.
func (d *daemon) httpsPort() int {
	if d.https == nil {
		return 0
	}
	return port(d.https.Addr())
}

// protocols are what the router serves over TLS, best first.
func protocols() []string { return []string{"h2", "http/1.1"} }

var errNoReign = errors.New("the daemon is being replaced")

// overTLS shakes hands as the reign of the moment does.
func (d *daemon) overTLS() net.Listener {
	return tls.NewListener(d.https, d.tlsConfig())
}

func (d *daemon) tlsConfig() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: d.tlsFor}
}

func (d *daemon) tlsFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	r := d.ruling.Load()
	if r == nil {
		return nil, errNoReign
	}
	special, err := r.tls.GetConfigForClient(hello)
	if special == nil && err == nil {
		return r.tls, nil
	}
	return special, err
}

// What the router asks about certificates. Between two reigns nothing is known of any.

func (d *daemon) challenge(host, path string) (answer string, ok bool) {
	if r := d.ruling.Load(); r != nil {
		return r.certificates.Challenge(host, path)
	}
	return "", false
}

func (d *daemon) secured(host string, trusted bool) bool {
	r := d.ruling.Load()
	return r != nil && r.certificates.Secured(host, trusted)
}

func (d *daemon) covers(state *tls.ConnectionState, authority []byte) bool {
	r := d.ruling.Load()
	return r == nil || r.certificates.Covers(state, authority)
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
