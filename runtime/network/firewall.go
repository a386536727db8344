package network

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// firewallWarnings is one for each firewall that ends the way of forwarded packets and has no rule for ours. An
// accept of ours in another table cannot overrule it, and we do not write into other people's.
func (n *Network) firewallWarnings() (warnings []Warning, err error) {
	c, err := nftables.New()
	if err != nil {
		return nil, err
	}
	chains, err := c.ListChains()
	if err != nil {
		return nil, err
	}
	for _, ch := range chains {
		if closed, err := closesForwarding(c, ch); err != nil || !closed {
			if err != nil {
				return nil, err
			}
			continue
		}
		f := foreignFirewall{table: ch.Table, chain: ch.Name, chains: sameTable(chains, ch.Table)}
		let, err := f.knows(c, n.prefix())
		if err != nil {
			return nil, err
		}
		if w := f.warning(n.prefix()); !let && !slices.Contains(warnings, w) {
			warnings = append(warnings, w)
		}
	}
	return warnings, nil
}

// closesForwarding tells a chain that drops by policy, as iptables' do, or by its last rule, as firewalld's.
func closesForwarding(c *nftables.Conn, ch *nftables.Chain) (bool, error) {
	if ch.Hooknum == nil || *ch.Hooknum != *nftables.ChainHookForward || ch.Table.Family == nftables.TableFamilyBridge {
		return false, nil
	}
	if ch.Policy != nil && *ch.Policy == nftables.ChainPolicyDrop {
		return true, nil
	}
	rules, err := c.GetRules(ch.Table, ch)
	if err != nil || len(rules) == 0 {
		return false, err
	}
	return endsAll(rules[len(rules)-1].Exprs), nil
}

// endsAll tells a drop or reject without a condition.
func endsAll(exprs []expr.Any) bool {
	for _, e := range exprs {
		switch e := e.(type) {
		case *expr.Counter, *expr.Log:
		case *expr.Reject:
			return true
		case *expr.Verdict:
			return e.Kind == expr.VerdictDrop
		default:
			return false
		}
	}
	return false
}

func sameTable(all []*nftables.Chain, t *nftables.Table) (chains []*nftables.Chain) {
	for _, ch := range all {
		if ch.Table.Name == t.Name && ch.Table.Family == t.Family {
			chains = append(chains, ch)
		}
	}
	return chains
}

// A foreignFirewall is a table of somebody else's with a chain that closes the way.
type foreignFirewall struct {
	table  *nftables.Table
	chain  string
	chains []*nftables.Chain // all of the table
}

// knows tells whether a rule of it names our interfaces as those that packets come from: its owner has decided.
func (f foreignFirewall) knows(c *nftables.Conn, prefix string) (bool, error) {
	for _, ch := range f.chains {
		rules, err := c.GetRules(f.table, ch)
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(rules, func(r *nftables.Rule) bool { return matchesInput(r.Exprs, prefix) }) {
			return true, nil
		}
	}
	return false, nil
}

// matchesInput tells `iifname "pv*"`: a comparison with the beginning of the name, without its final zero.
func matchesInput(exprs []expr.Any, prefix string) bool {
	input := false
	for _, e := range exprs {
		switch e := e.(type) {
		case *expr.Meta:
			input = e.Key == expr.MetaKeyIIFNAME
		case *expr.Cmp:
			if input && e.Op == expr.CmpOpEq && len(e.Data) > 0 && bytes.HasPrefix([]byte(prefix), e.Data) {
				return true
			}
		}
	}
	return false
}

func (f foreignFirewall) has(chain string) bool {
	return slices.ContainsFunc(f.chains, func(ch *nftables.Chain) bool { return ch.Name == chain })
}

func (f foreignFirewall) warning(prefix string) Warning {
	name, fix := f.fix(prefix)
	return Warning{
		Text: fmt.Sprintf("%s drops what is forwarded: containers have no internet. It is not overruled.", name),
		Fix:  fix,
	}
}

// fix names the firewall, and its own command that lets packets from our interfaces pass. The chains are those
// that ufw, firewalld (with nftables), Docker and iptables make; each reads a final plus as any rest of a name.
func (f foreignFirewall) fix(prefix string) (name, command string) {
	iptables := "iptables"
	if f.table.Family == nftables.TableFamilyIPv6 {
		iptables = "ip6tables"
	}
	pair := func(chain string) string {
		return fmt.Sprintf("%[1]s -I %[2]s -i %[3]s+ -j ACCEPT; %[1]s -I %[2]s -o %[3]s+ -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT", iptables, chain, prefix)
	}
	switch {
	case f.has("ufw-user-forward"), f.has("ufw6-user-forward"):
		return "ufw", fmt.Sprintf("ufw route allow in on %s+", prefix)
	case f.table.Name == "firewalld":
		return "firewalld", fmt.Sprintf("firewall-cmd --permanent --zone=trusted --add-interface=%s+ && firewall-cmd --reload", prefix)
	case f.has("DOCKER-USER"):
		return "Docker's firewall", pair("DOCKER-USER")
	case f.chain == "FORWARD":
		return iptables, pair("FORWARD")
	}
	where := fmt.Sprintf("%s %s %s", familyName(f.table.Family), f.table.Name, f.chain)
	rules := fmt.Sprintf("nft insert rule %[1]s iifname %[2]q accept; nft insert rule %[1]s oifname %[2]q ct state established,related accept", where, prefix+"*")
	return fmt.Sprintf("The host's firewall (chain %s)", strings.TrimSpace(where)), rules
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
