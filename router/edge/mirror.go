package edge

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"paas/router/wire"
)

// Bounds of copies. What is beyond them is dropped: copies must not cost the requests themselves anything.
const (
	mirrorAtOnce  = 64               // in flight
	mirrorBody    = 64 << 10         // bytes; a request with more is not copied
	mirrorTimeout = 10 * time.Second // for all of a copy
)

// Mirror sends copies of requests and forgets the answers. Its zero value is ready.
type Mirror struct {
	mu     sync.Mutex
	flying int
	idle   *http.Transport
}

// Copy is a request that is sent again.
type Copy struct {
	To     netip.AddrPort
	Method string
	Host   string
	Target string
	Fields []wire.Field // as the instance got them
	Body   []byte
}

// Offer sends a copy in the background, or drops it when too many are on their way. It does not block; what c
// holds must not be changed afterwards.
func (m *Mirror) Offer(c Copy) (taken bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.flying >= mirrorAtOnce {
		return false
	}
	if m.idle == nil {
		m.idle = &http.Transport{
			DialContext: (&net.Dialer{Timeout: mirrorTimeout}).DialContext, MaxIdleConnsPerHost: 4, IdleConnTimeout: 4 * time.Second,
			DisableCompression: true,
		}
	}
	m.flying++
	go m.send(c, m.idle) // ends by itself within mirrorTimeout
	return true
}

func (m *Mirror) send(c Copy, way *http.Transport) {
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.flying--
	}()
	ctx, cancel := context.WithTimeout(context.Background(), mirrorTimeout)
	defer cancel()
	res, err := way.RoundTrip(c.request(ctx))
	if err != nil {
		return // nobody waits for it
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, mirrorBody))
	_ = res.Body.Close()
}

func (c Copy) request(ctx context.Context) *http.Request {
	req := &http.Request{
		Method: c.Method, URL: &url.URL{Scheme: "http", Host: c.To.String(), Opaque: c.Target}, Host: c.Host,
		Header: http.Header{"X-Mirrored": {"1"}}, Body: io.NopCloser(bytes.NewReader(c.Body)), ContentLength: int64(len(c.Body)),
	}
	if len(c.Body) == 0 {
		req.Body = http.NoBody
	}
	for _, f := range c.Fields {
		name := http.CanonicalHeaderKey(string(f.Name))
		req.Header[name] = append(req.Header[name], string(f.Value))
	}
	return req.WithContext(ctx)
}

// Tee keeps what is read of a body for a copy.
type Tee struct {
	io.Reader
	kept  []byte
	over  bool
	ended bool
}

// Read implements io.Reader.
func (t *Tee) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	if t.over = t.over || len(t.kept)+n > mirrorBody; !t.over {
		t.kept = append(t.kept, p[:n]...)
	}
	t.ended = t.ended || err == io.EOF //nolint:errorlint // a Reader's end is exactly this
	return n, err
}

// Whole is the body, if all of it was read and it is small enough.
func (t *Tee) Whole() ([]byte, bool) { return t.kept, t.ended && !t.over }
