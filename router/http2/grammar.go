package http2

import "unsafe"

// What bytes may stand in (RFC 9110, 5.6.2, 5.5 and 7.2).
const (
	inName   = 1 << iota // field names of HTTP/2: tokens without capitals
	inMethod             // tokens
	inValue              // field values: no controls but the tab
	inHost               // what hostnames in use, and IPv4 addresses, are made of
	inTarget             // path and query: visible ASCII without '#'
)

var bytesIn = func() (table [256]uint8) {
	for b := range 256 {
		c := byte(b)
		digit, lower, upper := '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z'
		table[b] |= flagIf(inName, digit || lower || oneOf("!#$%&'*+-.^_`|~", c))
		table[b] |= flagIf(inMethod, digit || lower || upper || oneOf("!#$%&'*+-.^_`|~", c))
		table[b] |= flagIf(inValue, c == '\t' || c >= ' ' && c != 0x7f)
		table[b] |= flagIf(inHost, digit || lower || upper || oneOf("-._", c))
		table[b] |= flagIf(inTarget, c > ' ' && c < 0x7f && c != '#')
	}
	return table
}()

func flagIf(flag uint8, is bool) uint8 {
	if is {
		return flag
	}
	return 0
}

func oneOf(set string, c byte) bool {
	for i := range len(set) {
		if set[i] == c {
			return true
		}
	}
	return false
}

func only(s string, set uint8) bool {
	for i := range len(s) {
		if bytesIn[s[i]]&set == 0 {
			return false
		}
	}
	return true
}

func isName(s string) bool { return s != "" && only(s, inName) }

// isValue refuses blanks at the ends too: RFC 9113, 8.2.1.
func isValue(s string) bool {
	return only(s, inValue) && (s == "" || !isBlank(s[0]) && !isBlank(s[len(s)-1]))
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// isAuthority accepts host and host:port (RFC 3986, 3.2.2), and no user.
func isAuthority(s string) bool {
	host, port := len(s), ""
	for i := len(s) - 1; i >= 0 && s[i] != ']'; i-- {
		if s[i] == ':' {
			host, port = i, s[i+1:]
			break
		}
	}
	return isHost(s[:host]) && len(port) <= 5 && digits(port)
}

func isHost(s string) bool {
	if len(s) > 4 && s[0] == '[' && s[len(s)-1] == ']' {
		return isAddress(s[1 : len(s)-1])
	}
	return s != "" && only(s, inHost)
}

func isAddress(s string) bool {
	for i := range len(s) {
		if !oneOf("0123456789abcdefABCDEF:.", s[i]) {
			return false
		}
	}
	return true
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// isTarget accepts what begins with a slash, and "*".
func isTarget(s string) bool {
	if s == "*" {
		return true
	}
	return s != "" && s[0] == '/' && only(s, inTarget)
}

// length reads Content-Length; 18 digits are more than anybody sends and less than int64 holds.
func length(s string) (int64, bool) {
	if s == "" || len(s) > 18 || !digits(s) {
		return 0, false
	}
	var n int64
	for i := range len(s) {
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}

// bytesOf lends a string's bytes: wire.Field's must not be changed, and the strings of the HPACK decoder never move.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
