package http2

import (
	"cmp"
	"strings"

	"golang.org/x/net/http2/hpack"

	"paas/router/wire"
)

const (
	// blockLeast and twice Limits.Head bound one encoded head or trailer: with HPACK it may be a little longer than what
	// it stands for, and a head that is too large is worth an answer up to here.
	blockLeast = 64 << 10
	// fragmentsMost bounds the frames of a head ("CONTINUATION flood"): blockLeast fills five.
	fragmentsMost = 32 // unless Limits.Continued says otherwise
)

// block is an encoded head that is coming in several frames.
type block struct {
	id        uint32 // 0: none
	end       bool   // the stream ends with it
	self      bool   // the stream says it depends on itself
	fragments int
	bytes     []byte
}

// Which pseudo-header fields were there.
const (
	sawMethod = 1 << iota
	sawScheme
	sawPath
	sawAuthority
	sawProtocol
)

// head is a request's head, or a trailer, while it is decoded. Its rules are RFC 9113, 8.2 and 8.3.
type head struct {
	dec     *hpack.Decoder
	limits  *Limits
	trailer bool

	bad    string // why it is malformed
	over   bool   // it is larger than the limits
	size   int
	saw    uint8
	plain  bool // a regular field was there
	host   string
	cookie int // where in fields; -1: none
	crumbs []byte
	fields []wire.Field

	method, scheme, path, authority, protocol string
	declared                                  int64 // Content-Length; -1: none
	expects, trailers                         bool
}

func (h *head) begin(trailer bool) {
	*h = head{dec: h.dec, limits: h.limits, trailer: trailer, cookie: -1, declared: -1, fields: h.fields[:0], crumbs: h.crumbs[:0]}
	h.dec.SetEmitEnabled(true)
}

// field takes one decoded field.
func (h *head) field(f hpack.HeaderField) {
	h.size += int(f.Size())
	if h.size > h.limits.Head || len(h.fields) >= h.limits.Fields {
		h.over = true
		h.dec.SetEmitEnabled(false)
		return
	}
	switch {
	case h.bad != "":
	case f.Name != "" && f.Name[0] == ':':
		h.pseudo(f.Name, f.Value)
	case !isName(f.Name):
		h.bad = "field name"
	case !isValue(f.Value):
		h.bad = "field value"
	default:
		h.plain = true
		h.regular(f.Name, f.Value)
	}
}

func (h *head) pseudo(name, value string) {
	var saw uint8
	var to *string
	switch name {
	case ":method":
		saw, to = sawMethod, &h.method
	case ":scheme":
		saw, to = sawScheme, &h.scheme
	case ":path":
		saw, to = sawPath, &h.path
	case ":authority":
		saw, to = sawAuthority, &h.authority
	case ":protocol":
		saw, to = sawProtocol, &h.protocol
	}
	if saw == 0 || h.saw&saw != 0 || h.plain || h.trailer {
		h.bad = "pseudo-header field"
		return
	}
	h.saw |= saw
	*to = value
}

// regular keeps a field, or what it says about the body and this connection.
func (h *head) regular(name, value string) {
	if h.trailer && unfitTrailer(name) {
		return // a trailer says nothing about these
	}
	switch name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
		h.bad = "field about an HTTP/1 connection"
	case "te":
		h.trailers = true
		if !strings.EqualFold(value, "trailers") {
			h.bad = "te"
		}
	case "host":
		if h.host != "" || value == "" {
			h.bad = "host"
		}
		h.host = value
	case "content-length":
		n, ok := length(value)
		if !ok || h.declared >= 0 {
			h.bad = "content-length"
		}
		h.declared = n
	case "expect":
		h.expects = strings.EqualFold(value, "100-continue")
	case "cookie":
		h.crumb(value)
	default:
		h.fields = append(h.fields, wire.Field{Name: bytesOf(name), Value: bytesOf(value)})
	}
}

// crumb joins a cookie that came in several fields (RFC 9113, 8.2.3).
func (h *head) crumb(value string) {
	if h.cookie < 0 {
		h.cookie = len(h.fields)
		h.fields = append(h.fields, wire.Field{Name: bytesOf("cookie"), Value: bytesOf(value)})
		return
	}
	if len(h.crumbs) == 0 {
		h.crumbs = append(h.crumbs, h.fields[h.cookie].Value...)
	}
	h.crumbs = append(append(h.crumbs, "; "...), value...)
	h.fields[h.cookie].Value = h.crumbs
}

// check judges a whole request head: a status to answer at once, or 0; bad is set when it is malformed.
func (h *head) check(end bool) (status int) {
	if h.over {
		return 431
	}
	if h.method == "CONNECT" {
		return h.checkConnect()
	}
	if h.saw&^sawAuthority != sawMethod|sawScheme|sawPath || !only(h.method, inMethod) || h.method == "" {
		h.bad = cmp.Or(h.bad, "pseudo-header fields")
	}
	if end && h.declared > 0 {
		h.bad = cmp.Or(h.bad, "content-length without a body")
	}
	return h.checkTarget()
}

// checkConnect lets the CONNECT of RFC 8441 pass, for WebSockets; this is no forward proxy.
func (h *head) checkConnect() (status int) {
	if h.saw&sawProtocol == 0 {
		if h.saw != sawMethod|sawAuthority || !isAuthority(h.authority) {
			h.bad = cmp.Or(h.bad, "CONNECT")
		}
		return 405
	}
	if h.saw != sawMethod|sawScheme|sawPath|sawAuthority|sawProtocol {
		h.bad = cmp.Or(h.bad, "CONNECT")
	}
	if h.protocol != "websocket" {
		return 501
	}
	return h.checkTarget()
}

func (h *head) checkTarget() (status int) {
	if h.authority == "" {
		h.authority = h.host
	}
	switch {
	case h.scheme != "http" && h.scheme != "https":
		h.bad = cmp.Or(h.bad, "scheme")
	case !isAuthority(h.authority), h.host != "" && !strings.EqualFold(h.host, h.authority):
		h.bad = cmp.Or(h.bad, "authority")
	case !isTarget(h.path), h.path == "*" && h.method != "OPTIONS":
		h.bad = cmp.Or(h.bad, "path")
	}
	if len(h.path) > h.limits.Target {
		return 414
	}
	return 0
}

// request fills req in. The fields and crumbs change owners with the ones that req's stream had.
func (h *head) request(s *stream, end bool) {
	s.fields, h.fields = h.fields, s.fields[:0]
	s.crumbs, h.crumbs = h.crumbs, s.crumbs[:0]
	r := &s.req
	r.Version = wire.HTTP2
	r.Method, r.Authority, r.Target = bytesOf(h.method), bytesOf(h.authority), bytesOf(h.path)
	r.Fields, r.Length, r.Protocol = s.fields, h.declared, nil
	r.Continue, r.Trailers = h.expects && !end, h.trailers
	if end || h.saw&sawProtocol != 0 {
		r.Length = 0
	}
	if h.saw&sawProtocol != 0 {
		r.Method, r.Protocol = bytesOf("GET"), bytesOf(h.protocol)
	}
}

func unfitTrailer(name string) bool {
	switch name {
	case "te", "host", "content-length", "expect", "cookie":
		return true
	}
	return false
}
