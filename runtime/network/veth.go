package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// addVeth makes the pair; the container's end is born in its namespace. Neither end makes up an IPv6
// address. The interface's sysctl would do the same and spin for milliseconds where other namespaces are
// being taken down.
func (n *Network) addVeth(name string, addr netip.Addr, ns *os.File) (netlink.Link, error) {
	attrs := netlink.NewLinkAttrs()
	mtu := n.uplinkMTU()
	attrs.Name, attrs.MTU = name, mtu
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerNamespace, veth.PeerMTU = "eth0", netlink.NsFd(ns.Fd()), uint32(mtu)
	veth.HardwareAddr, veth.PeerHardwareAddr = hostEnd(), containerEnd(addr)
	if err := n.route.LinkAdd(veth); err != nil {
		return nil, err
	}
	err := withoutAutoAddress(n.route, veth)
	if err != nil {
		return nil, errors.Join(err, n.route.LinkDel(veth))
	}
	return veth, nil
}

// withoutAutoAddress does nothing on a kernel without IPv6.
func withoutAutoAddress(h *netlink.Handle, link netlink.Link) error {
	err := h.LinkSetIP6AddrGenMode(link, nl.IN6_ADDR_GEN_MODE_NONE)
	if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) && !errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("keep IPv6 from making up addresses: %w", err)
	}
	return nil
}

// Both ends know each other's hardware address for good, so nobody ever asks for it: no answer can be forged,
// and no first packet waits. They are locally administered ones (IEEE 802, section 8.2).
func hostEnd() net.HardwareAddr { return net.HardwareAddr{2, 'p', 'a', 'a', 's', 1} }

func containerEnd(a netip.Addr) net.HardwareAddr {
	return append(net.HardwareAddr{2, 'p'}, a.AsSlice()...)
}

func neighbour(h *netlink.Handle, link int, a netip.Addr, mac net.HardwareAddr) error {
	return h.NeighSet(&netlink.Neigh{LinkIndex: link, State: netlink.NUD_PERMANENT, IP: a.AsSlice(), HardwareAddr: mac})
}

// configureHost gives the host's end the gateway's address and the way to the container. For IPv6 the
// host's end has none: a link-local one that the container takes for its router is enough.
func (n *Network) configureHost(link netlink.Link, e Endpoint) error {
	if err := n.route.LinkSetUp(link); err != nil {
		return fmt.Errorf("raise it: %w", err)
	}
	gateway := &netlink.Addr{IPNet: single(n.gateway()), Scope: unix.RT_SCOPE_LINK}
	if err := n.route.AddrAdd(link, gateway); err != nil {
		return fmt.Errorf("add address: %w", err)
	}
	index := link.Attrs().Index
	for _, a := range e.addrs() {
		route := &netlink.Route{LinkIndex: index, Dst: single(a), Scope: netlink.SCOPE_LINK}
		if a.Is4() {
			route.Src = n.gateway().AsSlice()
		}
		if err := n.route.RouteReplace(route); err != nil {
			return fmt.Errorf("add route: %w", err)
		}
		if err := neighbour(n.route, index, a, containerEnd(e.Addr)); err != nil {
			return fmt.Errorf("add neighbour: %w", err)
		}
	}
	return nil
}

// addrs are one or two.
func (e Endpoint) addrs() []netip.Addr {
	if e.Addr6.IsValid() {
		return []netip.Addr{e.Addr, e.Addr6}
	}
	return []netip.Addr{e.Addr}
}

// configureInside sets the container's end up through a socket in its namespace.
func (n *Network) configureInside(ns netns.NsHandle, e Endpoint) error {
	h, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open route socket: %w", err)
	}
	defer h.Close()
	const loopback = 1 // the first interface of every namespace
	if err := h.LinkSetUp(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: loopback}}); err != nil {
		return fmt.Errorf("raise lo: %w", err)
	}
	eth0, err := h.LinkByName("eth0")
	if err != nil {
		return err
	}
	if err := addAddrsInside(h, eth0, e); err != nil {
		return fmt.Errorf("add address: %w", err)
	}
	if err := h.LinkSetUp(eth0); err != nil {
		return fmt.Errorf("raise it: %w", err)
	}
	if err := n.addRoutesInside(h, eth0.Attrs().Index, e.Addr6); err != nil {
		return err
	}
	return awaitCarrier(h, eth0.Attrs().Index)
}

