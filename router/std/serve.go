package std

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"paas/router/http1"
	"paas/router/wire"
)

// Serve has an http.Handler answer an exchange. There is no hijacking. It blocks until the handler returns; a
// handler that panics with http.ErrAbortHandler breaks the exchange off.
func Serve(h http.Handler, x wire.Exchange) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w := &writer{x: x, header: http.Header{}, length: -1}
	req, err := request(ctx, x)
	if err != nil {
		http.Error(w, "400 Bad Request", http.StatusBadRequest)
		w.finish()
		return
	}
	w.head = req.Method == http.MethodHead
	stop := make(chan struct{})
	defer close(stop)
	if req.Body == http.NoBody {
		go func(gone <-chan struct{}) {
			select {
			case <-gone:
				cancel()
			case <-stop:
			}
		}(x.Gone())
	}
	defer func() {
		if v := recover(); v != nil {
			x.Abort()
			if v != http.ErrAbortHandler { //nolint:errorlint // a panic's value, which net/http compares so too
				panic(v)
			}
		}
	}()
	h.ServeHTTP(w, req)
	w.finish()
}

// request makes net/http's.
func request(ctx context.Context, x wire.Exchange) (*http.Request, error) {
	from := x.Request()
	u, err := url.ParseRequestURI(string(from.Target))
	if err != nil {
		return nil, err
	}
	req := (&http.Request{
		Method: string(from.Method), URL: u, RequestURI: string(from.Target), Host: string(from.Authority),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, ContentLength: from.Length,
		RemoteAddr: from.Client.String(), TLS: from.TLS, Body: http.NoBody,
	}).WithContext(ctx)
	switch from.Version {
	case wire.HTTP10:
		req.Proto, req.ProtoMinor = "HTTP/1.0", 0
	case wire.HTTP2:
		req.Proto, req.ProtoMajor, req.ProtoMinor = "HTTP/2.0", 2, 0
	case wire.HTTP3:
		req.Proto, req.ProtoMajor, req.ProtoMinor = "HTTP/3.0", 3, 0
	}
	set(req.Header, from.Fields)
	if from.Length != 0 {
		req.Body = body{x}
	}
	return req, nil
}

type body struct{ io.Reader }

// Close implements io.Closer.
func (body) Close() error { return nil }

// writer implements http.ResponseWriter and http.Flusher.
type writer struct {
	x      wire.Exchange
	header http.Header
	head   bool // HEAD: there is no body
	begun  bool
	length int64
	left   bool // the client has
}

// Header implements http.ResponseWriter.
func (w *writer) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *writer) WriteHeader(status int) {
	if w.begun {
		return
	}
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		w.left = w.x.Interim(status, fields(w.header)) != nil
		return
	}
	w.begun = true
	if n, err := strconv.ParseInt(w.header.Get("Content-Length"), 10, 64); err == nil && n >= 0 {
		w.length = n
	}
	w.left = w.x.Head(status, fields(w.header), w.length) != nil
}

// Write implements http.ResponseWriter.
func (w *writer) Write(p []byte) (int, error) {
	if !w.begun {
		if w.header.Get("Content-Type") == "" {
			w.header.Set("Content-Type", http.DetectContentType(p))
		}
		w.WriteHeader(http.StatusOK)
	}
	if w.head {
		return len(p), nil
	}
	return w.x.Write(p)
}

// Flush implements http.Flusher.
func (w *writer) Flush() { _ = w.FlushError() }

// FlushError is what http.ResponseController asks for.
func (w *writer) FlushError() error {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	return w.x.Flush()
}

// finish completes the answer.
func (w *writer) finish() {
	if !w.begun {
		w.length = 0
		w.header.Set("Content-Length", "0")
		w.WriteHeader(http.StatusOK)
	}
	_ = w.x.End(nil) // a client that is gone is the exchange's business
}

// fields are a header's, without those of the connection.
func fields(h http.Header) (list []wire.Field) {
	for name, values := range h {
		if http1.HopByHop([]byte(name)) || name == "Trailer" {
			continue
		}
		for _, v := range values {
			list = append(list, wire.Field{Name: []byte(name), Value: []byte(v)})
		}
	}
	return list
}
