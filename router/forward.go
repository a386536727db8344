package router

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	mathrand "math/rand/v2"
	"net/netip"
	"slices"
	"strconv"

	"paas/router/wire"
)

// appendHead writes the request's head as the instance sees it: target and fields byte for byte, but for those
// that say who asks, which are ours to say.
func (f *flight) appendHead(out []byte) []byte {
	req := f.req
	if req.Protocol != nil { // also over HTTP/2, where it is CONNECT (RFC 8441)
		out = append(out, "GET"...)
	} else {
		out = append(out, req.Method...)
	}
	out = append(append(append(out, ' '), req.Target...), " HTTP/1.1\r\nHost: "...)
	out = append(append(out, req.Authority...), "\r\n"...)
	for i := range req.Fields {
		if f.passes(req.Fields[i].Name) {
			out = appendField(out, req.Fields[i].Name, f.nextValue(&req.Fields[i]))
		}
	}
	out = f.appendPrefix(f.appendOrigin(f.appendVia(out)))
	out = f.appendFraming(out)
	return append(out, "\r\n"...)
}

func appendField(out, name, value []byte) []byte {
	out = append(append(out, name...), ": "...)
	return append(append(out, value...), "\r\n"...)
}

// passes tells whether a client's field goes on. Names with "_" could be read as other ones by CGI-style apps.
func (f *flight) passes(name []byte) bool {
	if bytes.IndexByte(name, '_') >= 0 {
		return false
	}
	switch name[0] | 0x20 {
	case 'x':
		return !ours(name, f.trusted)
	case 'f':
		return !nameIs(name, "forwarded")
	}
	return true
}

// ours tells the X- fields that the router sets itself. What a trusted proxy has said beyond those stays.
func ours(name []byte, trusted bool) bool {
	switch {
	case hasPrefix(name, "x-forwarded-"):
		return !trusted || nameIs(name, "x-forwarded-for") || nameIs(name, "x-forwarded-proto") ||
			nameIs(name, "x-forwarded-host") || nameIs(name, "x-forwarded-port") || nameIs(name, "x-forwarded-prefix")
	case nameIs(name, "x-real-ip"):
		return !trusted
	}
	return nameIs(name, "x-request-id") || nameIs(name, "x-request-start")
}

// appendOrigin says who asks, for what, by which way and since when.
func (f *flight) appendOrigin(out []byte) []byte {
	peer := f.req.Client.Addr().Unmap()
	out = append(out, "X-Forwarded-For: "...)
	out = f.appendEarlier(out, "x-forwarded-for")
	at := len(out)
	out = peer.AppendTo(out)
	said := out[at:] // also when out moves
	out = append(out, "\r\nX-Forwarded-Proto: "...)
	out = f.appendSaid(out, "x-forwarded-proto", f.proto())
	out = append(out, "\r\nX-Forwarded-Host: "...)
	out = f.appendSaid(out, "x-forwarded-host", f.req.Authority)
	out = append(out, "\r\nX-Forwarded-Port: "...)
	out = f.appendSaid(out, "x-forwarded-port", f.typedPort())
	out = append(out, "\r\nForwarded: "...)
	out = f.appendForwarded(f.appendEarlier(out, "forwarded"), said, peer.Is6())
	out = append(append(out, "\r\nX-Request-Id: "...), f.requestID()...)
	out = append(out, "\r\nX-Request-Start: "...)
	if said := f.said("x-request-start"); said != nil {
		out = append(out, said...)
	} else {
		out = strconv.AppendInt(out, f.start.UnixMilli(), 10)
	}
	return append(out, "\r\n"...)
}

// appendForwarded writes RFC 7239's form.
func (f *flight) appendForwarded(out, peer []byte, six bool) []byte {
	out = append(out, "for="...)
	if six {
		out = append(append(append(out, `"[`...), peer...), `]"`...)
	} else {
		out = append(out, peer...)
	}
	out = append(append(append(out, `;host="`...), f.req.Authority...), `";proto=`...)
	return append(out, f.proto()...)
}

// said is a field of a trusted proxy, or nil.
func (f *flight) said(name string) []byte {
	if !f.trusted {
		return nil
	}
	return valueOf(f.req.Fields, name)
}

func (f *flight) appendSaid(out []byte, name string, otherwise []byte) []byte {
	if said := f.said(name); said != nil {
		return append(out, said...)
	}
	return append(out, otherwise...)
}

// appendEarlier writes all that trusted proxies have said before, to be continued.
func (f *flight) appendEarlier(out []byte, name string) []byte {
	if !f.trusted {
		return out
	}
	for _, h := range f.req.Fields {
		if nameIs(h.Name, name) && len(h.Value) > 0 {
			out = append(append(out, h.Value...), ", "...)
		}
	}
	return out
}

var (
	plainHTTP  = []byte("http")
	secureHTTP = []byte("https")
	plainPort  = []byte("80")
	securePort = []byte("443")
)

