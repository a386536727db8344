package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// An interface's index is its address, so that all about it can be said to the kernel at once, before it has told
// which one it chose. Nobody else's is that high. Inside, what comes after the loopback may be others'.
const insideIndex = 1000

func (n *Network) index(number uint32) uint32 {
	a := n.addr(number).As4()
	return binary.BigEndian.Uint32(a[:]) &^ (1 << 31)
}

// addVeth makes the pair; the container's end is born in its namespace.
func (n *Network) addVeth(host *nl.NetlinkSocket, number uint32, ns *os.File) error {
	mtu := number32(unix.IFLA_MTU, uint32(n.uplinkMTU()))
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("veth"))
	peer := info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.VETH_INFO_PEER, linkMessage(insideIndex).Serialize())
	peer.AddRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated("eth0"))
	peer.AddChild(mtu)
	peer.AddRtAttr(unix.IFLA_ADDRESS, containerEnd(n.addr(number)))
	peer.AddRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(ns.Fd())))
	var b batch
	b.add("add interface", unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, linkMessage(n.index(number)),
		text(unix.IFLA_IFNAME, n.iface(number)), mtu, nl.NewRtAttr(unix.IFLA_ADDRESS, hostEnd()), info)
	return b.send(host)
}

// Both ends know each other's hardware address for good, so nobody ever asks for it: no answer can be forged,
// and no first packet waits. They are locally administered ones (IEEE 802, section 8.2).
func hostEnd() net.HardwareAddr { return net.HardwareAddr{2, 'p', 'a', 'a', 's', 1} }

func containerEnd(a netip.Addr) net.HardwareAddr {
	return append(net.HardwareAddr{2, 'p'}, a.AsSlice()...)
}

// configureHost gives the host's end its alias, the gateway's address and the way to the container. For IPv6
// the host's end has none: a link-local one that the container takes for its router is enough. Neither end makes
// up an IPv6 address; the interface's sysctl would see to the same and spin for milliseconds where other
// namespaces are being taken down.
func (n *Network) configureHost(host *nl.NetlinkSocket, index uint32, e Endpoint, alias string) error {
	var b batch
	b.add("name it", unix.RTM_SETLINK, 0, linkMessage(index), aliasOf(alias))
	b.noAutoAddress(index)
	b.raise("raise it", index)
	b.address(index, n.gateway(), unix.RT_SCOPE_LINK)
	for _, a := range e.addrs() {
		w := way{to: netip.PrefixFrom(a, a.BitLen())}
		if a.Is4() {
			w.source = n.gateway()
		}
		b.route(index, w)
		b.neighbour(index, a, containerEnd(e.Addr))
	}
	return b.send(host)
}

// addrs are one or two.
func (e Endpoint) addrs() []netip.Addr {
	if e.Addr6.IsValid() {
		return []netip.Addr{e.Addr, e.Addr6}
	}
	return []netip.Addr{e.Addr}
}

// configureInside sets the container's end up through a socket in its namespace. The gateway is on the link
// though the /32 does not say so, and all else is behind it.
func (n *Network) configureInside(ns netns.NsHandle, e Endpoint) error {
	inside, err := talk(&ns)
	if err != nil {
		return err
	}
	defer inside.Close()
	const loopback = 1 // the first interface of every namespace
	var b batch
	b.raise("raise lo", loopback)
	b.noAutoAddress(insideIndex)
	for _, a := range e.addrs() {
		b.address(insideIndex, a, unix.RT_SCOPE_UNIVERSE)
	}
	b.raise("raise it", insideIndex)
	b.route(insideIndex, way{to: netip.PrefixFrom(n.gateway(), n.gateway().BitLen())})
	b.gateway(n.gateway())
	if e.Addr6.IsValid() { // the kernel adds its local route by itself, but in its own time
		b.route(insideIndex, way{to: netip.PrefixFrom(e.Addr6, e.Addr6.BitLen()), local: true})
		b.gateway(netip.MustParseAddr(hostLinkLocal))
	}
	if err := b.send(inside); err != nil {
		return err
	}
	return awaitCarrier(inside, insideIndex)
}

// gateway is the default route.
func (b *batch) gateway(via netip.Addr) {
	b.neighbour(insideIndex, via, hostEnd())
	everything := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if via.Is6() {
		everything = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	b.route(insideIndex, way{to: everything, via: via})
}

// awaitCarrier blocks until the interface sends. When the second end of a pair is raised, the kernel
// opens the queue of the first one in a worker of its own time; until then it drops all packets, and a
// dropped SYN or ARP request costs a second. Asking for the link's state makes Linux 6.5 and later do it
// at once; older ones are waited for.
func awaitCarrier(s *nl.NetlinkSocket, index uint32) error {
	const tries, pause = 1000, time.Millisecond
	for range tries {
		var b batch
		b.look(index)
		told, err := b.ask(s)
		if err != nil || sends(told) {
			return err
		}
		time.Sleep(pause)
	}
	return errors.New("it has no carrier after a second")
}

// uplink remembers the way to the internet for a moment: many containers start at once.
type uplink struct {
	mu    sync.Mutex
	mtu   int
	asked time.Time
}

const uplinkStays = time.Second

// uplinkMTU is the MTU of the way to the internet: a larger one inside would lose packets to paths that
// drop the ICMP messages about it.
func (n *Network) uplinkMTU() int {
	n.uplink.mu.Lock()
	defer n.uplink.mu.Unlock()
	if time.Since(n.uplink.asked) > uplinkStays {
		n.uplink.mtu, n.uplink.asked = n.askMTU(), time.Now()
	}
	return n.uplink.mtu
}

// askMTU asks for the way to 198.51.100.0/24: it is documentation's (RFC 5737), so only the default route leads
// there.
func (n *Network) askMTU() int {
	const ethernet = 1500
	routes, err := n.route.RouteGet(net.IPv4(198, 51, 100, 1))
	if err != nil || len(routes) == 0 {
		return ethernet // there is no way out
	}
	link, err := n.route.LinkByIndex(routes[0].LinkIndex)
	if err != nil {
		return ethernet
	}
	return min(link.Attrs().MTU, ethernet)
}

// numbers lists the endpoints that have an interface.
func (n *Network) numbers() ([]uint32, error) {
	links, err := n.links()
	var numbers []uint32
	for _, link := range links {
		if number, ok := n.number(link.Attrs().Name); ok {
			numbers = append(numbers, number)
		}
	}
	return numbers, err
}

// whole asks again for a list that changed while the kernel told it: on a busy host other interfaces and
// routes come and go all the time.
func whole[T any](list func() ([]T, error)) ([]T, error) {
	for range 100 {
		if all, err := list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return all, err
		}
	}
	return list()
}

func (n *Network) links() ([]netlink.Link, error) {
	all, err := whole(n.route.LinkList)
	if err != nil {
		return nil, err
	}
	var ours []netlink.Link
	for _, link := range all {
		if link.Type() == "veth" && strings.HasPrefix(link.Attrs().Name, n.prefix()) {
			ours = append(ours, link)
		}
	}
	return ours, nil
}

func (n *Network) deleteLinks() error {
	links, err := n.links()
	for _, link := range links {
		err = errors.Join(err, n.deleteLink(link.Attrs().Index))
	}
	return err
}

func (n *Network) deleteLink(index int) error {
	err := n.route.LinkDel(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: index}})
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("delete interface %d: %w", index, err)
	}
	return nil
}

func isNotFound(err error) bool {
	var none netlink.LinkNotFoundError
	return errors.As(err, &none)
}
