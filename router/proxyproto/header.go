// Package proxyproto speaks the PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt, 2020/03/05):
// what a balancer in front says of the client before the client's first byte.
//
//	v1  PROXY TCP4 192.0.2.1 198.51.100.1 51234 443 CRLF
//	v2  12 bytes of signature | version and command | family and transport | length (2) | addresses | TLVs
package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
)

// Header is what a header says. Without addresses (the zero values) the connection is the balancer's own, as for
// its health checks, or of a family that has none.
type Header struct {
	Client netip.AddrPort
	Server netip.AddrPort // where the client connected to
}

// Limits and constants of the specification.
const (
	maxV1 = 107 // bytes of a line with its end, section 2.1
	// maxV2 bounds addresses and TLVs together. The field goes to 65535; the biggest TLVs in use, a certificate's
	// names and cloud providers' ids, take some hundred bytes.
	maxV2 = 4096

	v2Prefix = 16 // bytes before the addresses
	unixSize = 216
)

var (
	v1Start   = []byte("PROXY ")
	signature = []byte("\r\n\r\n\x00\r\nQUIT\n")
)

// ErrHeader is a header that breaks the protocol, or none at all.
var ErrHeader = errors.New("no valid PROXY protocol header")

// errMore: so far it is the beginning of a header.
var errMore = errors.New("the PROXY protocol header is not complete")

// decode reads a header at the beginning of b and tells how many bytes it takes. What follows is not looked at.
func decode(b []byte) (h Header, n int, err error) {
	switch {
	case bytes.HasPrefix(b, signature):
		return decodeV2(b)
	case bytes.HasPrefix(b, v1Start):
		return decodeV1(b)
	case bytes.HasPrefix(signature, b) || bytes.HasPrefix(v1Start, b):
		return h, 0, errMore
	}
	return h, 0, ErrHeader
}

func decodeV1(b []byte) (h Header, n int, err error) {
	line, _, found := bytes.Cut(b[:min(len(b), maxV1)], []byte("\r\n"))
	if !found && len(b) < maxV1 && bytes.IndexByte(b, '\n') < 0 {
		return h, 0, errMore
	}
	if !found {
		return h, 0, ErrHeader
	}
	n = len(line) + len("\r\n")
	words := bytes.Split(line, []byte(" "))
	if string(words[1]) == "UNKNOWN" { // whatever follows is to be ignored
		return h, n, nil
	}
	if len(words) != 6 {
		return h, 0, ErrHeader
	}
	family := string(words[1])
	if h.Client, err = endpoint(family, words[2], words[4]); err == nil {
		h.Server, err = endpoint(family, words[3], words[5])
	}
	if err != nil {
		return Header{}, 0, err
	}
	return h, n, nil
}

// endpoint reads an address as section 2.1 writes it: no zone, no leading zeros, of the family that was named.
func endpoint(family string, host, port []byte) (netip.AddrPort, error) {
	addr, err := netip.ParseAddr(string(host))
	number, portErr := strconv.ParseUint(string(port), 10, 16)
	leading := len(port) > 1 && port[0] == '0'
	fits := family == "TCP4" && addr.Is4() || family == "TCP6" && addr.Is6()
	if err != nil || portErr != nil || leading || port[0] == '+' || !fits || addr.Zone() != "" {
		return netip.AddrPort{}, ErrHeader
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(number)), nil
}

// What the bytes 13 and 14 of version 2 may be, section 2.2.
const (
	local = 0x20
	proxy = 0x21

	unspecified = 0x00
	overTCP4    = 0x11
	overUDP4    = 0x12
	overTCP6    = 0x21
	overUDP6    = 0x22
	overUnix    = 0x31
)

func decodeV2(b []byte) (h Header, n int, err error) {
	if len(b) < v2Prefix {
		return h, 0, errMore
	}
	size := int(binary.BigEndian.Uint16(b[14:]))
	if size > maxV2 || b[12] != local && b[12] != proxy {
		return h, 0, ErrHeader
	}
	if len(b) < v2Prefix+size {
		return h, 0, errMore
	}
	n = v2Prefix + size
	if b[12] == local { // the rest is to be skipped, whatever it says
		return h, n, nil
	}
	h, err = addresses(b[13], b[v2Prefix:n])
	if err != nil {
		return Header{}, 0, err
	}
	return h, n, nil
}

// addresses reads those of a stream. TLVs behind them are skipped.
func addresses(family byte, b []byte) (h Header, err error) {
	size := map[byte]int{overTCP4: 4, overTCP6: 16}[family]
	switch {
	case family == unspecified || family == overUnix && len(b) >= unixSize:
		return h, nil
	case size == 0 || len(b) < 2*size+4:
		return h, ErrHeader
	}
	client, _ := netip.AddrFromSlice(b[:size])
	server, _ := netip.AddrFromSlice(b[size : 2*size])
	ports := b[2*size:]
	h.Client = netip.AddrPortFrom(client.Unmap(), binary.BigEndian.Uint16(ports))
	h.Server = netip.AddrPortFrom(server.Unmap(), binary.BigEndian.Uint16(ports[2:]))
	return h, nil
}

// AppendV1 appends the header as a line.
func (h Header) AppendV1(b []byte) []byte {
	client, server := h.family()
	switch {
	case !client.IsValid():
		return append(b, "PROXY UNKNOWN\r\n"...)
	case client.Addr().Is4():
		return fmt.Appendf(b, "PROXY TCP4 %s %s %d %d\r\n", client.Addr(), server.Addr(), client.Port(), server.Port())
	}
	return fmt.Appendf(b, "PROXY TCP6 %s %s %d %d\r\n", client.Addr(), server.Addr(), client.Port(), server.Port())
}

// AppendV2 appends the header in its binary form, for a stream or for a datagram.
func (h Header) AppendV2(b []byte, datagram bool) []byte {
	client, server := h.family()
	b = append(b, signature...)
	if !client.IsValid() {
		return append(b, local, unspecified, 0, 0)
	}
	family, size := byte(overTCP4), 12
	if client.Addr().Is6() {
		family, size = overTCP6, 36
	}
	if datagram {
		family++ // UDP follows TCP in both families
	}
	b = append(b, proxy, family, 0, byte(size))
	b = append(b, client.Addr().AsSlice()...)
	b = append(b, server.Addr().AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, client.Port())
	return binary.BigEndian.AppendUint16(b, server.Port())
}

// family makes both addresses of one family: two IPv4 addresses, else two IPv6 ones.
func (h Header) family() (client, server netip.AddrPort) {
	client = netip.AddrPortFrom(h.Client.Addr().Unmap().WithZone(""), h.Client.Port())
	server = netip.AddrPortFrom(h.Server.Addr().Unmap().WithZone(""), h.Server.Port())
	if !client.IsValid() || !server.IsValid() {
		return netip.AddrPort{}, netip.AddrPort{}
	}
	if client.Addr().Is4() && server.Addr().Is4() {
		return client, server
	}
	return netip.AddrPortFrom(netip.AddrFrom16(client.Addr().As16()), client.Port()),
		netip.AddrPortFrom(netip.AddrFrom16(server.Addr().As16()), server.Port())
}
