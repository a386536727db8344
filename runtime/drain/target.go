package drain

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"paas/platform"
)

const (
	dialTimeout   = 10 * time.Second
	lookupTimeout = 5 * time.Second
	mostURL       = 2048 // bytes
)

// Check implements platform.Drainer.
func (d *Drains) Check(ctx context.Context, spec platform.LogDrain) error {
	u, err := parse(spec)
	if err != nil {
		return err
	}
	if _, err := newSender(spec); err != nil {
		return err
	}
	if spec.Private {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return platform.Errorf(platform.Failed, "the host %s of the drain cannot be found", u.Hostname()).Because(err).
			WithHint("check its name; nothing was added")
	}
	for _, a := range addrs {
		if err := public(a); err != nil {
			return platform.Errorf(platform.Denied, "%s is %v, and apps' owners must not reach what is there through the platform", u.Hostname(), err).
				WithHint("an admin can allow it: add --allow-private")
		}
	}
	return nil
}

// parse reads a drain's URL.
func parse(spec platform.LogDrain) (*url.URL, error) {
	u, err := url.Parse(spec.URL)
	kind := platform.DrainKind(spec.URL)
	if err != nil || kind == "" || len(spec.URL) > mostURL || u.Hostname() == "" || u.Fragment != "" {
		return nil, platform.Errorf(platform.Usage, "a log cannot be sent to that URL").
			WithHint("write it like https://logs.example.com/in, https://loki.example.com/loki/api/v1/push or syslog+tls://logs.example.com:6514")
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			return nil, platform.Errorf(platform.Usage, "%s is no port", p)
		}
	}
	if kind == "syslog" && (u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.User != nil) {
		return nil, platform.Errorf(platform.Usage, "a syslog URL is a host and a port, like syslog+tls://logs.example.com:6514")
	}
	if (u.Scheme == "http" || u.Scheme == "loki+http") && !spec.Private {
		return nil, platform.Errorf(platform.Usage, "over http everybody on the way could read the log").
			WithHint("take https; within a network of your own an admin can add --allow-private")
	}
	return u, nil
}

// guard lets a dialer connect to public addresses only, unless all is allowed. It sees the address that is really connected
// to, so no name that changes its mind in between leads elsewhere.
func guard(private bool) func(network, address string, _ syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		if private {
			return nil
		}
		a, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("connect to %s: %w", address, err)
		}
		return public(a.Addr())
	}
}

// inner are ranges that belong to nobody on the internet, beside those that package netip names (RFC 6890 and the IANA's
// registries of special-purpose addresses), and those that carry other addresses within them.
func inner() []netip.Prefix {
	var list []netip.Prefix
	for _, text := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10",
	} {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// public says what an address is that the world does not reach, or that this host has itself.
func public(a netip.Addr) error {
	a = a.Unmap().WithZone("")
	switch {
	case a.IsLoopback(), a.IsUnspecified():
		return errors.New("this host itself")
	case a.IsLinkLocalUnicast(), a.IsPrivate():
		return errors.New("on a private network")
	case a.IsMulticast(), a.IsInterfaceLocalMulticast(), a.IsLinkLocalMulticast():
		return errors.New("no single host")
	}
	for _, p := range inner() {
		if p.Contains(a) {
			return errors.New("no address of the internet")
		}
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return fmt.Errorf("not known to be another host: %w", err)
	}
	for _, addr := range own {
		if n, ok := addr.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok && ip.Unmap() == a {
				return errors.New("this host itself")
			}
		}
	}
	return nil
}

func newDialer(spec platform.LogDrain) *net.Dialer {
	return &net.Dialer{Timeout: dialTimeout, Control: guard(spec.Private)}
}

func newTLS(spec platform.LogDrain, host string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host, InsecureSkipVerify: spec.Insecure} //nolint:gosec // its owner said so
	if spec.CA == "" {
		return c, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM([]byte(spec.CA)) {
		return nil, platform.Errorf(platform.Usage, "the authority's certificate cannot be read: it must be PEM")
	}
	c.RootCAs = pool
	return c, nil
}

func newSender(spec platform.LogDrain) (sender, error) {
	u, err := parse(spec)
	if err != nil {
		return nil, err
	}
	secure, err := newTLS(spec, u.Hostname())
	if err != nil {
		return nil, err
	}
	if platform.DrainKind(spec.URL) == "syslog" {
		return newSyslog(spec, u, secure), nil
	}
	return newPoster(spec, u, secure), nil
}

// reason says an error in a few words, without the URL, which may hold a password.
func reason(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "it takes too long"
	}
	return err.Error()
}
