package network

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The host tracks a bounded number of connections for everybody (nf_conntrack_max): one container that
// sends to every port of the world would leave none to its neighbours and to the router. So each has a
// share, counted in a table of its own, which the minutely replacement of the rules leaves alone:
//
//	table inet paas-<ID>-flows
//	  set flows { type ifname; dynamic }
//	  container, new connection: add @flows { iifname ct count over SHARE } drop
const (
	shareOfFlows = 16    // a container gets a sixteenth of all, and
	fewestFlows  = 1_024 // no fewer,
	mostFlows    = 8_192 // no more
	flowsSet     = "flows"
	maxFlows     = 65_535 // members of the set
)

func (n *Network) flowsTable() *nftables.Table {
	return &nftables.Table{Name: n.table().Name + "-flows", Family: nftables.TableFamilyINet}
}

// limitFlows makes the table unless it is there. A kernel without connlimit goes without, and Warnings
// tells.
func (n *Network) limitFlows() error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	tables, err := c.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return err
	}
	for _, t := range tables {
		if t.Name == n.flowsTable().Name {
			return nil
		}
	}
	if err := n.addFlows(c); err != nil {
		return err
	}
	err = c.Flush()
	n.unlimited.Store(errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP))
	if n.unlimited.Load() {
		return nil
	}
	return err
}

func (n *Network) addFlows(c *nftables.Conn) error {
	t := c.AddTable(n.flowsTable())
	set := &nftables.Set{Table: t, ID: 1, Name: flowsSet, KeyType: nftables.TypeIFName, Dynamic: true, Size: maxFlows}
	if err := c.AddSet(set, nil); err != nil {
		return err
	}
	for name, hook := range map[string]*nftables.ChainHook{
		"input": nftables.ChainHookInput, "forward": nftables.ChainHookForward,
	} {
		chain := c.AddChain(&nftables.Chain{
			Name: name, Table: t, Type: nftables.ChainTypeFilter, Hooknum: hook,
			Priority: nftables.ChainPriorityRef(*nftables.ChainPriorityFilter - 1),
		})
		c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: join(from(n.prefix()), state(expr.CtStateBitNEW), over(set, flowShare()), drop())})
	}
	return nil
}

// over counts the packet's connection to its interface and matches when that has more than the share.
func over(set *nftables.Set, share uint32) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Dynset{
			SrcRegKey: 1, SetName: set.Name, SetID: set.ID, Operation: uint32(unix.NFT_DYNSET_OP_ADD),
			Exprs: []expr.Any{&expr.Connlimit{Count: share, Flags: expr.NFT_CONNLIMIT_F_INV}},
		},
	}
}

func flowShare() uint32 {
	text, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_max")
	var all uint32
	if _, scanErr := fmt.Sscan(strings.TrimSpace(string(text)), &all); err != nil || scanErr != nil {
		return fewestFlows
	}
	return min(max(all/shareOfFlows, fewestFlows), mostFlows)
}

func (n *Network) deleteFlows() error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	c.AddTable(n.flowsTable()) // so that there is one
	c.DelTable(n.flowsTable())
	return c.Flush()
}
