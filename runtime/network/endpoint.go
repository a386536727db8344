package network

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"
)

// Endpoint is one container's place in the network. It is a value: keep it with the container.
type Endpoint struct {
	Addr   netip.Addr
	Addr6  netip.Addr // the zero Addr on a host without IPv6
	Port   uint16     // what the container is told to listen on; unique among living endpoints
	Iface  string     // the host's end of the link
	Resolv []byte     // content for the container's /etc/resolv.conf
}

const (
	firstPort  = 10_000
	portCount  = 20_000
	firstIndex = 2 // 0 is the subnet itself, 1 the gateway
)

// count is how many numbers there are: addresses but for the subnet's, the gateway's and the last.
func (n *Network) count() uint32 {
	return min(uint32(1)<<(32-n.subnet.Bits())-firstIndex-1, portCount-firstIndex)
}

func (n *Network) gateway() netip.Addr { return n.addr(1) }

func (n *Network) addr(number uint32) netip.Addr {
	base := n.subnet.Addr().As4()
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(base[:])+number)))
}

// addr6 is the zero Addr on a host without IPv6.
func (n *Network) addr6(number uint32) netip.Addr {
	if !n.prefix6.IsValid() {
		return netip.Addr{}
	}
	a := n.prefix6.Addr().As16()
	binary.BigEndian.PutUint32(a[12:], number)
	return netip.AddrFrom16(a)
}

// numberOf reads an address of either family.
func (n *Network) numberOf(a netip.Addr) (uint32, bool) {
	a = a.Unmap()
	bytes := a.AsSlice()
	if len(bytes) < 4 {
		return 0, false
	}
	number := binary.BigEndian.Uint32(bytes[len(bytes)-4:])
	if a.Is4() {
		base := n.subnet.Addr().As4()
		number -= binary.BigEndian.Uint32(base[:])
	}
	ours := number >= firstIndex && number < n.count()+firstIndex
	return number, ours && (a == n.addr(number) || a == n.addr6(number))
}

// endpoint is what follows from a number.
func (n *Network) endpoint(number uint32) Endpoint {
	return Endpoint{
		Addr: n.addr(number), Addr6: n.addr6(number), Port: uint16(firstPort + number), Iface: n.iface(number),
	}
}

// prefix begins the name of every interface of this platform. Its dash keeps "pva1-2" of platform a1
// apart from "pva-12" of platform a.
func (n *Network) prefix() string { return "pv" + n.id + "-" }

func (n *Network) iface(number uint32) string { return n.prefix() + strconv.Itoa(int(number)) }

// number reads an interface's name.
func (n *Network) number(iface string) (uint32, bool) {
	digits, ours := strings.CutPrefix(iface, n.prefix())
	number, err := strconv.ParseUint(digits, 10, 32)
	if !ours || err != nil || number < firstIndex || number >= uint64(n.count())+firstIndex {
		return 0, false
	}
	return uint32(number), n.iface(uint32(number)) == iface
}
