package dockerfile

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/source"

	"paas/platform"
)

// refusal is a source for what is not fetched.
type refusal struct{}

// Schemes implements source.Source.
func (refusal) Schemes() []string { return []string{"git", "oci-layout", "docker-image+blob", "local"} }

// Identifier implements source.Source.
func (refusal) Identifier(scheme, ref string, _ map[string]string, _ *pb.Platform) (source.Identifier, error) {
	return nil, refused(scheme + "://" + ref)
}

// Resolve implements source.Source.
func (refusal) Resolve(_ context.Context, id source.Identifier, _ *session.Manager, _ solver.Vertex) (source.SourceInstance, error) {
	return nil, refused(id.Scheme() + "://")
}

func refused(identifier string) error {
	scheme, what, _ := strings.Cut(identifier, "://")
	switch scheme {
	case "git":
		return platform.Errorf(platform.Failed, "a Dockerfile cannot ADD the git repository %s here", what).
			WithHint("clone it in a RUN instruction, or make it a submodule's replacement: commit its files")
	case "oci-layout", "docker-image+blob", "local":
		return platform.Errorf(platform.Failed, "a Dockerfile cannot use %s://%s here", scheme, what)
	}
	return nil
}

// fetching is how ADD gets what a URL names. The address is checked after the name was looked up, so that no
// Dockerfile reaches the host's own services or its neighbours; a proxy that the environment names looks it up
// itself, somewhere else.
func fetching(private bool) http.RoundTripper {
	direct := &net.Dialer{Timeout: dialWait}
	if !private {
		direct.Control = publicOnly
	}
	proxied := transportBy((&net.Dialer{Timeout: dialWait}).DialContext)
	proxied.Proxy = http.ProxyFromEnvironment
	return ways{direct: transportBy(direct.DialContext), proxied: proxied}
}

const dialWait = 15 * time.Second

func transportBy(dial func(context.Context, string, string) (net.Conn, error)) *http.Transport {
	return &http.Transport{
		DialContext: dial, ForceAttemptHTTP2: true, TLSHandshakeTimeout: dialWait, ResponseHeaderTimeout: 60 * time.Second,
		IdleConnTimeout: 30 * time.Second,
	}
}

type ways struct{ direct, proxied http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (w ways) RoundTrip(req *http.Request) (*http.Response, error) {
	proxy, err := http.ProxyFromEnvironment(req)
	if err != nil || proxy == nil {
		return w.direct.RoundTrip(req)
	}
	if ip, err := netip.ParseAddr(req.URL.Hostname()); err == nil && !isPublic(ip) {
		return nil, notPublic(ip)
	}
	return w.proxied.RoundTrip(req)
}

// carrierGrade is shared between providers and their customers (RFC 6598).
func carrierGrade() netip.Prefix { return netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10) }

func publicOnly(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if ip := at.Addr().Unmap(); !isPublic(ip) {
		return notPublic(ip)
	}
	return nil
}

func isPublic(ip netip.Addr) bool {
	return ip.IsGlobalUnicast() && !ip.IsPrivate() && !carrierGrade().Contains(ip)
}

func notPublic(ip netip.Addr) error {
	return platform.Errorf(platform.Denied, "a Dockerfile may not fetch from the private address %s", ip)
}
