package router

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"paas/router/wire"
)

// speaksHTTP2 tells whether the instance is to be asked in HTTP/2: gRPC needs it, with its trailers and streams
// both ways.
func (f *flight) speaksHTTP2() bool {
	if f.req.Protocol != nil {
		return false
	}
	return f.info.Traffic.H2C || f.isGRPC()
}

func (f *flight) isGRPC() bool {
	kind := valueOf(f.req.Fields, "content-type")
	return hasPrefix(kind, "application/grpc") && (len(kind) == 16 || kind[16] == '+' || kind[16] == ';')
}

// way is the transport to an instance that speaks HTTP/2 without TLS; most is the bytes of the head of an answer.
func (h *http2Instance) way(b *backend, most int) *http.Transport {
	h.once.Do(func() {
		var only http.Protocols
		only.SetUnencryptedHTTP2(true)
		dialer := net.Dialer{Timeout: dialTimeout}
		h.transport = &http.Transport{
			Protocols: &only, DisableCompression: true, IdleConnTimeout: idleMost, MaxResponseHeaderBytes: int64(most),
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, "tcp", b.Addr.String())
			},
		}
	})
	return h.transport
}

// askHTTP2 sends the request in HTTP/2 and waits for the answer's head.
func (f *flight) askHTTP2() error {
	way := f.b.frames.way(f.b, f.r.intake.Load().MaxAnswerHead)
	if way == nil {
		return errors.Join(errRefused, errClosed)
	}
	ctx, cancel := context.WithCancel(f.b.frames.cut)
	req, body := f.requestHTTP2(ctx)
	f.far = &farAnswer{cancel: cancel, body: body}
	f.far.gone, f.far.ended, f.far.quiet = make(chan struct{}), make(chan struct{}), f.quiet(false)
	body.far = f.far
	f.far.touch()
	go f.far.watch(f.x)
	res, err := way.RoundTrip(req) //nolint:bodyclose // farAnswer.end does
	var op *net.OpError
	switch {
	case err == nil:
		f.far.res = res
		// While it waits for more of the request, net/http looks at ctx no more.
		context.AfterFunc(ctx, func() { _ = res.Body.Close() })
		f.far.begin(f.quiet(true))
		return nil
	case f.far.struck.Load() == clientLeft:
		err = errClient
	case f.far.struck.Load() == wentSilent:
		err = errSilent
	case errors.As(err, &op) && op.Op == "dial":
		err = errors.Join(errRefused, err)
	default:
		err = errors.Join(errOdd, err)
	}
	f.far.end(f)
	f.far = nil
	return err
}

// farAnswer is an answer that comes over HTTP/2.
type farAnswer struct {
	res    *http.Response
	cancel context.CancelFunc
	body   *farBody
	silence
}

// end waits until nobody reads the request any more, and nobody looks after it.
func (a *farAnswer) end(f *flight) {
	close(a.gone)
	if a.res != nil {
		_ = a.res.Body.Close()
	}
	a.cancel()
	a.body.end(f)
	<-a.ended
}

func (f *flight) requestHTTP2(ctx context.Context) (*http.Request, *farBody) {
	head := f.appendHead(nil)
	req := &http.Request{
		// net/http takes scheme and host off an opaque address and sends the rest as it is.
		Method: string(f.req.Method), Host: string(f.req.Authority), ContentLength: f.req.Length,
		URL:    &url.URL{Scheme: "http", Host: f.b.Addr.String(), Opaque: "//" + string(f.req.Authority) + string(f.req.Target)},
		Header: headerOf(head), Proto: "HTTP/2.0", ProtoMajor: 2,
	}
	body := &farBody{f: f, req: req, small: f.body, whole: f.body != nil}
	if f.req.Length != 0 {
		req.Body = body
	}
	if f.req.Trailers {
		req.Header.Set("Te", "trailers")
	}
	return req.WithContext(ctx), body
}

