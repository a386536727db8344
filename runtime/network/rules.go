package network

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The sets that rules refer to.
const (
	endpointsSet = "endpoints" // interface . address: who may send with which source
	resolversSet = "resolvers" // nameservers that containers may ask
)

func (n *Network) table() *nftables.Table {
	return &nftables.Table{Name: "paas-" + n.id, Family: nftables.TableFamilyINet}
}

func (n *Network) endpoints() (*nftables.Set, error) {
	key, err := nftables.ConcatSetType(nftables.TypeIFName, nftables.TypeIPAddr)
	return &nftables.Set{Table: n.table(), Name: endpointsSet, KeyType: key, Concatenation: true}, err
}

func (n *Network) nameservers() *nftables.Set {
	return &nftables.Set{Table: n.table(), Name: resolversSet, KeyType: nftables.TypeIPAddr}
}

// replaceTable puts the whole table into the kernel in one transaction: no packet meets half of it.
func (n *Network) replaceTable(numbers []uint32, servers []netip.Addr) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	t := n.table()
	c.AddTable(t) // so that there is one to delete
	c.DelTable(t)
	c.AddTable(t)
	endpoints, err := n.endpoints()
	if err != nil {
		return err
	}
	resolvers := n.nameservers()
	var members []nftables.SetElement
	for _, number := range numbers {
		members = append(members, member(n.iface(number), n.addr(number)))
	}
	if err := errors.Join(c.AddSet(endpoints, members), c.AddSet(resolvers, addrMembers(servers))); err != nil {
		return err
	}
	n.addGuard(c, endpoints)
	n.addInput(c, resolvers)
	n.addForward(c, resolvers)
	n.addNAT(c)
	return c.Flush()
}

// chain adds a chain on a hook; what no rule of it decides is left to others.
func (n *Network) chain(c *nftables.Conn, name string, hook *nftables.ChainHook, priority *nftables.ChainPriority, kind nftables.ChainType) func(...[]expr.Any) {
	accept := nftables.ChainPolicyAccept
	chain := c.AddChain(&nftables.Chain{Name: name, Table: n.table(), Type: kind, Hooknum: hook, Priority: priority, Policy: &accept})
	return func(parts ...[]expr.Any) {
		c.AddRule(&nftables.Rule{Table: chain.Table, Chain: chain, Exprs: join(parts)})
	}
}

// addGuard drops forged sources before anything else looks at the packet.
func (n *Network) addGuard(c *nftables.Conn, endpoints *nftables.Set) {
	rule := n.chain(c, "guard", nftables.ChainHookPrerouting, nftables.ChainPriorityRaw, nftables.ChainTypeFilter)
	rule(from(n.prefix()), notIPv4(), drop())
	rule(from(n.prefix()), sourceNotIn(endpoints), drop())
}

func (n *Network) addInput(c *nftables.Conn, resolvers *nftables.Set) {
	rule := n.chain(c, "input", nftables.ChainHookInput, nftables.ChainPriorityFilter, nftables.ChainTypeFilter)
	rule(from(n.prefix()), reply(), accept())
	rule(from(n.prefix()), destinationIn(resolvers), port(unix.IPPROTO_UDP, 53), accept())
	rule(from(n.prefix()), destinationIn(resolvers), port(unix.IPPROTO_TCP, 53), accept())
	rule(from(n.prefix()), drop())
}

func (n *Network) addForward(c *nftables.Conn, resolvers *nftables.Set) {
	linkLocal := netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254}), 16)
	rule := n.chain(c, "forward", nftables.ChainHookForward, nftables.ChainPriorityFilter, nftables.ChainTypeFilter)
	rule(from(n.prefix()), to(n.prefix()), drop())
	rule(from(n.prefix()), destinationIn(resolvers), port(unix.IPPROTO_UDP, 53), accept())
	rule(from(n.prefix()), destinationIn(resolvers), port(unix.IPPROTO_TCP, 53), accept())
	rule(from(n.prefix()), destinationWithin(linkLocal), drop())
	rule(from(n.prefix()), accept())
	rule(to(n.prefix()), reply(), accept())
	rule(to(n.prefix()), drop())
}

func (n *Network) addNAT(c *nftables.Conn) {
	rule := n.chain(c, "nat", nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource, nftables.ChainTypeNAT)
	rule(notTo(n.prefix()), sourceWithin(n.subnet), []expr.Any{&expr.Masq{}})
}

// block is how many numbers are admitted by one transaction: one costs the kernel milliseconds, whatever
// its size.
const block = 64

// admit lets the endpoint's packets pass. What the table says of a number is the same whoever has it, and
// nothing while nobody has, so it stays when the endpoint goes.
func (n *Network) admit(number uint32) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.admitted[number] {
		return nil
	}
	var members []nftables.SetElement
	var numbers []uint32
	for m := number; m < min(number+block, n.count()+firstIndex); m++ {
		if !n.admitted[m] {
			members, numbers = append(members, member(n.iface(m), n.addr(m))), append(numbers, m)
		}
	}
	if err := n.addMembers(members); err != nil {
		return fmt.Errorf("admit %s to nftables table %s: %w", n.iface(number), n.table().Name, err)
	}
	n.remember(numbers)
	return nil
}

func (n *Network) remember(numbers []uint32) {
	for _, number := range numbers {
		n.admitted[number] = true
	}
}

func (n *Network) addMembers(members []nftables.SetElement) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	s, err := n.endpoints()
	if err != nil {
		return err
	}
	if err := c.SetAddElements(s, members); err != nil {
		return err
	}
	return c.Flush()
}

// allowResolvers replaces the set of nameservers.
func (n *Network) allowResolvers(servers []netip.Addr) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	s := n.nameservers()
	c.FlushSet(s)
	if err := c.SetAddElements(s, addrMembers(servers)); err != nil {
		return err
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("set nameservers of nftables table %s: %w", n.table().Name, err)
	}
	return nil
}

func (n *Network) deleteTable() error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	c.AddTable(n.table()) // so that there is one
	c.DelTable(n.table())
	return c.Flush()
}

// Warnings tells what on this host may keep containers from the network, a sentence each. It sees
// nftables rules (and those of iptables-nft, ufw and Docker, which are the same) and no others.
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
		if dropsForwarded(ch) {
			warnings = append(warnings, fmt.Sprintf("The host's firewall (nftables table %q, chain %q) drops forwarded packets by policy: "+
				"unless it accepts what comes from and goes to interfaces %q, containers have no internet.", ch.Table.Name, ch.Name, n.prefix()+"*"))
		}
	}
	if _, servers := readResolv(); len(servers) == 0 {
		warnings = append(warnings, "The host names no nameserver that containers can reach (IPv4, not on loopback): they cannot resolve names.")
	}
	if n.unlimited.Load() {
		warnings = append(warnings, "The kernel cannot count connections (nft_connlimit): one container may take all that the host can track.")
	}
	return warnings, nil
}

func dropsForwarded(c *nftables.Chain) bool {
	return c.Hooknum != nil && *c.Hooknum == *nftables.ChainHookForward &&
		c.Policy != nil && *c.Policy == nftables.ChainPolicyDrop && c.Table.Family != nftables.TableFamilyIPv6 &&
		c.Table.Family != nftables.TableFamilyBridge
}
