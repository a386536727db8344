// Package exchange moves whole images in and out of the content store: from and to registries, our own
// one among them, and archives.
//
//	other registry ─► Pull ─► layers, extracted while they arrive ─► platform.Image
//	archive        ─► Load ─┘
//	our registry   ─► Pushed ┘
//	platform.Image ─► pack: layers as blobs, made once and remembered ─► Push, Save, our registry
package exchange

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/singleflight"

	"paas/platform"
	"paas/runtime/image"
	"paas/runtime/image/blobs"
)

// Options are what an Exchange works with.
type Options struct {
	Dir    string // remembers which blobs layers become
	Images *image.Store
	Blobs  *blobs.Area
	// Procfile reads the process types out of an image's Procfile.
	Procfile func(text []byte) (map[platform.ProcessType]string, error)
	// Declare adds what an image's app.json says, or another file beside its Procfile; read gives these files, and
	// wraps fs.ErrNotExist for one that is missing. nil: nobody looks.
	Declare func(img *platform.Image, read func(name string) ([]byte, error)) error
}

// Exchange implements platform.Distribution. Safe for concurrent use.
type Exchange struct {
	Options
	making  singleflight.Group // one at a time makes the same blob
	backoff time.Duration      // before the second try of what the network failed; doubles
	keep    int64              // downloads of so many bytes are written down, to be gone on with
}

// Open opens what was remembered in Dir, making it if there is none.
func Open(o Options) (*Exchange, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open image exchange: %w", err)
	}
	return &Exchange{Options: o, backoff: 500 * time.Millisecond, keep: worthKeeping}, nil
}

// Name implements platform.Distribution.
func (x *Exchange) Name(reference string) (string, error) {
	ref, err := parse(reference, false)
	if err != nil {
		return "", err
	}
	return ref.Name(), nil
}

func parse(reference string, plain bool) (name.Reference, error) {
	var options []name.Option
	if plain {
		options = append(options, name.Insecure)
	}
	ref, err := name.ParseReference(reference, options...)
	if err != nil {
		return nil, platform.Errorf(platform.Usage, "%q is not an image: write it like nginx:1.27 or registry.example.org/alice/blog:1.4", reference).Because(err)
	}
	return ref, nil
}

// peer is another registry, as one transfer sees it.
type peer struct {
	ref       name.Reference
	auth      authn.Authenticator
	base      http.RoundTripper
	transport platform.Transfer
	backoff   time.Duration
}

func (x *Exchange) peer(reference string, t platform.Transfer) (*peer, error) {
	ref, err := parse(reference, t.Plain)
	if err != nil {
		return nil, err
	}
	p := &peer{ref: ref, auth: authn.Anonymous, base: dialing(t.Private), transport: t, backoff: x.backoff}
	for _, l := range t.Logins {
		if l.Host == ref.Context().RegistryStr() {
			p.auth = authn.FromConfig(authn.AuthConfig{Username: l.User, Password: l.Secret})
		}
	}
	return p, nil
}

// tries is how often a request is sent, and a download taken up without progress, before it has failed.
const tries = 5

// temporary are the statuses that a second try may mend.
func temporary() []int {
	return []int{
		http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
	}
}

func (p *peer) options(ctx context.Context) []remote.Option {
	return []remote.Option{
		remote.WithContext(ctx), remote.WithAuth(p.auth), remote.WithTransport(p.base), remote.WithUserAgent("paas"),
		remote.WithJobs(parallel), remote.WithRetryStatusCodes(temporary()...),
		remote.WithRetryBackoff(remote.Backoff{Duration: p.backoff, Factor: 2, Jitter: 0.1, Steps: tries}),
		remote.WithPlatform(v1.Platform{OS: "linux", Architecture: runtime.GOARCH}),
	}
}

// maxDocument bounds every answer but a blob's: nobody else's registry decides how much memory we use.
const maxDocument = 8 << 20

// bounded is a transport that ends documents which are too long.
type bounded struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := b.next.RoundTrip(req)
	if err == nil && !strings.Contains(req.URL.Path, "/blobs/") && req.Response == nil {
		res.Body = http.MaxBytesReader(nil, res.Body, maxDocument)
	}
	return res, err
}

// dialing makes a transport that reaches the host's own networks only if private says so. The address
// is checked after the name was looked up, so that no name leads around it; a proxy is not asked.
func dialing(private bool) http.RoundTripper { return bounded{direct(private)} }

// direct is dialing without a bound on what comes.
func direct(private bool) *http.Transport {
	d := &net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}
	if !private {
		d.Control = publicOnly
	}
	return &http.Transport{
		DialContext: d.DialContext, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 15 * time.Second,
		ResponseHeaderTimeout: 60 * time.Second, IdleConnTimeout: 30 * time.Second, MaxIdleConnsPerHost: parallel,
	}
}

// carrierGrade is shared between providers and their customers (RFC 6598).
var carrierGrade = netip.MustParsePrefix("100.64.0.0/10")

func publicOnly(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	ip := at.Addr().Unmap()
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || carrierGrade.Contains(ip) {
		return platform.Errorf(platform.Denied, "registries at private addresses like %s are for admins", ip)
	}
	return nil
}

// explain gives an error of the other side a sentence.
func (p *peer) explain(err error) error {
	var human *platform.Error
	var answer *transport.Error
	host := p.ref.Context().RegistryStr()
	switch {
	case err == nil || errors.As(err, &human):
		return err
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &answer) && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden):
		return platform.Errorf(platform.Denied, "%s does not let us at %s", host, p.ref).Because(err).
			WithHint("log in first: ssh paas registry:login %s USER < password", host)
	case errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
		return platform.Errorf(platform.NotFound, "%s has no %s", host, p.ref).Because(err)
	}
	return platform.Errorf(platform.Failed, "%s did not answer as it should: %v", host, err).Because(err)
}
