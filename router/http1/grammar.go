package http1

import (
	"bytes"
	"encoding/binary"

	"paas/router/wire"
)

// What a byte may be part of.
const (
	inToken  = 1 << iota // RFC 9110 section 5.6.2
	inHost               // letters, digits and -._ : what hostnames in use are made of
	inTarget             // visible ASCII without '#', which RFC 9112 section 3.2 has no place for
	under                // CGI turns '-' into '_': a name with one could be read as another
	digit
	hexDigit
)

var classes = classesOf()

func classesOf() (t [256]uint8) {
	for c := '!'; c <= '~'; c++ {
		t[c] |= inTarget
		if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
			t[c] |= inToken | inHost
		}
	}
	t['#'] &^= inTarget
	for _, c := range []byte("!#$%&'*+-.^_`|~") {
		t[c] |= inToken
	}
	for _, c := range []byte("-._") {
		t[c] |= inHost
	}
	t['_'] |= under
	for c := '0'; c <= '9'; c++ {
		t[c] |= digit | hexDigit
	}
	for _, c := range []byte("abcdefABCDEF") {
		t[c] |= hexDigit
	}
	return t
}

// all tells that b has only bytes of a class.
func all(b []byte, class uint8) bool {
	for _, c := range b {
		if classes[c]&class == 0 {
			return false
		}
	}
	return true
}

// Is compares a token with a word in lower case, without regard to case.
func Is(token []byte, lower string) bool {
	if len(token) != len(lower) {
		return false
	}
	for i, c := range token {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// ValidValue tells that b may be the value of a field: no control characters but the tab (RFC 9110 section 5.5).
// Bytes above 127 are opaque and pass.
func ValidValue(b []byte) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		del := x ^ ones*0x7f
		if ((x-ones*0x20)&^x|(del-ones)&^del)&highs != 0 && !noControls(b[i:i+8]) {
			return false
		}
	}
	return noControls(b[i:])
}

func noControls(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// ValidName tells that b is a field's name.
func ValidName(b []byte) bool { return len(b) > 0 && all(b, inToken) }

// trim removes blanks on both sides.
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// splitField splits a line without its end. seen has the classes of the name's bytes. The name is empty when the
// line is not one of a field.
func splitField(line []byte) (f wire.Field, seen uint8) {
	i := 0
	for i < len(line) && classes[line[i]]&inToken != 0 {
		seen |= classes[line[i]]
		i++
	}
	if i == 0 || i == len(line) || line[i] != ':' {
		return wire.Field{}, 0
	}
	f.Value = trim(line[i+1:])
	if !ValidValue(f.Value) {
		return wire.Field{}, 0
	}
	f.Name = line[:i]
	return f, seen
}

// number is a decimal of at most 18 digits, so that sums do not overflow; or -1.
func number(b []byte) int64 {
	if len(b) == 0 || len(b) > 18 || !all(b, digit) {
		return -1
	}
	n := int64(0)
	for _, c := range b {
		n = n*10 + int64(c-'0')
	}
	return n
}

// nextToken cuts the first element off a comma-separated list. Empty elements are skipped (RFC 9110 section
// 5.6.1.2); nil means that there is none left.
func nextToken(list []byte) (token, rest []byte) {
	for len(list) > 0 {
		if i := bytes.IndexByte(list, ','); i >= 0 {
			token, list = list[:i], list[i+1:]
		} else {
			token, list = list, nil
		}
		if token = trim(token); len(token) > 0 {
			return token, list
		}
	}
	return nil, nil
}

// hasToken tells that a list has a word, given in lower case.
func hasToken(list []byte, lower string) bool {
	for token, rest := nextToken(list); token != nil; token, rest = nextToken(rest) {
		if Is(token, lower) {
			return true
		}
	}
	return false
}
