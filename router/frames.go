package router

import "encoding/binary"

// frames follows the frames of a WebSocket (RFC 6455, section 5.2), to know when one more can be put
// between two of them.
//
//	FIN RSV opcode | MASK length (7 bits) | length (16 or 64 bits) | masking key | payload
type frames struct {
	head    [14]byte
	have    int    // bytes of the head
	payload uint64 // bytes of the payload that have not passed yet
}

// pass takes note of the next bytes of the stream.
func (f *frames) pass(b []byte) {
	for len(b) > 0 {
		if f.payload > 0 {
			n := min(f.payload, uint64(len(b)))
			f.payload -= n
			b = b[n:]
			continue
		}
		f.head[f.have] = b[0]
		f.have++
		b = b[1:]
		if f.have >= 2 && f.have == f.headSize() {
			f.payload, f.have = f.length(), 0
		}
	}
}

// between tells whether the stream is at a frame's end.
func (f *frames) between() bool { return f.have == 0 && f.payload == 0 }

func (f *frames) headSize() int {
	size := 2
	switch f.head[1] & 0x7f {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if f.head[1]&0x80 != 0 {
		size += 4
	}
	return size
}

func (f *frames) length() uint64 {
	switch n := f.head[1] & 0x7f; n {
	case 126:
		return uint64(binary.BigEndian.Uint16(f.head[2:]))
	case 127:
		return binary.BigEndian.Uint64(f.head[2:])
	default:
		return uint64(n)
	}
}

// goingAway is a close frame with status 1001 (RFC 6455, section 7.4.1): the server ends, come again.
func goingAway() []byte { return []byte{0x88, 2, 1001 >> 8, 1001 & 0xff} }
