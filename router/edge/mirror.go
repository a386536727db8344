package edge

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"
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
	To   netip.AddrPort
	Head []byte // as the instance got it over HTTP/1.1, with the empty line
	Body []byte
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
	req, err := c.request(ctx)
	if err != nil {
		return
	}
	res, err := way.RoundTrip(req)
	if err != nil {
		return // nobody waits for it
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, mirrorBody))
	_ = res.Body.Close()
}

// request makes net/http's, which sees to the connection. Target and fields are kept byte for byte.
func (c Copy) request(ctx context.Context) (*http.Request, error) {
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(c.Head)))
	if err != nil {
		return nil, err
	}
	req.URL = &url.URL{Scheme: "http", Host: c.To.String(), Opaque: req.RequestURI}
	req.RequestURI, req.Close, req.TransferEncoding, req.Trailer = "", false, nil, nil
	req.Header.Del("Expect")
	req.Header.Set("X-Mirrored", "1")
	req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(c.Body)), int64(len(c.Body))
	if len(c.Body) == 0 {
		req.Body = http.NoBody
	}
	return req.WithContext(ctx), nil
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
