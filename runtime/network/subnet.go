package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"paas/platform"
)

// chooseSubnet answers with the wish, else with what was chosen before, else with a free one.
func (n *Network) chooseSubnet(r *registry, wish netip.Prefix) (netip.Prefix, error) {
	others, err := r.others(n.id, n.dir)
	if err != nil {
		return netip.Prefix{}, err
	}
	if wish.IsValid() {
		return wish.Masked(), checkSubnet(wish, others)
	}
	if kept, err := n.keptSubnet(); err != nil {
		return netip.Prefix{}, err
	} else if kept.IsValid() && checkSubnet(kept, others) == nil {
		return kept, nil
	}
	taken, err := n.takenAddresses(others)
	if err != nil {
		return netip.Prefix{}, err
	}
	free, err := freeSubnet(taken)
	if err != nil {
		return netip.Prefix{}, err
	}
	return free, renameio.WriteFile(n.subnetFile(), []byte(free.String()+"\n"), 0o644)
}

func checkSubnet(p netip.Prefix, others []entry) error {
	if !p.Addr().Is4() || !p.Addr().IsPrivate() || p.Bits() < 16 || p.Bits() > 20 {
		return platform.Errorf(platform.Usage, "%s is not a subnet for containers: use a /16 to /20 of private IPv4 addresses", p)
	}
	for _, o := range others {
		if o.Subnet.Overlaps(p) {
			return platform.Errorf(platform.Conflict, "%s overlaps %s, which platform %q on this host has", p, o.Subnet, o.ID)
		}
	}
	return nil
}

func (n *Network) subnetFile() string { return filepath.Join(n.dir, "subnet") }

// keptSubnet is the zero Prefix if none was chosen yet.
func (n *Network) keptSubnet() (netip.Prefix, error) {
	data, err := os.ReadFile(n.subnetFile())
	if errors.Is(err, os.ErrNotExist) {
		return netip.Prefix{}, nil
	}
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.ParsePrefix(strings.TrimSpace(string(data)))
}

// freeSubnet goes through the upper part of 10.0.0.0/8 by /20s: home routers, VPNs and cluster software
// mostly settle lower.
func freeSubnet(taken []netip.Prefix) (netip.Prefix, error) {
	for second := range 40 {
		for third := 0; third < 256; third += 16 {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(213 + second), byte(third), 0}), 20)
			if !slices.ContainsFunc(taken, p.Overlaps) {
				return p, nil
			}
		}
	}
	return netip.Prefix{}, platform.Errorf(platform.Failed, "every subnet from 10.213.0.0 on is in use on this host").
		WithHint("name one in the platform's settings")
}

// takenAddresses is what the host routes, has, or asks for names, and what other platforms hold.
func (n *Network) takenAddresses(others []entry) ([]netip.Prefix, error) {
	var taken []netip.Prefix
	for _, o := range others {
		taken = append(taken, o.Subnet)
	}
	for _, s := range containerServers() {
		taken = append(taken, netip.PrefixFrom(s, 32))
	}
	filter := &netlink.Route{Table: unix.RT_TABLE_UNSPEC} // all tables, the local one included
	routes, err := whole(func() ([]netlink.Route, error) {
		return n.route.RouteListFiltered(netlink.FAMILY_V4, filter, netlink.RT_FILTER_TABLE)
	})
	for _, r := range routes {
		if p, ok := prefixOf(r.Dst); ok {
			taken = append(taken, p)
		}
	}
	return taken, err
}

// prefixOf leaves out default routes.
func prefixOf(dst *net.IPNet) (netip.Prefix, bool) {
	if dst == nil {
		return netip.Prefix{}, false
	}
	addr, ok := netip.AddrFromSlice(dst.IP.To4())
	ones, _ := dst.Mask.Size()
	return netip.PrefixFrom(addr, ones), ok && ones > 0
}

// leaveOldSubnet gives up a claim from before, which living containers may stand in the way of: their
// addresses follow from the subnet.
func (n *Network) leaveOldSubnet(r *registry) error {
	own, err := r.own(n.id)
	if err != nil || !own.Subnet.IsValid() || own.Subnet == n.subnet {
		return err
	}
	links, err := n.links()
	if err != nil {
		return err
	}
	if len(links) > 0 {
		return platform.Errorf(platform.Conflict, "%d containers still have addresses in %s", len(links), own.Subnet).
			WithHint("stop every app before changing the subnet")
	}
	return unguard(n.route, own.Subnet)
}

// nowhere makes the subnet's unused addresses unreachable at once: nobody waits for a container that
// ended, and no packet for one leaves by the uplink. Other software sees the subnet is taken.
func nowhere(subnet netip.Prefix) *netlink.Route {
	dst := &net.IPNet{IP: subnet.Addr().AsSlice(), Mask: net.CIDRMask(subnet.Bits(), subnet.Addr().BitLen())}
	return &netlink.Route{Dst: dst, Type: unix.RTN_UNREACHABLE, Priority: 1 << 16}
}

func guard(h *netlink.Handle, subnet netip.Prefix) error {
	if err := h.RouteReplace(nowhere(subnet)); err != nil {
		return fmt.Errorf("claim %s in the routing table: %w", subnet, err)
	}
	return nil
}

func unguard(h *netlink.Handle, subnet netip.Prefix) error {
	if err := h.RouteDel(nowhere(subnet)); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("remove route of %s: %w", subnet, err)
	}
	return nil
}
