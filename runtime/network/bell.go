package network

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"paas/platform"
)

// Who calls an app that sleeps is heard by a table of its own, which the replacement of the rules leaves alone:
//
//	table inet paas-<ID>-bell
//	  set heard  { type devgroup; dynamic, timeout }   whom containers called, and by what is left of the timeout when
//	  set asleep { type devgroup }
//	  chain ring-<GROUP>
//	    container -> container, in the direction of its connection, SYN or data:
//	      update @heard { oifgroup }    oifgroup @asleep log group GROUP
//
// The kernel of a frozen container takes connections and data by itself, so there is no packet to keep: a copy
// of its head comes to us by nfnetlink_log, and the app is woken. The table looks at packets that the walls have
// let pass.
const (
	heardFor     = 31 * 24 * time.Hour // longer than anybody may idle
	heardMost    = 65_535
	heardJitter  = 50 * time.Millisecond // of what the kernel says is left of a timeout
	bellPriority = 10                    // after the walls

	firstLogGroup = 20_000 // other software's groups have small numbers
	logGroups     = 40_000
	logTries      = 16

	dozeWait = 4500 * time.Millisecond // a C library asks again after five seconds
)

// bell is who dozes and what was heard.
type bell struct {
	logGroup uint16
	rings    chan platform.AppName
	deaf     atomic.Bool // this kernel has no nfnetlink_log

	mu     sync.Mutex
	dozing map[platform.AppName]dozer
	heard  map[platform.AppName]time.Time
}

// dozer is an app that sleeps.
type dozer struct {
	types []platform.ProcessType
	gone  bool
	awake chan struct{} // closed by Rouse
}

func newBell() *bell {
	return &bell{
		rings:  make(chan platform.AppName, 64),
		dozing: map[platform.AppName]dozer{}, heard: map[platform.AppName]time.Time{},
	}
}

// Rings implements platform.Doorbell.
func (n *Network) Rings() <-chan platform.AppName { return n.bell.rings }

// ring blocks until it was heard.
func (n *Network) ring(app platform.AppName) {
	select {
	case n.bell.rings <- app:
	case <-n.closed:
	}
}

// Doze implements platform.Doorbell. On a kernel that cannot tell who calls a sleeper nobody sleeps.
func (n *Network) Doze(app platform.AppName, types []platform.ProcessType, gone bool) error {
	if n.bell.deaf.Load() {
		return platform.Errorf(platform.Failed, "apps cannot sleep on this host: its kernel has no nfnetlink_log").
			WithHint("modprobe nfnetlink_log, then restart paas")
	}
	n.bell.mu.Lock()
	d, was := n.bell.dozing[app]
	if !was {
		d.awake = make(chan struct{})
	}
	d.types, d.gone = types, gone
	n.bell.dozing[app] = d
	n.bell.mu.Unlock()
	return n.changeAsleep(n.groupsOf(app, types), true)
}

// Rouse implements platform.Doorbell.
func (n *Network) Rouse(app platform.AppName) error {
	n.bell.mu.Lock()
	d, was := n.bell.dozing[app]
	delete(n.bell.dozing, app)
	n.bell.mu.Unlock()
	if !was {
		return nil
	}
	close(d.awake)
	return n.changeAsleep(n.groupsOf(app, d.types), false)
}

func (n *Network) groupsOf(app platform.AppName, types []platform.ProcessType) (list []uint32) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, t := range types {
		list = append(list, n.groups.ofApp(app, t)...)
	}
	return list
}

func (n *Network) bellTable() *nftables.Table {
	return &nftables.Table{Name: n.table().Name + "-bell", Family: nftables.TableFamilyINet}
}

func (n *Network) bellSets() (heard, asleep *nftables.Set) {
	t := n.bellTable()
	heard = &nftables.Set{
		Table: t, ID: 1, Name: "heard", KeyType: nftables.TypeDevGroup, Dynamic: true, HasTimeout: true, Timeout: heardFor, Size: heardMost,
	}
	return heard, &nftables.Set{Table: t, ID: 2, Name: "asleep", KeyType: nftables.TypeDevGroup}
}

func (n *Network) chainName() string { return "ring-" + strconv.Itoa(int(n.bell.logGroup)) }

// changeAsleep adds first in either case, so that there is something to delete.
func (n *Network) changeAsleep(groups []uint32, asleep bool) error {
	if len(groups) == 0 {
		return nil
	}
	c, err := nftables.New()
	if err != nil {
		return err
	}
	_, set := n.bellSets()
	elements := groupElements(groups)
	if err := c.SetAddElements(set, elements); err != nil {
		return err
	}
	if !asleep {
		if err := c.SetDeleteElements(set, elements); err != nil {
			return err
		}
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("change who sleeps in nftables table %s: %w", n.bellTable().Name, err)
	}
	return nil
}

func groupElements(groups []uint32) (list []nftables.SetElement) {
	for _, g := range groups {
		list = append(list, nftables.SetElement{Key: groupBytes(g)})
	}
	return list
}

// keepBell makes the table unless it is there as it must be. The caller holds mu.
func (n *Network) keepBell() error {
	if n.bell.deaf.Load() {
		return nil
	}
	c, err := nftables.New()
	if err != nil {
		return err
	}
	chains, err := c.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return err
	}
	for _, chain := range chains {
		if chain.Table.Name == n.bellTable().Name && chain.Name == n.chainName() {
			return nil
		}
	}
	if err := n.addBell(c); err != nil {
		return err
	}
	err = c.Flush()
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) {
		n.bell.deaf.Store(true)
		n.log.Error("apps cannot sleep on this host", "error", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("write nftables table %s: %w", n.bellTable().Name, err)
	}
	return nil
}

