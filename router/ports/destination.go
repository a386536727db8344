package ports

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// A host with several addresses must answer from the one that the client has sent to: another one is a stranger
// to it, and to every NAT on the way. The kernel tells which it was and takes it for the answer (ip(7), ipv6(7):
// IP_PKTINFO, IPV6_RECVPKTINFO).

// controlSize is room for one message of either kind.
const controlSize = 64

// askDestination has every datagram come with where it was sent to.
func askDestination(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		family, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN)
		if failed = err; err != nil {
			return
		}
		if family == unix.AF_INET6 {
			failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
			return
		}
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("ask where datagrams were sent to: %w", err)
	}
	return nil
}

// destination reads where a datagram was sent to, and makes the message that has the answer come from there. The
// interface is left to the routes: the way back may be another one.
func destination(control []byte, bound net.Addr) (netip.AddrPort, []byte) {
	local := bound.(*net.UDPAddr).AddrPort()
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return local, nil
	}
	for _, m := range messages {
		switch {
		case m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_PKTINFO && len(m.Data) >= unix.SizeofInet4Pktinfo:
			at := netip.AddrFrom4([4]byte(m.Data[4:8])) // ipi_spec_dst
			back := make([]byte, unix.SizeofInet4Pktinfo)
			copy(back[4:8], m.Data[4:8])
			return netip.AddrPortFrom(at, local.Port()), message(unix.IPPROTO_IP, unix.IP_PKTINFO, back)
		case m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_PKTINFO && len(m.Data) >= unix.SizeofInet6Pktinfo:
			at := netip.AddrFrom16([16]byte(m.Data[:16]))
			back := make([]byte, unix.SizeofInet6Pktinfo)
			copy(back, m.Data[:16])
			if at.IsLinkLocalUnicast() { // means nothing without its interface
				copy(back[16:], m.Data[16:20])
			}
			return netip.AddrPortFrom(at.Unmap(), local.Port()), message(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, back)
		}
	}
	return local, nil
}

// message is one control message (cmsg(3)).
func message(level, kind int, data []byte) []byte {
	b := make([]byte, unix.CmsgSpace(len(data)))
	head := unix.Cmsghdr{Level: int32(level), Type: int32(kind)} //nolint:gosec // small constants
	head.SetLen(unix.CmsgLen(len(data)))
	binary.NativeEndian.PutUint64(b, head.Len)
	binary.NativeEndian.PutUint32(b[8:], uint32(head.Level)) //nolint:gosec // small constants
	binary.NativeEndian.PutUint32(b[12:], uint32(head.Type)) //nolint:gosec // small constants
	copy(b[unix.CmsgLen(0):], data)
	return b
}
