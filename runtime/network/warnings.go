package network

import (
	"fmt"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
)

// Warnings tells what on this host may keep containers from the network, a sentence each, with what to do.
// It sees nftables rules (and those of iptables-nft, ufw and Docker, which are the same) and no others.
func (n *Network) Warnings() ([]string, error) {
	c, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("read nftables: %w", err)
	}
	chains, err := c.ListChains()
	if err != nil {
		return nil, fmt.Errorf("read nftables: %w", err)
	}
	var warnings []string
	for _, ch := range chains {
		if n.bars(c, ch) {
			warnings = append(warnings, n.forwardWarning(ch))
		}
	}
	return append(warnings, n.ownWarnings()...), nil
}

// ownWarnings are about names and IPv6.
func (n *Network) ownWarnings() (warnings []string) {
	if n.names == nil {
		warnings = append(warnings, "No port for the containers' nameserver was free: names like web.myapp.internal do not resolve.")
		if len(containerServers()) == 0 {
			warnings = append(warnings, "The host names no nameserver that containers can reach themselves (IPv4, not on loopback): they cannot resolve names.")
		}
	}
	if n.unlimited.Load() {
		warnings = append(warnings, "The kernel cannot count connections (nft_connlimit): one container may take all that the host can track.")
	}
	if !n.prefix6.IsValid() {
		return append(warnings, "The host has no IPv6: containers have IPv4 only.")
	}
	routes, err := whole(func() ([]netlink.Route, error) { return n.route.RouteList(nil, netlink.FAMILY_V6) })
	if err == nil && !hasDefault(routes) {
		warnings = append(warnings, "The host has no IPv6 route to the internet: containers reach it over IPv4 only.")
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

func (n *Network) forwardWarning(c *nftables.Chain) string {
	return fmt.Sprintf("The host's firewall (nftables table %q, chain %q) drops forwarded packets by policy: unless it accepts what comes "+
		"from and goes to interfaces %q, containers have no internet. We do not overrule it. To let them out: %s", c.Table.Name, c.Name, n.prefix()+"*", n.forwardFix(c))
}

// forwardFix is the command for the firewall that it looks like.
func (n *Network) forwardFix(c *nftables.Chain) string {
	names := n.prefix() + "*"
	fix := fmt.Sprintf("nft add rule %s %s %s iifname %q accept; nft add rule %s %s %s oifname %q ct state established,related accept",
		familyName(c.Table.Family), c.Table.Name, c.Name, names, familyName(c.Table.Family), c.Table.Name, c.Name, names)
	if c.Name == "FORWARD" { // iptables-nft, which ufw and Docker use; its wildcard is a plus
		fix = fmt.Sprintf("iptables -I FORWARD -i %s+ -j ACCEPT; iptables -I FORWARD -o %s+ -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
			n.prefix(), n.prefix())
		if c.Table.Family == nftables.TableFamilyIPv6 {
			fix = fmt.Sprintf("ip6tables -I FORWARD -i %s+ -j ACCEPT; ip6tables -I FORWARD -o %s+ -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
				n.prefix(), n.prefix())
		}
	}
	return fix
}

func familyName(f nftables.TableFamily) string {
	switch f {
	case nftables.TableFamilyIPv4:
		return "ip"
	case nftables.TableFamilyIPv6:
		return "ip6"
	default:
		return "inet"
	}
}

func dropsForwarded(c *nftables.Chain) bool {
	return c.Hooknum != nil && *c.Hooknum == *nftables.ChainHookForward &&
		c.Policy != nil && *c.Policy == nftables.ChainPolicyDrop && c.Table.Family != nftables.TableFamilyBridge
}
