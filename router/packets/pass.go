package packets

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// passWait is how long a process that does not keep up holds up the others; what it cannot take is dropped.
const passWait = 5 * time.Millisecond

// A packet that is passed on is the client's address (16 bytes), its port (2, big endian), and what came.
const addrLen = 16 + 2

// pass gives a packet to another process. It is false when that is no more.
func pass(to *net.UnixConn, from *net.UDPAddr, data []byte) bool {
	var b [largest]byte
	if len(data) > largest-addrLen {
		return true
	}
	ip := from.AddrPort().Addr().As16()
	n := copy(b[:], ip[:])
	n += copy(b[n:], binary.BigEndian.AppendUint16(nil, uint16(from.Port))) //nolint:gosec // a port
	n += copy(b[n:], data)
	_ = to.SetWriteDeadline(time.Now().Add(passWait))
	_, err := to.Write(b[:n])
	return err == nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.EAGAIN)
}

// receive takes what is passed on, until the socket is closed. What comes too fast is dropped.
func (s *Socket) receive() {
	var b [largest]byte
	for {
		n, err := s.own.Read(b[:])
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n <= addrLen {
			continue
		}
		from := netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[:16])).Unmap(), binary.BigEndian.Uint16(b[16:]))
		p := packet{from: net.UDPAddrFromAddrPort(from), data: append([]byte(nil), b[addrLen:n]...)}
		select {
		case s.passed <- p:
		default:
		}
	}
}

// tagOf is the beginning of the id of the connection that a packet is for (RFC 8999, 5.1 and 5.2; that those of short
// headers are idLen long is ours).
func tagOf(packet []byte) (t tag, ok bool) {
	const long = 0x80
	switch {
	case len(packet) < 1+idLen:
		return t, false
	case packet[0]&long == 0:
		return tag(packet[1:]), true
	case len(packet) < 6+idLen || packet[5] != idLen: // behind the version
		return t, false
	}
	return tag(packet[6:]), true
}
