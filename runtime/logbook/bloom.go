package logbook

import "encoding/binary"

// A block's Bloom filter holds each run of three bytes of its texts, ASCII letters as small ones, under one hash. A
// needle of ten bytes has eight of them, so a filter that is half full lets one block of 256 pass for nothing.
const (
	bloomBits    = 1 << 16 // while it is made
	mostBloom    = 4 << 10 // bytes that are kept of it, at most
	trigramBytes = 3
)

type bloom []byte

func hashTrigram(t uint32) uint32 { return (t * 2654435761) >> 16 } // Knuth's multiplicative hash

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// trigrams calls f with the hash of each run of three bytes.
func trigrams[T string | []byte](text T, f func(hash uint32)) {
	var t uint32
	for i := range len(text) {
		t = t<<8&0xffffff | uint32(lower(text[i]))
		if i >= trigramBytes-1 {
			f(hashTrigram(t))
		}
	}
}

func newBloom() bloom { return make(bloom, bloomBits/8) }

func (b bloom) add(text []byte) {
	trigrams(text, func(h uint32) { b[h>>3] |= 1 << (h & 7) })
}

// fold makes the filter as small as it may be while less than half of it is full: a hash modulo a smaller power
// of two is the same of the folded one.
func (b bloom) fold() bloom {
	for len(b) > 8 && (len(b) > mostBloom || 4*b.ones() < 8*len(b)) {
		half := len(b) / 2
		for i := range half {
			b[i] |= b[half+i]
		}
		b = b[:half]
	}
	return b
}

func (b bloom) ones() (n int) {
	for i := 0; i+8 <= len(b); i += 8 {
		for v := binary.LittleEndian.Uint64(b[i:]); v != 0; v &= v - 1 {
			n++
		}
	}
	return n
}

// may tells whether the needle may be in one of the texts. A needle that is too short may always.
func (b bloom) may(hashes []uint32) bool {
	if len(b) == 0 || len(b)&(len(b)-1) != 0 {
		return true
	}
	mask := uint32(len(b)*8 - 1)
	for _, h := range hashes {
		h &= mask
		if b[h>>3]&(1<<(h&7)) == 0 {
			return false
		}
	}
	return true
}