func (n *Network) addBell(c *nftables.Conn) error {
	t := n.bellTable()
	c.AddTable(t) // so that there is one to delete
	c.DelTable(t)
	c.AddTable(t)
	heard, asleep := n.bellSets()
	if err := errors.Join(c.AddSet(heard, nil), c.AddSet(asleep, groupElements(n.dozingGroups()))); err != nil {
		return err
	}
	ring := c.AddChain(&nftables.Chain{Name: n.chainName(), Table: t})
	forward := c.AddChain(&nftables.Chain{
		Name: "forward", Table: t, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookForward,
		Priority: nftables.ChainPriorityRef(bellPriority),
	})
	add := func(chain *nftables.Chain, parts ...[]expr.Any) {
		c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: join(parts...)})
	}
	call := join(from(n.prefix()), to(n.prefix()), asking())
	add(forward, call, protocol(unix.IPPROTO_TCP), beginsOrCarries(), jump(ring.Name))
	add(forward, call, protocol(unix.IPPROTO_UDP), jump(ring.Name))
	add(ring, remember(heard))
	add(ring, []expr.Any{
		&expr.Meta{Key: expr.MetaKeyOIFGROUP, Register: key}, &expr.Lookup{SourceRegister: key, SetName: asleep.Name, SetID: asleep.ID},
	}, logTo(n.bell.logGroup))
	return nil
}

// dozingGroups are the numbers of all that sleep. The caller holds mu.
func (n *Network) dozingGroups() (list []uint32) {
	n.bell.mu.Lock()
	defer n.bell.mu.Unlock()
	for app, d := range n.bell.dozing {
		for _, t := range d.types {
			list = append(list, n.groups.ofApp(app, t)...)
		}
	}
	return list
}

// asking matches packets in the direction in which their connection was opened.
func asking() []expr.Any {
	const originalDirection = 0 // IP_CT_DIR_ORIGINAL
	return compare(&expr.Ct{Key: expr.CtKeyDIRECTION, Register: 1}, expr.CmpOpEq, []byte{originalDirection})
}

// beginsOrCarries matches TCP segments that open a connection or end what somebody wrote (RFC 9293, 3.1: SYN
// and PSH, in the header's byte 13).
func beginsOrCarries() []expr.Any {
	const flagsAt, syn, psh = 13, 0x02, 0x08
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: flagsAt, Len: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 1, Mask: []byte{syn | psh}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: []byte{0}},
	}
}

// remember notes that a packet went to its interface's group just now.
func remember(set *nftables.Set) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyOIFGROUP, Register: 1},
		&expr.Dynset{SrcRegKey: 1, SetName: set.Name, SetID: set.ID, Operation: uint32(unix.NFT_DYNSET_OP_UPDATE)},
	}
}

func logTo(group uint16) []expr.Any {
	return []expr.Any{&expr.Log{Key: 1 << unix.NFTA_LOG_GROUP, Group: group}}
}

// Heard implements platform.Doorbell. What is left of an element's timeout tells when it was renewed; the same
// moment is the same time each time it is asked for.
func (n *Network) Heard(app platform.AppName) (time.Time, error) {
	n.mu.Lock()
	own := n.groups.ofApp(app, "")
	n.mu.Unlock()
	c, err := nftables.New()
	if err != nil {
		return time.Time{}, err
	}
	if n.bell.deaf.Load() {
		return time.Time{}, nil
	}
	heard, _ := n.bellSets()
	elements, err := c.GetSetElements(heard)
	if err != nil {
		return time.Time{}, fmt.Errorf("read who was called: %w", err)
	}
	now, last := time.Now(), time.Time{}
	for _, e := range elements {
		if at := now.Add(e.Expires - heardFor); slices.Contains(own, groupNumber(e.Key)) && at.After(last) {
			last = at
		}
	}
	n.bell.mu.Lock()
	defer n.bell.mu.Unlock()
	if before := n.bell.heard[app]; last.Sub(before) > heardJitter {
		n.bell.heard[app] = last
	}
	return n.bell.heard[app], nil
}

// awaitAwake rings at an app of which nothing runs when somebody who may asks for its name, and waits for it.
// It is false if the app did not come.
func (n *Network) awaitAwake(ctx context.Context, asker resident, name string) bool {
	app, kind, _, ok := parseName(name)
	if !ok {
		return true
	}
	n.bell.mu.Lock()
	d, dozes := n.bell.dozing[app]
	n.bell.mu.Unlock()
	sleeps := slices.ContainsFunc(d.types, func(t platform.ProcessType) bool { return strings.EqualFold(string(t), kind) })
	if !dozes || !d.gone || !sleeps || !n.knows(asker, resident{Owner: Owner{App: app, Type: platform.ProcessType(kind)}}) {
		return true
	}
	n.ring(app)
	late := time.NewTimer(dozeWait)
	defer late.Stop()
	select {
	case <-d.awake:
		return true
	case <-late.C:
	case <-ctx.Done():
	}
	return false
}

func (n *Network) firstGroupTried() uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(n.id))
	return h.Sum32()
}

func (n *Network) deleteBell() error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	c.AddTable(n.bellTable()) // so that there is one
	c.DelTable(n.bellTable())
	return c.Flush()
}