func addAddrsInside(h *netlink.Handle, eth0 netlink.Link, e Endpoint) error {
	if err := errors.Join(withoutAutoAddress(h, eth0), h.AddrAdd(eth0, &netlink.Addr{IPNet: single(e.Addr)})); err != nil || !e.Addr6.IsValid() {
		return err
	}
	return h.AddrAdd(eth0, &netlink.Addr{IPNet: single(e.Addr6), Flags: unix.IFA_F_NODAD})
}

// awaitCarrier blocks until the interface sends. When the second end of a pair is raised, the kernel
// opens the queue of the first one in a worker of its own time; until then it drops all packets, and a
// dropped SYN or ARP request costs a second. Asking for the link's state makes Linux 6.5 and later do it
// at once; older ones are waited for.
func awaitCarrier(h *netlink.Handle, index int) error {
	const tries, pause = 1000, time.Millisecond
	for range tries {
		link, err := h.LinkByIndex(index)
		if err != nil || link.Attrs().OperState == netlink.OperUp {
			return err
		}
		time.Sleep(pause)
	}
	return errors.New("it has no carrier after a second")
}

// addRoutesInside: the gateway is on the link though the /32 does not say so, and all else is behind it.
func (n *Network) addRoutesInside(h *netlink.Handle, eth0 int, six netip.Addr) error {
	onLink := &netlink.Route{LinkIndex: eth0, Dst: single(n.gateway()), Scope: netlink.SCOPE_LINK}
	if err := h.RouteAdd(onLink); err != nil {
		return fmt.Errorf("add route to the gateway: %w", err)
	}
	if six.IsValid() {
		// The kernel does so by itself, but in its own time.
		local := &netlink.Route{LinkIndex: eth0, Dst: single(six), Table: unix.RT_TABLE_LOCAL, Type: unix.RTN_LOCAL}
		if err := h.RouteReplace(local); err != nil {
			return fmt.Errorf("add route to itself: %w", err)
		}
		if err := addDefault(h, eth0, netip.MustParseAddr(hostLinkLocal)); err != nil {
			return err
		}
	}
	return addDefault(h, eth0, n.gateway())
}

func addDefault(h *netlink.Handle, eth0 int, via netip.Addr) error {
	if err := neighbour(h, eth0, via, hostEnd()); err != nil {
		return fmt.Errorf("add neighbour: %w", err)
	}
	everything := &net.IPNet{IP: make(net.IP, via.BitLen()/8), Mask: net.CIDRMask(0, via.BitLen())}
	if err := h.RouteAdd(&netlink.Route{LinkIndex: eth0, Dst: everything, Gw: via.AsSlice()}); err != nil {
		return fmt.Errorf("add default route via %s: %w", via, err)
	}
	return nil
}

// uplinkMTU is the MTU of the way to the internet: a larger one inside would lose packets to paths that
// drop the ICMP messages about it. 198.51.100.0/24 is documentation's (RFC 5737), so only the default
// route leads there.
func (n *Network) uplinkMTU() int {
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

func (n *Network) links() ([]netlink.Link, error) {
	all, err := n.route.LinkList()
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
		if e := n.route.LinkDel(link); e != nil && !errors.Is(e, unix.ENODEV) {
			err = errors.Join(err, fmt.Errorf("delete %s: %w", link.Attrs().Name, e))
		}
	}
	return err
}

func isNotFound(err error) bool {
	var none netlink.LinkNotFoundError
	return errors.As(err, &none)
}

func single(a netip.Addr) *net.IPNet {
	return &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())}
}
