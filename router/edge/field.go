package edge

import (
	"slices"
	"strconv"
	"time"

	"paas/router/wire"
)

// value is the first field of the name, which is in lower case; nil if there is none.
func value(fields []wire.Field, name string) []byte {
	for i := range fields {
		if is(fields[i].Name, name) {
			return fields[i].Value
		}
	}
	return nil
}

// is compares a field's name, in any case, with one in lower case.
func is(name []byte, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

func field(name, value string) wire.Field {
	return wire.Field{Name: []byte(name), Value: []byte(value)}
}

// retryAfter rounds up to whole seconds (RFC 9110, 10.2.3).
func retryAfter(wait time.Duration) wire.Field {
	return field("Retry-After", strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10))
}

func sorted[T any](list []T, compare func(a, b T) int) []T {
	list = slices.Clone(list)
	slices.SortStableFunc(list, compare)
	return list
}

// cut is bytes.Cut at one byte.
func cut(b []byte, at byte) (before, after []byte, found bool) {
	if i := slices.Index(b, at); i >= 0 {
		return b[:i], b[i+1:], true
	}
	return b, nil, false
}

// trim takes optional white space away (RFC 9110, 5.6.3).
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}
