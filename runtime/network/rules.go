package network

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

func (n *Network) table() *nftables.Table {
	return &nftables.Table{Name: "paas-" + n.id, Family: nftables.TableFamilyINet}
}

// sets are what the rules look things up in.
type sets struct {
	links  *nftables.Set // group . group: whose instances reach whose
	ports  *nftables.Set // the same, on one port
	doors  *nftables.Set // address : port, where port 80 of an instance leads
	doors6 *nftables.Set
	egress *nftables.Set // group : chain, of apps with a list
}

func (n *Network) sets() sets {
	group := nftables.TypeDevGroup
	set := func(name string, data nftables.SetDatatype, types ...nftables.SetDatatype) *nftables.Set {
		s := &nftables.Set{Table: n.table(), Name: name, KeyType: types[0], DataType: data, IsMap: data.Name != ""}
		if len(types) > 1 {
			s.KeyType, s.Concatenation = nftables.MustConcatSetType(types...), true
		}
		return s
	}
	none := nftables.SetDatatype{}
	all := sets{
		links:  set("links", none, group, group),
		ports:  set("ports", none, group, group, nftables.TypeInetProto, nftables.TypeInetService),
		doors:  set("doors", nftables.TypeInetService, nftables.TypeIPAddr),
		doors6: set("doors6", nftables.TypeInetService, nftables.TypeIP6Addr),
		egress: set("egress", nftables.TypeVerdict, group),
	}
	// Within a transaction a set goes by its ID. The library would give it one, but not safely to several
	// networks at a time.
	for i, s := range []*nftables.Set{all.links, all.ports, all.doors, all.doors6, all.egress} {
		s.ID = uint32(i + 1)
	}
	return all
}

// builder writes the table's chains into one transaction.
type builder struct {
	*nftables.Conn
	n      *Network
	rules  int    // how many were added
	lastID uint32 // of a set
}

// rebuild puts the whole table into the kernel in one transaction: no packet meets half of it. All of it
// follows from the policies, the groups, the resolvers and what was learned. The caller holds mu.
func (n *Network) rebuild() error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	b := &builder{Conn: c, n: n, lastID: 100}
	t := n.table()
	b.AddTable(t) // so that there is one to delete
	b.DelTable(t)
	b.AddTable(t)
	s := n.sets()
	if err := b.addSets(s); err != nil {
		return err
	}
	b.addGuard()
	b.addNames(s)
	if err := errors.Join(b.addInput(), b.addForward(s)); err != nil {
		return err
	}
	b.addNAT()
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write nftables table %s: %w", t.Name, err)
	}
	n.rules = b.rules
	return nil
}

func (b *builder) addSets(s sets) error {
	pairs, ports := b.n.linked()
	doors, doors6 := b.n.doorElements()
	return errors.Join(b.AddSet(s.links, pairs), b.AddSet(s.ports, ports), b.AddSet(s.doors, doors), b.AddSet(s.doors6, doors6))
}

// chain adds a chain on a hook; what no rule of it decides is left to others.
func (b *builder) chain(name string, hook *nftables.ChainHook, priority *nftables.ChainPriority, kind nftables.ChainType) *nftables.Chain {
	accept := nftables.ChainPolicyAccept
	return b.AddChain(&nftables.Chain{Name: name, Table: b.n.table(), Type: kind, Hooknum: hook, Priority: priority, Policy: &accept})
}

// branch adds a chain that others jump to.
func (b *builder) branch(name string) *nftables.Chain {
	return b.AddChain(&nftables.Chain{Name: name, Table: b.n.table()})
}

func (b *builder) rule(chain *nftables.Chain, parts ...[]expr.Any) {
	b.rules++
	b.AddRule(&nftables.Rule{Table: chain.Table, Chain: chain, Exprs: join(parts...)})
}

// fromUs adds a rule for what containers send.
func (b *builder) fromUs(chain *nftables.Chain, parts ...[]expr.Any) {
	b.rule(chain, from(b.n.prefix()), join(parts...))
}

// Refusals that are not TCP's: an administrator does not want it; there is nobody, as at an address that
// nobody has.
const (
	prohibited  = unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED
	unreachable = unix.NFT_REJECT_ICMPX_HOST_UNREACH
)

// refuse adds rules that answer at once. TCP gets a reset: a connecting socket misses an ICMP error that
// comes back before the system call that sent the packet has returned, as it does from the same host.
func (b *builder) refuse(chain *nftables.Chain, code uint8, parts ...[]expr.Any) {
	b.rule(chain, join(parts...), protocol(unix.IPPROTO_TCP), []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_TCP_RST}})
	b.rule(chain, join(parts...), []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: code}})
}

// addGuard drops what a container sends after its end, and forged sources, before anything else looks at the packet: the host's own routes say which
// addresses live behind an interface. Link-local IPv6 lives behind all of them, and containers have none.
func (b *builder) addGuard() {
	guard := b.chain("guard", nftables.ChainHookPrerouting, nftables.ChainPriorityRaw, nftables.ChainTypeFilter)
	b.fromUs(guard, compare(&expr.Meta{Key: expr.MetaKeyIIFGROUP, Register: 1}, expr.CmpOpEq, groupBytes(endedGroup)), drop())
	b.fromUs(guard, sourceElsewhere(), drop())
	b.fromUs(guard, sourceWithin(netip.MustParsePrefix("fe80::/10")), drop())
}

