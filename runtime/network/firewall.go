package network

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// Barred implements platform.Walls: what of the host's firewalls keeps containers from the internet, if one does. Most
// apps never miss IPv6.
func (n *Network) Barred() (text, fix string) {
	closed, err := n.closedWays()
	i := slices.IndexFunc(closed, func(f foreignFirewall) bool { return f.base.Table.Family != nftables.TableFamilyIPv6 })
	if err != nil || i < 0 {
		return "", ""
	}
	w := closed[i].warning()
	return w.Text, "as root on the server: " + w.Fix
}

// firewallWarnings is one for each command that opens a way.
func (n *Network) firewallWarnings() (warnings []Warning, err error) {
	closed, err := n.closedWays()
	for _, f := range closed {
		w := f.warning() // ufw has one command for both ways, and for IPv6
		if !slices.ContainsFunc(warnings, func(o Warning) bool { return o.Fix == w.Fix }) {
			warnings = append(warnings, w)
		}
	}
	return warnings, err
}

// closedWays are the chains that end the way of containers' packets and have no rule for them. An accept of ours in
// another table cannot overrule it, and we do not write into other people's.
func (n *Network) closedWays() (list []foreignFirewall, err error) {
	c, err := nftables.New()
	if err != nil {
		return nil, err
	}
	chains, err := c.ListChains()
	if err != nil {
		return nil, err
	}
	for _, ch := range chains {
		f := foreignFirewall{conn: c, base: ch, chains: sameTable(chains, ch.Table), names: n.namesAt, prefix: n.prefix()}
		closed, err := f.closed()
		if err != nil {
			return nil, err
		}
		if closed {
			list = append(list, f)
		}
	}
	return list, nil
}

func sameTable(all []*nftables.Chain, t *nftables.Table) (chains []*nftables.Chain) {
	for _, ch := range all {
		if ch.Table.Name == t.Name && ch.Table.Family == t.Family {
			chains = append(chains, ch)
		}
	}
	return chains
}

// A foreignFirewall is a chain of somebody else's that containers' packets have to pass: those to the world where
// it forwards, questions for names where it is for input.
type foreignFirewall struct {
	conn   *nftables.Conn
	base   *nftables.Chain
	chains []*nftables.Chain // all of its table
	prefix string            // of our interfaces
	names  uint16            // the port that our name server listens on, 0 for none
}

// closed tells a chain that drops by policy, as iptables' do, or by its last rule, as firewalld's, and has no rule
// about packets from our interfaces: if it has, its owner has decided.
func (f foreignFirewall) closed() (bool, error) {
	if !f.concerns() {
		return false, nil
	}
	rules, err := f.conn.GetRules(f.base.Table, f.base)
	if err != nil {
		return false, err
	}
	drops := f.base.Policy != nil && *f.base.Policy == nftables.ChainPolicyDrop
	if !drops && (len(rules) == 0 || !endsAll(rules[len(rules)-1].Exprs)) {
		return false, nil
	}
	known, err := f.knows(rules, map[string]bool{f.base.Name: true})
	return !known, err
}

func (f foreignFirewall) concerns() bool {
	if f.base.Hooknum == nil || f.base.Table.Family == nftables.TableFamilyBridge {
		return false
	}
	return f.forwards() || *f.base.Hooknum == *nftables.ChainHookInput && f.names != 0 && f.base.Table.Family != nftables.TableFamilyIPv6
}

func (f foreignFirewall) forwards() bool { return *f.base.Hooknum == *nftables.ChainHookForward }

