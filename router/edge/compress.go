package edge

import (
	"bytes"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"paas/platform"
	"paas/router/wire"
)

const (
	leastCompressed = 256       // bytes; below that the encoding's own frame eats what it saves
	gzipLevel       = 5         // of 9
	zstdWindow      = 256 << 10 // bytes that an encoder keeps; browsers take up to 8 MiB (RFC 9659)
)

// compressor makes an app's encoders. They are large, so they are used again.
type compressor struct {
	allowed platform.Compression
	gzip    sync.Pool
	zstd    sync.Pool
}

func newCompressor(c platform.Compression) *compressor {
	if c == "" {
		return nil
	}
	return &compressor{allowed: c}
}

// Head is an instance's answer before it goes to the client. Encode changes it.
type Head struct {
	Status int
	Fields []wire.Field
	Length int64 // -1: not known
}

// Encode decides whether an answer is compressed, and if so changes its head to say that and returns what the
// body has to go through; else nil. Only text-like answers are, which are whole, not encoded yet, and which
// no one has forbidden to transform (RFC 9110, 8.4 and 12.5.3). An event stream is left alone.
func (r *Rules) Encode(req *wire.Request, h *Head) *Encoder {
	if r == nil || r.compressor == nil || !compressible(req, h) {
		return nil
	}
	coding := r.compressor.choose(req)
	if !varies(h.Fields) {
		h.Fields = append(h.Fields, field("Vary", "Accept-Encoding"))
	}
	if coding == "" {
		return nil
	}
	if h.Status == 304 { // its ETag has to be the one that the whole answer had
		weaken(h)
		return nil
	}
	weaken(h)
	h.Fields = append(h.Fields, field("Content-Encoding", coding))
	h.Length = -1
	if string(req.Method) == "HEAD" {
		return nil
	}
	return r.compressor.encoder(coding)
}

func compressible(req *wire.Request, h *Head) bool {
	if h.Status == 304 {
		return value(h.Fields, "etag") != nil
	}
	if h.Status < 200 || h.Status == 204 || h.Status == 206 || h.Length >= 0 && h.Length < leastCompressed {
		return false
	}
	for i := range h.Fields {
		f := &h.Fields[i]
		switch {
		case is(f.Name, "content-encoding"), is(f.Name, "content-range"), is(f.Name, "content-md5"), is(f.Name, "digest"),
			is(f.Name, "content-digest"), is(f.Name, "repr-digest"):
			return false
		case is(f.Name, "cache-control") && bytes.Contains(bytes.ToLower(f.Value), []byte("no-transform")):
			return false
		}
	}
	return value(req.Fields, "range") == nil && textual(value(h.Fields, "content-type"))
}

// textual knows the types that compress well.
func textual(contentType []byte) bool {
	kind, _, _ := cut(contentType, ';')
	t := strings.ToLower(string(trim(kind)))
	switch {
	case t == "text/event-stream":
		return false
	case strings.HasPrefix(t, "text/"), strings.HasSuffix(t, "+json"), strings.HasSuffix(t, "+xml"):
		return true
	}
	switch t {
	case "application/json", "application/javascript", "application/xml", "application/wasm", "application/x-ndjson",
		"application/x-javascript", "application/manifest+json", "application/vnd.ms-fontobject", "font/ttf", "font/otf",
		"image/svg+xml", "image/x-icon", "image/bmp", "application/graphql-response+json":
		return true
	}
	return false
}

// choose is the coding that the client likes best of those allowed; zstd of two that it likes the same. "" is
// none.
func (c *compressor) choose(req *wire.Request) string {
	best, coding := 0.0, ""
	for _, name := range []string{"zstd", "gzip"} {
		if c.allowed != platform.CompressAny && string(c.allowed) != name {
			continue
		}
		if q := preference(req.Fields, name); q > best {
			best, coding = q, name
		}
	}
	return coding
}

// preference is a coding's weight (RFC 9110, 12.5.3): 0 if it is not asked for. "*" asks for nothing in
// particular, and clients that send it alone often cannot read any.
func preference(fields []wire.Field, coding string) float64 {
	for i := range fields {
		if !is(fields[i].Name, "accept-encoding") {
			continue
		}
		for rest, more := fields[i].Value, true; more; {
			var item []byte
			item, rest, more = cut(rest, ',')
			name, parameter, _ := cut(item, ';')
			if is(trim(name), coding) {
				return weight(trim(parameter))
			}
		}
	}
	return 0
}

func weight(parameter []byte) float64 {
	text, ok := strings.CutPrefix(strings.ToLower(string(parameter)), "q=")
	if !ok {
		return 1
	}
	q, err := strconv.ParseFloat(text, 64)
	if err != nil || q < 0 || q > 1 {
		return 0
	}
	return q
}

func varies(fields []wire.Field) bool {
	for i := range fields {
		if is(fields[i].Name, "vary") {
			v := bytes.ToLower(fields[i].Value)
			if bytes.Contains(v, []byte("accept-encoding")) || string(trim(v)) == "*" {
				return true
			}
		}
	}
	return false
}

// weaken makes the answer's ETag one of something equal in meaning only (RFC 9110, 8.8.1), and no longer offers
// ranges of bytes that the client will not see.
func weaken(h *Head) {
	kept := h.Fields[:0]
	for _, f := range h.Fields {
		if is(f.Name, "accept-ranges") {
			continue
		}
		if is(f.Name, "etag") && !bytes.HasPrefix(f.Value, []byte("W/")) {
			f.Value = append([]byte("W/"), f.Value...)
		}
		kept = append(kept, f)
	}
	h.Fields = kept
}

// Encoder compresses one answer's body. It belongs to one goroutine.
type Encoder struct {
	w    encoding
	pool *sync.Pool
}

type encoding interface {
	io.WriteCloser
	Flush() error
	Reset(io.Writer)
}

func (c *compressor) encoder(coding string) *Encoder {
	pool := &c.gzip
	if coding == "zstd" {
		pool = &c.zstd
	}
	if w, ok := pool.Get().(encoding); ok {
		return &Encoder{w, pool}
	}
	return &Encoder{newEncoding(coding), pool}
}

func newEncoding(coding string) encoding {
	if coding == "zstd" {
		// It fails only for options that do not exist.
		w, _ := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1),
			zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(zstdWindow))
		return w
	}
	w, _ := gzip.NewWriterLevel(nil, gzipLevel) // as above
	return w
}

// Begin says where the compressed bytes go. It comes before everything else.
func (e *Encoder) Begin(w io.Writer) { e.w.Reset(w) }

// Write takes a part of the body.
func (e *Encoder) Write(p []byte) (int, error) { return e.w.Write(p) }

// Flush writes out all that was taken, so that a client can read it; the caller then flushes where it went.
func (e *Encoder) Flush() error { return e.w.Flush() }

// Close writes the end, unless the answer broke off: then a client must not take what it has for the whole. The
// Encoder must not be used after it.
func (e *Encoder) Close(whole bool) error {
	var err error
	if whole {
		err = e.w.Close()
	}
	e.w.Reset(nil)
	e.pool.Put(e.w)
	return err
}