// addNames leads questions for names to the host's own resolver while nobody listens at the gateway (the
// daemon is being replaced), and port 80 of an instance to the port that it listens on.
func (b *builder) addNames(s sets) {
	chain := b.chain("redirect", nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest, nftables.ChainTypeNAT)
	for _, proto := range []byte{unix.IPPROTO_UDP, unix.IPPROTO_TCP} {
		question := join(destinationIs(b.n.gateway()), port(proto, namePort))
		if b.n.namesAt != namePort {
			b.fromUs(chain, question, redirect(b.n.namesAt))
			continue
		}
		b.fromUs(chain, question, hasSocket(), accept())
		for _, r := range b.n.resolvers[:min(1, len(b.n.resolvers))] {
			b.fromUs(chain, question, divert(r))
		}
	}
	for _, door := range []*nftables.Set{s.doors, s.doors6} {
		a := netip.IPv4Unspecified()
		if door == s.doors6 {
			a = netip.IPv6Unspecified()
		}
		b.fromUs(chain, family(a), port(unix.IPPROTO_TCP, 80), []expr.Any{
			destination(a, 1), &expr.Lookup{SourceRegister: 1, DestRegister: 1, IsDestRegSet: true, SetName: door.Name, SetID: door.ID},
			&expr.NAT{Type: expr.NATTypeDestNAT, Family: natFamily(a), RegProtoMin: 1, Specified: true},
		})
	}
}

func natFamily(a netip.Addr) uint32 {
	if a.Is6() {
		return unix.NFPROTO_IPV6
	}
	return unix.NFPROTO_IPV4
}

func divert(a netip.Addr) []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: 1, Data: a.AsSlice()}, &expr.NAT{Type: expr.NATTypeDestNAT, Family: natFamily(a), RegAddrMin: 1},
	}
}

func redirect(port uint16) []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: 1, Data: []byte{byte(port >> 8), byte(port)}},
		&expr.Redir{RegisterProtoMin: 1, Flags: unix.NF_NAT_RANGE_PROTO_SPECIFIED},
	}
}

// nameServers lets containers ask the nameservers in use, wherever these are.
func (b *builder) nameServers(chain *nftables.Chain) {
	for _, r := range b.n.resolvers {
		b.fromUs(chain, destinationIs(r), port(unix.IPPROTO_UDP, namePort), accept())
		b.fromUs(chain, destinationIs(r), port(unix.IPPROTO_TCP, namePort), accept())
	}
}

func (b *builder) addInput() error {
	input := b.chain("input", nftables.ChainHookInput, nftables.ChainPriorityFilter, nftables.ChainTypeFilter)
	if err := b.limitQuestions(input); err != nil { // first: what goes on asking is a reply soon
		return err
	}
	b.fromUs(input, reply(), accept())
	for _, proto := range []byte{unix.IPPROTO_UDP, unix.IPPROTO_TCP} {
		b.fromUs(input, destinationIs(b.n.gateway()), port(proto, b.n.namesAt), accept())
	}
	b.nameServers(input)
	b.refuse(input, prohibited, from(b.n.prefix()))
	return nil
}

func (b *builder) addForward(s sets) error {
	forward := b.chain("forward", nftables.ChainHookForward, nftables.ChainPriorityFilter, nftables.ChainTypeFilter)
	between, out := b.branch("between"), b.branch("out")
	b.fromUs(forward, to(b.n.prefix()), jump(between.Name))
	b.fromUs(forward, jump(out.Name))
	b.rule(forward, to(b.n.prefix()), reply(), accept())
	b.rule(forward, to(b.n.prefix()), drop())
	b.addBetween(between, s)
	return b.addOut(out, s)
}

// addBetween looks at every packet that goes in the direction of its connection: a link that is removed
// ends the connections over it at once.
func (b *builder) addBetween(between *nftables.Chain, s sets) {
	b.rule(between, answering(), state(expr.CtStateBitESTABLISHED), accept())
	b.rule(between, state(expr.CtStateBitRELATED), accept())
	b.rule(between, groupPair(), found(s.links), accept())
	b.rule(between, groupPair(), originalPort(key+2), found(s.ports), accept())
	b.refuse(between, unreachable)
}

// addOut is the way to everywhere but the host and other containers. What a service of the host publishes
// by redirection is a service of the host.
func (b *builder) addOut(out *nftables.Chain, s sets) error {
	b.nameServers(out)
	for _, p := range secretKeepers() {
		b.refuse(out, prohibited, destinationWithin(p))
	}
	b.rule(out, reply(), accept())
	b.refuse(out, prohibited, redirected())
	elements, err := b.addLists()
	if err != nil {
		return err
	}
	if err := b.AddSet(s.egress, elements); err != nil {
		return err
	}
	b.rule(out, []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFGROUP, Register: 1},
		&expr.Lookup{SourceRegister: 1, DestRegister: unix.NFT_REG_VERDICT, IsDestRegSet: true, SetName: s.egress.Name, SetID: s.egress.ID},
	})
	b.rule(out, accept())
	return nil
}

// secretKeepers are where clouds hand out a machine's credentials: link-local addresses on most, and those
// that AWS (IPv6), Google (IPv6), Alibaba, Oracle and Azure have beside.
func secretKeepers() []netip.Prefix {
	var list []netip.Prefix
	for _, s := range []string{
		"169.254.0.0/16", "fd00:ec2::/32", "fd20:ce::254/128", "100.100.100.200/32", "192.0.0.192/32", "168.63.129.16/32",
	} {
		list = append(list, netip.MustParsePrefix(s))
	}
	return list
}

func (b *builder) addNAT() {
	nat := b.chain("nat", nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource, nftables.ChainTypeNAT)
	b.rule(nat, notTo(b.n.prefix()), sourceWithin(b.n.subnet), []expr.Any{&expr.Masq{}})
	if b.n.prefix6.IsValid() {
		b.rule(nat, notTo(b.n.prefix()), sourceWithin(b.n.prefix6), []expr.Any{&expr.Masq{}})
	}
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
