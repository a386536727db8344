package network

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"paas/platform"
)

// SetPolicies replaces the policies of all apps in one step; an app without one reaches the internet and
// nobody else. A link that is missing now ends the connections over it; connections of apps with a list of
// destinations begin anew and must pass it. It blocks for the kernel's transaction, some milliseconds.
func (n *Network) SetPolicies(all []platform.Policy) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	before, learned := n.policies, n.learned
	n.policies = map[platform.AppName]platform.Policy{}
	for _, p := range all {
		n.policies[p.App] = p
	}
	n.learned = learned.keep(n.policies)
	if err := n.dropGroups(); err != nil {
		n.log.Error("forget apps that are gone", "error", err) // their numbers stay taken, no more
	}
	if err := n.rebuild(); err != nil {
		n.policies, n.learned = before, learned
		return fmt.Errorf("set policies of network %s: %w", n.id, err)
	}
	return n.cutLimited()
}

// cutLimited forgets the connections that apps with a list have: a rule that lets what is established pass
// does not know them any more.
func (n *Network) cutLimited() error {
	sources := connections{}
	for _, number := range n.people.find(func(r resident) bool { return n.policies[r.App].Limited }) {
		sources[n.addr(number)] = true
		sources[n.addr6(number)] = true
	}
	if len(sources) == 0 {
		return nil
	}
	for _, family := range []netlink.InetFamily{unix.AF_INET, unix.AF_INET6} {
		if _, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, family, sources); err != nil {
			return fmt.Errorf("cut connections: %w", err)
		}
	}
	return nil
}

// connections are those that were opened by any of the addresses.
type connections map[netip.Addr]bool

// MatchConntrackFlow implements netlink.CustomConntrackFilter. What goes to containers is left alone: it is
// their answers to the router.
func (c connections) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	source, ok := netip.AddrFromSlice(flow.Forward.SrcIP)
	return ok && c[source.Unmap()]
}

// linked are the elements of the sets links and ports. Instances of one app reach each other.
func (n *Network) linked() (pairs, ports []nftables.SetElement) {
	seen := map[string]bool{}
	once := func(list *[]nftables.SetElement, e nftables.SetElement) {
		if !seen[string(e.Key)] { // the kernel refuses doubles
			seen[string(e.Key)] = true
			*list = append(*list, e)
		}
	}
	for _, app := range n.groups.apps() {
		links := append(slices.Clone(n.policies[app].Links), platform.Link{App: app, To: app})
		for _, l := range links {
			for _, pair := range n.groups.pairs(app, l) {
				if l.Port == 0 {
					once(&pairs, element(pair))
					continue
				}
				once(&ports, element(pair, portBytes(unix.IPPROTO_TCP, uint16(l.Port))))
				once(&ports, element(pair, portBytes(unix.IPPROTO_UDP, uint16(l.Port))))
			}
		}
	}
	return pairs, ports
}

// listChain is where packets of an app with a list go.
func listChain(app platform.AppName) string { return "egress-" + string(app) }

// addLists adds a chain for each app with a list and returns which group goes where.
func (b *builder) addLists() ([]nftables.SetElement, error) {
	var elements []nftables.SetElement
	for app, p := range b.n.policies {
		if !p.Limited {
			continue
		}
		chain := b.branch(listChain(app))
		if err := b.addList(chain, p); err != nil {
			return nil, err
		}
		for _, group := range b.n.groups.ofApp(app, "") {
			elements = append(elements, nftables.SetElement{
				Key: groupBytes(group), VerdictData: &expr.Verdict{Kind: expr.VerdictGoto, Chain: chain.Name},
			})
		}
	}
	return elements, nil
}

func (b *builder) addList(chain *nftables.Chain, p platform.Policy) error {
	for _, e := range p.Allow {
		if e.Host != "" {
			continue
		}
		if e.Port == 0 {
			b.rule(chain, destinationWithin(e.Prefix), accept())
			continue
		}
		for _, proto := range []byte{unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
			b.rule(chain, destinationWithin(e.Prefix), port(proto, uint16(e.Port)), accept())
		}
	}
	if hasNames(p) {
		if err := b.addLearned(chain, p.App); err != nil {
			return err
		}
	}
	b.refuse(chain, prohibited)
	return nil
}

func hasNames(p platform.Policy) bool {
	return p.Limited && slices.ContainsFunc(p.Allow, func(e platform.Egress) bool { return e.Host != "" })
}