// headerOf reads the fields of a head that appendHead wrote, but for those of the connection.
func headerOf(head []byte) http.Header {
	h := http.Header{}
	lines := strings.Split(string(head), "\r\n")
	for _, line := range lines[1 : len(lines)-2] {
		name, value, _ := strings.Cut(line, ": ")
		switch name = http.CanonicalHeaderKey(name); name {
		case "Host", "Connection", "Content-Length", "Transfer-Encoding", "Te", "Expect":
		default:
			h[name] = append(h[name], value)
		}
	}
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = nil // or net/http adds its own
	}
	return h
}

// farBody is the request's body for net/http, which may read it beside the answer and after it.
type farBody struct {
	f     *flight
	req   *http.Request
	far   *farAnswer
	small []byte
	mu    sync.Mutex
	ended bool
	whole bool // it was read before

	closing sync.Mutex
	over    bool
}

// Read implements io.Reader.
func (b *farBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.ended:
		return 0, errClient
	case b.whole:
		n := copy(p, b.small)
		b.small = b.small[n:]
		if n == 0 && len(p) > 0 {
			return 0, io.EOF
		}
		return n, nil
	}
	n, err := b.f.x.Read(p)
	b.far.touch()
	if err == io.EOF {
		b.finished()
		b.trailers()
	}
	return n, err
}

func (b *farBody) trailers() {
	for _, t := range b.f.x.Trailer() {
		if b.req.Trailer == nil {
			b.req.Trailer = http.Header{}
		}
		b.req.Trailer.Add(string(t.Name), string(t.Value))
	}
}

// Close implements io.Closer. net/http calls it, from any goroutine and at any time, when it wants no more, and takes no
// notice of anything until a Read that waits has returned.
func (b *farBody) Close() error {
	b.closing.Lock()
	defer b.closing.Unlock()
	if b.over || b.whole {
		return nil
	}
	if s, ok := b.f.x.(wire.Stopper); ok {
		s.StopRead()
	}
	return nil
}

// finished keeps Close from an exchange that is somebody else's by now, or whose body is at its end.
func (b *farBody) finished() {
	b.closing.Lock()
	defer b.closing.Unlock()
	b.over = true
}

// end returns when nobody reads, and nobody will.
func (b *farBody) end(f *flight) {
	b.finished()
	if !b.mu.TryLock() {
		if s, ok := f.x.(wire.Stopper); ok {
			s.StopRead()
		} else {
			f.x.Abort()
		}
		b.mu.Lock()
	}
	b.ended = true
	b.mu.Unlock()
}

// deliverFar passes on an answer that comes over HTTP/2.
func (f *flight) deliverFar() {
	a := f.far
	defer func() { f.far.end(f); f.far = nil }()
	f.status, f.headers = a.res.StatusCode, true
	f.first = f.r.now().Sub(f.start)
	if err := f.x.Head(f.status, f.answerFields(fieldsOf(a.res.Header)), a.res.ContentLength); err != nil {
		f.cut = errors.Join(errClient, err)
		return
	}
	if err := f.copyFar(a.res); err != nil {
		f.breakOffFar(err)
		return
	}
	f.cut = f.x.End(fieldsOf(a.res.Trailer))
}

func (f *flight) copyFar(res *http.Response) error {
	if res.ContentLength == 0 {
		return nil // the head is the end: gRPC's clients take a status in it for one only if nothing follows
	}
	if err := f.x.Flush(); err != nil {
		return errors.Join(errClient, err)
	}
	buf := f.r.takeBuffer()
	defer f.r.putBuffer(buf)
	for {
		n, err := res.Body.Read(*buf)
		f.bytes += int64(n)
		if n > 0 {
			f.far.touch()
			_, werr := f.x.Write((*buf)[:n])
			if werr == nil {
				werr = f.x.Flush()
			}
			if werr != nil {
				return errors.Join(errClient, werr)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return f.far.why(err)
		}
	}
}

// fieldsOf lists a header's fields, but for those of the framing.
func fieldsOf(h http.Header) (fields []field) {
	for name, values := range h {
		if name == "Content-Length" || name == "Trailer" {
			continue
		}
		for _, v := range values {
			fields = append(fields, field{Name: []byte(name), Value: []byte(v)})
		}
	}
	return fields
}
