package http1

import (
	"bytes"
	"errors"

	"paas/router/wire"
)

// errShort is a head that has not yet come as a whole.
var errShort = errors.New("more to come")

// head is a request's head with what the connection itself must know of it.
type head struct {
	*wire.Request
	framing Framing
	keep    bool // the client expects the connection to be kept
	lines   int
	hosts   int
	lengths int
	coded   bool
	upgrade []byte
	opts    options
	host    []byte
}

func (h *head) reset(r *wire.Request) {
	h.opts.reset()
	*h = head{Request: r, opts: h.opts}
	r.Fields, r.Length, r.Protocol, r.Authority = r.Fields[:0], 0, nil, nil
	r.Method, r.Target = nil, nil
	r.Continue, r.Trailers = false, false
}

// parse reads the head at the start of b, and returns its size. The error is errShort or a refusal.
func (h *head) parse(b []byte, l *Limits) (int, error) {
	at, err := h.requestLine(b, l)
	if err != nil {
		return 0, err
	}
	for {
		end := bytes.IndexByte(b[at:], '\n')
		switch {
		case end < 0:
			return 0, errShort
		case end == 0 || b[at+end-1] != '\r':
			return 0, badField
		case end == 1:
			return at + 2, h.judge()
		}
		if err := h.field(b[at:at+end-1], l); err != nil {
			return 0, err
		}
		at += end + 1
	}
}

// requestLine reads the first line, after an empty one that some clients send after a body (RFC 9112 section 2.2).
func (h *head) requestLine(b []byte, l *Limits) (int, error) {
	start := 0
	if len(b) > 1 && b[0] == '\r' && b[1] == '\n' {
		start = 2
	}
	end := bytes.IndexByte(b[start:], '\n')
	if end < 0 && len(b) > start && b[start] != '\r' && classes[b[start]]&inToken == 0 {
		return 0, badLine // a TLS handshake on the plain port, say: no line end may ever come
	}
	if end < 0 {
		return 0, errShort
	}
	if end == 0 || b[start+end-1] != '\r' {
		return 0, badLine
	}
	line := b[start : start+end-1]
	space := bytes.IndexByte(line, ' ')
	if space <= 0 || !all(line[:space], inToken) {
		return 0, badLine
	}
	h.Method, line = line[:space], line[space+1:]
	if space = bytes.IndexByte(line, ' '); space < 0 {
		return 0, badLine
	}
	if err := h.version(line[space+1:]); err != nil {
		return 0, err
	}
	return start + end + 1, h.target(line[:space], l)
}

// version takes 1.2 to 1.9 for 1.1 (RFC 9110 section 2.5).
func (h *head) version(v []byte) error {
	if len(v) != 8 || string(v[:5]) != "HTTP/" || v[6] != '.' || !all(v[5:6], digit) || !all(v[7:], digit) {
		return badLine
	}
	switch {
	case v[5] != '1':
		return badVersion
	case v[7] == '0':
		h.Version = wire.HTTP10
	default:
		h.Version = wire.HTTP11
	}
	return nil
}

// target takes the origin form, the absolute form, and "*" with OPTIONS (RFC 9112 section 3.2).
func (h *head) target(t []byte, l *Limits) error {
	if len(t) > l.Target {
		return longTarget
	}
	if string(h.Method) == "CONNECT" {
		return noTunnel
	}
	if len(t) == 0 || !all(t, inTarget) {
		return badTarget
	}
	if t[0] == '/' {
		h.Target = t
		return nil
	}
	if len(t) == 1 && t[0] == '*' && string(h.Method) == "OPTIONS" {
		h.Target = t
		return nil
	}
	return h.absolute(t)
}

var (
	slash    = []byte{'/'}
	asterisk = []byte{'*'}
)

func (h *head) absolute(t []byte) error {
	scheme, rest, found := bytes.Cut(t, []byte("://"))
	if !found || !Is(scheme, "http") && !Is(scheme, "https") {
		return badTarget
	}
	end := bytes.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	if h.host, h.Target = rest[:end], rest[end:]; !ValidHost(h.host) {
		return badTarget
	}
	switch {
	case len(h.Target) == 0 && string(h.Method) == "OPTIONS":
		h.Target = asterisk
	case len(h.Target) == 0:
		h.Target = slash
	case h.Target[0] == '?':
		h.Target = append([]byte{'/'}, h.Target...)
	}
	return nil
}