func (f *flight) proto() []byte {
	if f.req.TLS != nil {
		return secureHTTP
	}
	return plainHTTP
}

// outsideTLS tells whether the client speaks TLS with us, or with a trusted proxy in front, which may say so.
func (f *flight) outsideTLS() bool {
	if said := f.said("x-forwarded-proto"); said != nil {
		return string(said) == string(secureHTTP)
	}
	return f.req.TLS != nil
}

// typedPort is the port that the client asks at, which it leaves out where it goes without saying.
func (f *flight) typedPort() []byte {
	switch {
	case len(f.port) > 0:
		return f.port
	case f.outsideTLS():
		return securePort
	}
	return plainPort
}

// appendFraming says how the body ends, and what is asked of the connection.
func (f *flight) appendFraming(out []byte) []byte {
	if f.req.Protocol != nil {
		out = append(out, "Connection: Upgrade\r\nUpgrade: websocket\r\n"...)
		if f.req.Version >= wire.HTTP2 {
			out = appendHandshake(out, f.req.Fields)
		}
		return out
	}
	switch {
	case f.req.Length > 0 || f.req.Length == 0 && takesBody(f.req.Method):
		out = append(out, "Content-Length: "...)
		out = append(strconv.AppendInt(out, f.req.Length, 10), "\r\n"...)
	case f.req.Length < 0:
		out = append(out, "Transfer-Encoding: chunked\r\n"...)
	}
	if f.req.Continue {
		out = append(out, "Expect: 100-continue\r\n"...)
	}
	if f.req.Trailers {
		out = append(out, "TE: trailers\r\nConnection: TE\r\n"...)
	}
	return out
}

// takesBody tells methods of which an instance expects to hear that there is no body (RFC 9110, section 8.6).
func takesBody(method []byte) bool {
	switch string(method) {
	case "POST", "PUT", "PATCH":
		return true
	}
	return false
}

// appendHandshake adds what WebSocket over HTTP/2 leaves out and over HTTP/1.1 must be there (RFC 8441, section 5).
func appendHandshake(out []byte, fields []field) []byte {
	if valueOf(fields, "sec-websocket-key") == nil {
		var key [16]byte
		_, _ = rand.Read(key[:]) // never fails (crypto/rand)
		out = append(out, "Sec-WebSocket-Key: "...)
		out = append(base64.StdEncoding.AppendEncode(out, key[:]), "\r\n"...)
	}
	if valueOf(fields, "sec-websocket-version") == nil {
		out = append(out, "Sec-WebSocket-Version: 13\r\n"...)
	}
	return out
}

// knowClient finds who asks: the peer, or behind trusted proxies the last address that none of them has.
func (f *flight) knowClient() {
	f.client = f.req.Client.Addr().Unmap()
	platform, app := f.r.intake.Load().TrustedProxies, f.info.Traffic.Trusted
	if f.trusted = contained(f.client, platform, app); !f.trusted {
		return
	}
	said := f.appendEarlier(nil, "x-forwarded-for")
	for len(said) > 0 {
		said = bytes.TrimRight(said, ", ")
		at := bytes.LastIndexByte(said, ',') + 1
		addr, err := netip.ParseAddr(string(bytes.TrimSpace(said[at:])))
		if err != nil {
			return
		}
		f.client = addr.Unmap()
		if !contained(f.client, platform, app) {
			return
		}
		said = said[:at]
	}
}

func contained(a netip.Addr, platform, app []netip.Prefix) bool {
	in := func(p netip.Prefix) bool { return p.Contains(a) }
	return slices.ContainsFunc(platform, in) || slices.ContainsFunc(app, in)
}

const maxRequestID = 128 // bytes

// requestID keeps a sane id of a trusted proxy, or makes one. It names a request and keeps nothing secret.
func (f *flight) requestID() []byte {
	if len(f.id) > 0 {
		return f.id
	}
	if said := f.said("x-request-id"); len(said) <= maxRequestID && printable(said) {
		f.id = append(f.id, said...)
	}
	if len(f.id) == 0 {
		var b [16]byte
		binary.LittleEndian.PutUint64(b[:8], mathrand.Uint64())
		binary.LittleEndian.PutUint64(b[8:], mathrand.Uint64())
		f.id = hex.AppendEncode(f.id, b[:])
	}
	return f.id
}

func printable(id []byte) bool {
	for _, c := range id {
		if c <= ' ' || c > '~' || c == '"' {
			return false
		}
	}
	return true
}

// nameIs compares a field's name with one in lower case.
func nameIs(name []byte, lower string) bool {
	return len(name) == len(lower) && hasPrefix(name, lower)
}

func hasPrefix(name []byte, lower string) bool {
	if len(name) < len(lower) {
		return false
	}
	for i := range len(lower) {
		c := name[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// valueOf is the first field of a name, or nil.
func valueOf(fields []field, name string) []byte {
	for i := range fields {
		if nameIs(fields[i].Name, name) {
			return fields[i].Value
		}
	}
	return nil
}
