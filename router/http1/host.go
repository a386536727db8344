package http1

import (
	"bytes"
	"net/netip"
)

const maxHost = 255 // bytes of a name in DNS

// ValidHost tells that b is a hostname or an IP address, with or without a port, as an origin has it: letters,
// digits and "-._", or an IPv6 address in brackets. RFC 3986 would take more, which no hostname has.
func ValidHost(b []byte) bool {
	host, port := b, []byte(nil)
	if len(b) > 0 && b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 0 || !validIPv6(b[1:end]) {
			return false
		}
		rest := b[end+1:]
		return len(rest) == 0 || rest[0] == ':' && validPort(rest[1:])
	}
	if i := bytes.IndexByte(b, ':'); i >= 0 {
		host, port = b[:i], b[i+1:]
	}
	return len(host) > 0 && len(host) <= maxHost && all(host, inHost) && validPort(port)
}

// validPort takes none, too: "example.com:" is in the grammar.
func validPort(b []byte) bool {
	return len(b) == 0 || len(b) <= 5 && number(b) >= 0 && number(b) <= 65535
}

func validIPv6(b []byte) bool {
	a, err := netip.ParseAddr(string(b))
	return err == nil && a.Is6() && a.Zone() == ""
}