// knows looks for a rule that lets our packets pass: one that names our interfaces as those they come from, or all of
// them. It looks also in the chains that all packets are led to; seen are those that need no other look.
func (f foreignFirewall) knows(rules []*nftables.Rule, seen map[string]bool) (bool, error) {
	for _, rule := range rules {
		r := f.read(rule.Exprs)
		if r.letsPass(f.forwards()) {
			return true, nil
		}
		if r.others || r.verdict.Chain == "" || seen[r.verdict.Chain] {
			continue
		}
		seen[r.verdict.Chain] = true
		further, err := f.conn.GetRules(f.base.Table, &nftables.Chain{Name: r.verdict.Chain, Table: f.base.Table})
		if err != nil {
			return false, err
		}
		if known, err := f.knows(further, seen); known || err != nil {
			return known, err
		}
	}
	return false, nil
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

// reading is what a rule says about our packets.
type reading struct {
	ours    bool         // it names our interfaces as those that packets come from
	others  bool         // it has other conditions, or names others' interfaces
	verdict expr.Verdict // without one the rule goes on
}

// read understands `iifname "pv*"`: a comparison with the beginning of the name, without its final zero.
func (f foreignFirewall) read(exprs []expr.Any) reading {
	r := reading{verdict: expr.Verdict{Kind: expr.VerdictContinue}}
	input := false
	for _, e := range exprs {
		switch e := e.(type) {
		case *expr.Counter:
		case *expr.Meta:
			input = e.Key == expr.MetaKeyIIFNAME
			r.others = r.others || !input
		case *expr.Cmp:
			named := input && e.Op == expr.CmpOpEq && len(e.Data) > 0 && bytes.HasPrefix([]byte(f.prefix), e.Data)
			r.ours, r.others = r.ours || named, r.others || input && !named
		case *expr.Verdict:
			r.verdict = *e
		default:
			r.others = true
		}
	}
	return r
}

// letsPass: of what is forwarded a rule with other conditions lets pass only some, of questions it may be for ours.
func (r reading) letsPass(forwarded bool) bool {
	switch r.verdict.Kind {
	case expr.VerdictAccept:
		return !r.others || r.ours && !forwarded
	case expr.VerdictJump, expr.VerdictGoto:
		return r.ours && (!r.others || !forwarded)
	}
	return false
}

func (f foreignFirewall) has(chain string) bool {
	return slices.ContainsFunc(f.chains, func(ch *nftables.Chain) bool { return ch.Name == chain })
}

func (f foreignFirewall) warning() Warning {
	name, fix := f.fix()
	if !f.forwards() {
		return Warning{Text: name + " drops what apps and builds ask the server: they cannot resolve names", Fix: fix}
	}
	return Warning{Text: name + " drops what apps and builds send to the internet", Fix: fix}
}

// fix names the firewall, and its own command that lets packets from our interfaces pass. The chains are those
// that ufw, firewalld (with nftables), Docker and iptables make; each reads a final plus as any rest of a name.
func (f foreignFirewall) fix() (name, command string) {
	switch {
	case f.has("ufw-user-forward"), f.has("ufw6-user-forward"):
		return "ufw", fmt.Sprintf("ufw route allow in on %[1]s+ && ufw allow in on %[1]s+ to any port %[2]d", f.prefix, f.names)
	case f.base.Table.Name == "firewalld":
		return "firewalld", fmt.Sprintf("firewall-cmd --permanent --zone=trusted --add-interface=%s+ && firewall-cmd --reload", f.prefix)
	case f.has("DOCKER-USER"):
		return "Docker's firewall", f.iptables("DOCKER-USER")
	case f.base.Name == "FORWARD", f.base.Name == "INPUT":
		return f.command(), f.iptables(f.base.Name)
	}
	return fmt.Sprintf("the host's firewall (table %s, chain %s)", f.base.Table.Name, f.base.Name), f.rules()
}

func (f foreignFirewall) command() string {
	if f.base.Table.Family == nftables.TableFamilyIPv6 {
		return "ip6tables"
	}
	return "iptables"
}

func (f foreignFirewall) iptables(chain string) string {
	rule := f.command() + " -I " + chain
	if !f.forwards() {
		return fmt.Sprintf("%[1]s -i %[2]s+ -p udp --dport %[3]d -j ACCEPT; %[1]s -i %[2]s+ -p tcp --dport %[3]d -j ACCEPT", rule, f.prefix, f.names)
	}
	return fmt.Sprintf("%[1]s -i %[2]s+ -j ACCEPT; %[1]s -o %[2]s+ -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT", rule, f.prefix)
}

func (f foreignFirewall) rules() string {
	rule := fmt.Sprintf("nft insert rule %s %s %s", familyName(f.base.Table.Family), f.base.Table.Name, f.base.Name)
	if !f.forwards() {
		return fmt.Sprintf("%s iifname %q meta l4proto { tcp, udp } th dport %d accept", rule, f.prefix+"*", f.names)
	}
	return fmt.Sprintf("%[1]s iifname %[2]q accept; %[1]s oifname %[2]q ct state established,related accept", rule, f.prefix+"*")
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