func (h *head) field(line []byte, l *Limits) error {
	f, seen := splitField(line)
	if f.Name == nil {
		return badField
	}
	if h.lines++; h.lines > l.Fields || h.opts.many {
		return longHead
	}
	if k := kindOf(f.Name); k != ordinary {
		return h.special(k, f.Value)
	}
	if seen&under == 0 {
		h.Fields = append(h.Fields, f)
	}
	return nil
}

func (h *head) special(k kind, value []byte) error {
	switch k {
	case hostField:
		h.Authority = value
		h.hosts++
	case connectionField:
		h.opts.add(value)
	case lengthField:
		h.Length = number(value)
		h.lengths++
	case codingField:
		return h.coding(value)
	case upgradeField:
		if hasToken(value, "websocket") {
			h.upgrade = websocket
		}
	case expectField:
		h.Continue = Is(value, "100-continue")
		if !h.Continue && h.Version == wire.HTTP11 {
			return badExpect
		}
	case teField:
		h.Trailers = h.Trailers || hasToken(value, "trailers")
	}
	return nil
}

var websocket = []byte("websocket")

// coding wants "chunked" and nothing else. Of known codings in front of it the answer is that they are not
// spoken here; everything else is a smuggler's.
func (h *head) coding(value []byte) error {
	if h.coded {
		return badCoding
	}
	h.coded = true
	if Is(value, "chunked") {
		return nil
	}
	for token, rest := nextToken(value); token != nil; token, rest = nextToken(rest) {
		last := len(rest) == 0
		if known := Is(token, "gzip") || Is(token, "deflate") || Is(token, "compress"); !known && (!last || !Is(token, "chunked")) {
			return badCoding
		}
		if last && Is(token, "chunked") {
			return unknownCoding
		}
	}
	return badCoding
}

// judge looks at the head as a whole.
func (h *head) judge() error {
	if err := h.whose(); err != nil {
		return err
	}
	if err := h.frame(); err != nil {
		return err
	}
	if h.opts.many {
		return longHead
	}
	old := h.Version == wire.HTTP10
	h.keep = !h.opts.close && (!old || h.opts.keep)
	h.Continue = h.Continue && !old && h.framing != Empty
	if !old && h.opts.upgrade && h.framing == Empty && string(h.Method) == "GET" {
		h.Protocol = h.upgrade
	}
	h.Fields = h.opts.strip(h.Fields)
	return nil
}

// whose settles the authority (RFC 9112 section 3.2.2): an absolute target has it, and Host must say the same.
func (h *head) whose() error {
	if h.hosts > 1 || h.hosts == 0 && h.Version != wire.HTTP10 {
		return badHost
	}
	if h.hosts == 1 && !ValidHost(h.Authority) {
		return badHost
	}
	if h.host == nil {
		return nil
	}
	if h.hosts == 1 && !same(h.host, h.Authority) {
		return badHost
	}
	h.Authority = h.host
	return nil
}

// frame settles how the body ends (RFC 9112 section 6.3), where a proxy must not guess.
func (h *head) frame() error {
	switch {
	case h.coded && h.lengths > 0:
		return twoFramings
	case h.coded && h.Version == wire.HTTP10:
		return badCoding
	case h.lengths > 1 || h.Length < 0:
		return badLength
	case h.coded:
		h.framing, h.Length = Chunked, -1
	case h.Length > 0:
		h.framing = Sized
	}
	return nil
}

// ends looks for a head's empty line, from where an earlier call stopped. What is no line is refused at once:
// who sends bare LF would wait for an answer until it is too late.
func ends(b []byte, from int) (whole bool, at int, err error) {
	for at = from; ; {
		i := bytes.IndexByte(b[at:], '\n')
		switch {
		case i < 0:
			return false, at, nil
		case i == 0 || b[at+i-1] != '\r':
			return false, at, badField
		case i == 1 && at > 0:
			return true, at, nil
		}
		at += i + 1
	}
}
