package network

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"paas/platform"
)

// An app's list may hold names. The addresses that its lookups of them gave are kept in sets of the app's
// own with a timeout, where the walls find them:
//
//	names4-APP, names6-APP   address . protocol . port   protocol and port 0: any
const (
	leastStay  = 5 * time.Minute // programs keep addresses longer than they should
	mostStay   = 24 * time.Hour
	mostKept   = 4096 // of one app
	learnedMax = 64   // of one answer
)

// destinationKey is an element of such a set.
type destinationKey struct {
	addr netip.Addr
	port uint16 // 0 is any
}

// learned are the addresses of each app and until when they are good.
type learned map[platform.AppName]map[destinationKey]time.Time

// keep leaves out what no list holds any more: a list that changed learns its names anew.
func (l learned) keep(policies map[platform.AppName]platform.Policy) learned {
	kept := learned{}
	for app, addresses := range l {
		if hasNames(policies[app]) {
			kept[app] = addresses
		}
	}
	return kept
}

func (n *Network) learnedSets(app platform.AppName) [2]*nftables.Set {
	set := func(name string, addr nftables.SetDatatype) *nftables.Set {
		return &nftables.Set{
			Table: n.table(), Name: name + string(app), HasTimeout: true, Concatenation: true,
			KeyType: nftables.MustConcatSetType(addr, nftables.TypeInetProto, nftables.TypeInetService),
		}
	}
	return [2]*nftables.Set{set("names4-", nftables.TypeIPAddr), set("names6-", nftables.TypeIP6Addr)}
}

// addLearned adds the app's sets, with what is in them, and the rules that look there.
func (b *builder) addLearned(chain *nftables.Chain, app platform.AppName) error {
	for i, set := range b.n.learnedSets(app) {
		var elements []nftables.SetElement
		for d, until := range b.n.learned[app] {
			if left := time.Until(until); d.addr.Is4() == (i == 0) && left > time.Second {
				elements = append(elements, d.elements(left)...)
			}
		}
		b.lastID++
		set.ID = b.lastID
		if err := b.AddSet(set, elements); err != nil {
			return err
		}
		a, behind := netip.IPv4Unspecified(), uint32(key+1)
		if i == 1 {
			a, behind = netip.IPv6Unspecified(), key+4
		}
		load := append(family(a), destination(a, key))
		b.rule(chain, load, originalPort(behind), found(set), accept())
		b.rule(chain, load, []expr.Any{
			&expr.Immediate{Register: behind, Data: word(0)}, &expr.Immediate{Register: behind + 1, Data: word(0)},
		}, found(set), accept())
	}
	return nil
}

func (d destinationKey) elements(stay time.Duration) []nftables.SetElement {
	protocols := []byte{unix.IPPROTO_TCP, unix.IPPROTO_UDP}
	if d.port == 0 {
		protocols = []byte{0}
	}
	var list []nftables.SetElement
	for _, proto := range protocols {
		e := element(d.addr.AsSlice(), portBytes(proto, d.port))
		e.Timeout = stay.Truncate(time.Millisecond)
		list = append(list, e)
	}
	return list
}

// learn lets the app reach the addresses of a name if its list holds the name. It returns when the walls
// know, so that the answer may be given.
func (n *Network) learn(app platform.AppName, name string, addrs []netip.Addr, ttl time.Duration) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.policies[app]
	if !p.Limited {
		return nil
	}
	known := n.learned[app]
	if known == nil {
		known = map[destinationKey]time.Time{}
		n.learned[app] = known
	}
	forgetOld(known)
	stay := min(max(ttl, leastStay), mostStay)
	var fresh []destinationKey
	for _, e := range p.Allow {
		if !covers(e.Host, name) {
			continue
		}
		for _, a := range addrs[:min(len(addrs), learnedMax)] {
			d := destinationKey{a.Unmap(), uint16(e.Port)}
			if time.Until(known[d]) < stay/2 && (len(known) < mostKept || !known[d].IsZero()) {
				known[d] = time.Now().Add(stay)
				fresh = append(fresh, d)
			}
		}
	}
	return n.addLearnedNow(app, fresh, stay)
}

func forgetOld(known map[destinationKey]time.Time) {
	for d, until := range known {
		if time.Until(until) < 0 {
			delete(known, d)
		}
	}
}

// addLearnedNow deletes first, since an element that is there keeps its old timeout.
func (n *Network) addLearnedNow(app platform.AppName, fresh []destinationKey, stay time.Duration) error {
	if len(fresh) == 0 {
		return nil
	}
	c, err := nftables.New()
	if err != nil {
		return err
	}
	sets := n.learnedSets(app)
	for _, d := range fresh {
		set := sets[0]
		if d.addr.Is6() {
			set = sets[1]
		}
		e := d.elements(stay)
		if err := c.SetAddElements(set, e); err != nil { // so that there is one to delete
			return err
		}
		if err := c.SetDeleteElements(set, e); err != nil {
			return err
		}
		if err := c.SetAddElements(set, e); err != nil {
			return err
		}
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("let %s out: %w", app, err)
	}
	return nil
}

// covers tells whether a list's host name stands for the name. Both are lower case.
func covers(host, name string) bool {
	if below, ok := strings.CutPrefix(host, "*."); ok {
		return strings.HasSuffix(name, "."+below)
	}
	return host != "" && host == name
}

// recall takes over what a predecessor learned: programs still use the addresses.
func (n *Network) recall() error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	for app, p := range n.policies {
		if !hasNames(p) {
			continue
		}
		known := map[destinationKey]time.Time{}
		for _, set := range n.learnedSets(app) {
			elements, err := c.GetSetElements(set)
			if err != nil {
				continue // there is no such set: the machine was restarted, or the list is new
			}
			for _, e := range elements {
				d, ok := readDestination(e.Key)
				if ok && e.Expires > 0 {
					known[d] = time.Now().Add(e.Expires)
				}
			}
		}
		n.learned[app] = known
	}
	return nil
}

// readDestination reads an element's key: address, protocol and port in registers of their own.
func readDestination(key []byte) (destinationKey, bool) {
	if len(key) < 8 {
		return destinationKey{}, false
	}
	addr, ok := netip.AddrFromSlice(key[:len(key)-8])
	return destinationKey{addr, binary.BigEndian.Uint16(key[len(key)-4:])}, ok
}
