package http2

import (
	"hash/maphash"
	"slices"
	"strconv"

	"golang.org/x/net/http2/hpack"

	"paas/router/wire"
)

// The HPACK encoder (RFC 7541). hpack.Encoder wants strings and looks every field up in four maps; what a router
// says repeats itself, so a short list with hashes is enough, and nothing is copied but what enters the table.

const (
	tableSize  = 4096 // of the dynamic table, both ways: the initial SETTINGS_HEADER_TABLE_SIZE, which we never raise
	entryExtra = 32   // an entry's size beyond its bytes (RFC 7541, 4.1)
	staticLen  = 61
	// huffmanFrom is where a value that is not going to be in the table is worth being made shorter.
	huffmanFrom = 64
	// entryMost keeps one field from emptying the table.
	entryMost = tableSize / 4
)

// known is what there is to know about a name: its place in the static table (RFC 7541, appendix A), and whether
// its values hardly come twice, so that they would only push others out of the dynamic one, or are secret.
type known struct {
	static int
	brief  bool
	secret bool
}

// names are those that answers have.
var names = map[string]known{
	"accept-charset": {static: 15}, "accept-encoding": {static: 16}, "accept-language": {static: 17}, "accept-ranges": {static: 18},
	"accept": {static: 19}, "access-control-allow-origin": {static: 20}, "age": {static: 21, brief: true}, "allow": {static: 22},
	"authorization": {static: 23, secret: true}, "cache-control": {static: 24}, "content-disposition": {static: 25, brief: true},
	"content-encoding": {static: 26}, "content-language": {static: 27}, "content-length": {static: 28, brief: true},
	"content-location": {static: 29, brief: true}, "content-range": {static: 30, brief: true}, "content-type": {static: 31},
	"cookie": {static: 32, secret: true}, "date": {static: 33}, "etag": {static: 34, brief: true}, "expires": {static: 36, brief: true},
	"last-modified": {static: 44, brief: true}, "link": {static: 45}, "location": {static: 46, brief: true},
	"proxy-authenticate": {static: 48}, "refresh": {static: 52}, "retry-after": {static: 53}, "server": {static: 54},
	"set-cookie": {static: 55, secret: true}, "strict-transport-security": {static: 56}, "vary": {static: 59}, "via": {static: 60},
	"www-authenticate": {static: 61}, "x-request-id": {brief: true}, "x-request-start": {brief: true}, "x-runtime": {brief: true},
	"traceparent": {brief: true}, "server-timing": {brief: true},
}

const contentLength = 28 // in the static table

// staticStatus are whole fields of the static table.
var staticStatus = map[int]byte{200: 8, 204: 9, 206: 10, 304: 11, 400: 12, 404: 13, 500: 14}

type entry struct {
	hash  uint64
	name  string
	value string
}

func (e *entry) size() int { return len(e.name) + len(e.value) + entryExtra }

type encoder struct {
	seed    maphash.Seed
	entries []entry // the newest is last
	size    int
	max     int
	resized bool // the limit is to be told
	name    []byte
}

func newEncoder() encoder { return encoder{seed: maphash.MakeSeed(), max: tableSize} }

// resize follows the client's SETTINGS_HEADER_TABLE_SIZE downwards. It does not come back up: there is nothing to
// be had from a client that changes its mind, and one change in a block is what every decoder understands.
func (e *encoder) resize(limit uint32) {
	if int64(limit) >= int64(e.max) {
		return
	}
	e.max, e.resized = int(limit), true
	e.evict(0)
}

// begin writes what must stand at a block's beginning.
func (e *encoder) begin(b []byte) []byte {
	if !e.resized {
		return b
	}
	e.resized = false
	return appendInt(b, 0x20, 5, e.max)
}

func (e *encoder) status(b []byte, status int) []byte {
	if i, ok := staticStatus[status]; ok {
		return append(b, 0x80|i)
	}
	return strconv.AppendInt(append(b, 0x08, 3), int64(status), 10)
}

func (e *encoder) length(b []byte, n int64) []byte {
	var digits [20]byte
	s := strconv.AppendInt(digits[:0], n, 10)
	b = append(appendInt(b, 0, 4, contentLength), byte(len(s)))
	return append(b, s...)
}

// field writes one field, its name in small letters.
func (e *encoder) field(b []byte, f wire.Field) []byte {
	e.name = appendLower(e.name[:0], f.Name)
	k := names[string(e.name)]
	if k.secret {
		return e.literal(b, 0x10, 4, k.static, f.Value)
	}
	if k.brief || len(e.name)+len(f.Value)+entryExtra > min(entryMost, e.max) {
		return e.literal(b, 0, 4, k.static, f.Value)
	}
	hash := maphash.Bytes(e.seed, e.name)*31 + maphash.Bytes(e.seed, f.Value)
	if i := e.find(hash, f.Value); i > 0 {
		return appendInt(b, 0x80, 7, i)
	}
	b = e.literal(b, 0x40, 6, k.static, f.Value)
	e.insert(entry{hash: hash, name: string(e.name), value: string(f.Value)})
	return b
}

// find returns the index of the field with e.name, or 0.
func (e *encoder) find(hash uint64, value []byte) int {
	for i := len(e.entries) - 1; i >= 0; i-- {
		have := &e.entries[i]
		if have.hash == hash && have.name == string(e.name) && have.value == string(value) {
			return staticLen + len(e.entries) - i
		}
	}
	return 0
}

func (e *encoder) insert(new entry) {
	e.evict(new.size())
	e.entries = append(e.entries, new)
	e.size += new.size()
}

// evict makes room for size more.
func (e *encoder) evict(size int) {
	n := 0
	for n < len(e.entries) && e.size+size > e.max {
		e.size -= e.entries[n].size()
		n++
	}
	e.entries = slices.Delete(e.entries, 0, n)
}

func (e *encoder) literal(b []byte, kind byte, bits, static int, value []byte) []byte {
	b = appendInt(b, kind, bits, static)
	if static == 0 {
		b = appendString(b, e.name, kind == 0x40)
	}
	return appendString(b, value, kind == 0x40 || len(value) >= huffmanFrom)
}

func appendString(b, s []byte, shorten bool) []byte {
	if shorten {
		text := string(s)
		if n := hpack.HuffmanEncodeLength(text); n < uint64(len(s)) {
			return hpack.AppendHuffmanString(appendInt(b, 0x80, 7, int(n)), text)
		}
	}
	return append(appendInt(b, 0, 7, len(s)), s...)
}

// appendInt writes an integer with a prefix of some bits (RFC 7541, 5.1).
func appendInt(b []byte, kind byte, bits, n int) []byte {
	most := 1<<bits - 1
	if n < most {
		return append(b, kind|byte(n))
	}
	b = append(b, kind|byte(most))
	for n -= most; n >= 128; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

func appendLower(b, name []byte) []byte {
	for _, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	return b
}
