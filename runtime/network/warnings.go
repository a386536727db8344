package network

import (
	"fmt"

	"github.com/vishvananda/netlink"
)

// A Warning is something on this host that may keep containers from the network, without a full stop, and the
// command that mends it, if there is one.
type Warning struct{ Text, Fix string }

// Warnings tells what on this host may keep containers from the network. It sees nftables rules (and those of
// iptables-nft, ufw, firewalld and Docker, which are the same) and no others.
func (n *Network) Warnings() ([]Warning, error) {
	warnings, err := n.firewallWarnings()
	if err != nil {
		return nil, fmt.Errorf("read nftables: %w", err)
	}
	for _, text := range n.ownWarnings() {
		warnings = append(warnings, Warning{Text: text})
	}
	return warnings, nil
}

// ownWarnings are about names and IPv6.
func (n *Network) ownWarnings() (warnings []string) {
	if n.names == nil {
		warnings = append(warnings, "No port for the containers' nameserver was free: names like web.myapp.internal do not resolve")
		if len(containerServers()) == 0 {
			warnings = append(warnings, "The host names no nameserver that containers can reach themselves (IPv4, not on loopback): they cannot resolve names")
		}
	}
	if n.unlimited.Load() {
		warnings = append(warnings, "The kernel cannot count connections (nft_connlimit): one container may take all that the host can track")
	}
	if !n.prefix6.IsValid() {
		return append(warnings, "The host has no IPv6: containers have IPv4 only")
	}
	routes, err := whole(func() ([]netlink.Route, error) { return n.route.RouteList(nil, netlink.FAMILY_V6) })
	if err == nil && !hasDefault(routes) {
		warnings = append(warnings, "The host has no IPv6 route to the internet: containers reach it over IPv4 only")
	}
	return warnings
}

func hasDefault(routes []netlink.Route) bool {
	for _, r := range routes {
		if r.Dst == nil || r.Dst.IP.IsUnspecified() && len(r.Dst.Mask) > 0 && r.Dst.Mask[0] == 0 {
			return true
		}
	}
	return false
}
