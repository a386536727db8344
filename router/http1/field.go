package http1

import "paas/router/wire"

// kind tells the fields that mean something to a connection or to a body's framing.
type kind uint8

const (
	ordinary kind = iota
	hostField
	connectionField
	lengthField
	codingField
	upgradeField
	expectField
	teField
	dropped // is about one connection, or is never to be believed
)

// kindOf looks at a valid name.
func kindOf(name []byte) kind {
	switch len(name) {
	case 2:
		return is(name, "te", teField)
	case 4:
		return is(name, "host", hostField)
	case 5: // CGI makes HTTP_PROXY of it, which HTTP clients obey
		return is(name, "proxy", dropped)
	case 6:
		return is(name, "expect", expectField)
	case 7:
		return is(name, "upgrade", upgradeField)
	case 10:
		return max(is(name, "keep-alive", dropped), is(name, "connection", connectionField))
	case 14:
		return max(is(name, "http2-settings", dropped), is(name, "content-length", lengthField))
	case 16:
		return is(name, "proxy-connection", dropped)
	case 17:
		return is(name, "transfer-encoding", codingField)
	case 19:
		return is(name, "proxy-authorization", dropped)
	}
	return ordinary
}

func is(name []byte, lower string, k kind) kind {
	if Is(name, lower) {
		return k
	}
	return ordinary
}

// HopByHop tells a field that is about one connection or about the framing of a body, and must not be passed on
// (RFC 9110 section 7.6.1). Host is none.
func HopByHop(name []byte) bool {
	k := kindOf(name)
	return k > hostField && k != expectField
}

// options is what Connection lists.
type options struct {
	close, keep, upgrade bool
	many                 bool // more than anybody lists
	others               [][]byte
}

const maxListed = 32 // names in Connection

func (o *options) reset() { *o = options{others: o.others[:0]} }

func (o *options) add(list []byte) {
	for token, rest := nextToken(list); token != nil; token, rest = nextToken(rest) {
		switch {
		case Is(token, "close"):
			o.close = true
		case Is(token, "keep-alive"):
			o.keep = true
		case Is(token, "upgrade"):
			o.upgrade = true
		case len(o.others) == maxListed:
			o.many = true
			return
		default:
			o.others = append(o.others, token)
		}
	}
}

// strip removes the fields that were listed. Those of the framing are not among them, whatever is listed.
func (o *options) strip(fields []wire.Field) []wire.Field {
	if len(o.others) == 0 {
		return fields
	}
	kept := fields[:0]
	for _, f := range fields {
		if !o.lists(f.Name) {
			kept = append(kept, f)
		}
	}
	return kept
}

func (o *options) lists(name []byte) bool {
	for _, l := range o.others {
		if same(l, name) {
			return true
		}
	}
	return false
}

// same compares two tokens without regard to case.
func same(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c | 0x20
	}
	return c
}

// inTrailers tells whether a field may come after a body: not what frames, routes, authorizes or describes the
// body, which had to be known before it (RFC 9110 section 6.5.1).
func inTrailers(name []byte) bool {
	if kindOf(name) != ordinary {
		return false
	}
	for _, never := range neverInTrailers {
		if Is(name, never) {
			return false
		}
	}
	return true
}

var neverInTrailers = [...]string{
	"authorization", "cache-control", "content-encoding", "content-range", "content-type", "cookie", "date",
	"forwarded", "if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "location",
	"max-forwards", "pragma", "proxy-authenticate", "range", "set-cookie", "trailer", "www-authenticate",
	"x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto", "x-real-ip",
}
