// Package network gives containers their network: an address each, the way out, and walls.
//
//	container netns          host                                   outside
//	eth0 ADDR/32  <--veth-->  pv<ID>-<n> (GATEWAY/32)  --forward, masquerade-->  any other interface
//	default via GATEWAY       route ADDR/32 to the veth
//
// Every container hangs on a point-to-point link of its own; there is no bridge and no shared
// Ethernet. Endpoint number n of a platform has the n-th address of the platform's subnet, port
// 10000+n and the interface pv<ID>-<n>, so the kernel's list of interfaces is the only record of what
// is in use, and two daemons that overlap (an upgrade) cannot give one number twice.
//
// The nftables table paas-<ID> (family inet) says who may talk to whom:
//
//	container -> internet                  masqueraded
//	container -> any container             dropped, of whatever app or platform
//	container -> any address of the host   dropped, save replies and DNS to a nameserver in use
//	container -> 169.254.0.0/16            dropped (clouds keep secrets there), save such DNS
//	container with a foreign source        dropped, as is everything but IPv4
//	container, with very many connections  dropped when it opens more (see flows.go)
//	host -> container                      allowed: the router is a process of the host
//	outside -> container                   dropped, save replies
//
// An accept in one nftables table does not overrule a drop in another. Where the host's own firewall
// drops forwarded packets by policy, containers reach nothing outside until that firewall lets
// interfaces named pv<ID>-* through; Warnings tells.
//
// Forwarding is a switch of the whole machine (net.ipv4.ip_forward): while platforms exist on it, a
// host with several networks forwards between them unless its own firewall says otherwise.
package network

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Options say which platform's network it is.
type Options struct {
	// ID tells platforms on one host apart: one to six lower-case letters and digits.
	ID string
	// Subnet is a /16 to /20 of private addresses. Zero picks a free /20 of 10.0.0.0/8, once: the choice
	// is kept in Dir.
	Subnet netip.Prefix
	// Dir is a directory of this platform that survives reboots.
	Dir string
}

// Network is the network of one platform. Safe for concurrent use.
type Network struct {
	id     string
	dir    string
	subnet netip.Prefix
	route  *netlink.Handle

	next   atomic.Uint32 // the number tried last
	ended  sync.Once
	closed chan struct{}
	reaper sync.WaitGroup

	unlimited atomic.Bool // this kernel cannot bound the connections of a container

	mu        sync.Mutex // one transaction at a time, and:
	resolvers []netip.Addr
	admitted  map[uint32]bool // numbers in the set of endpoints
}

var platformID = regexp.MustCompile(`^[a-z0-9]{1,6}$`)

// Open sets the network up or takes it over as it is: living containers keep their connections. The
// rules are replaced in one transaction. It fails with a *platform.Error of kind Conflict when
// another platform on this host has the same ID.
func Open(o Options) (*Network, error) {
	n, err := open(o)
	if err != nil {
		return nil, fmt.Errorf("open network %q: %w", o.ID, err)
	}
	return n, nil
}

func open(o Options) (*Network, error) {
	if !platformID.MatchString(o.ID) {
		return nil, errors.New("the id must be 1 to 6 lower-case letters and digits")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	route, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open route socket: %w", err)
	}
	n := &Network{id: o.ID, dir: dir, route: route, closed: make(chan struct{}), admitted: make(map[uint32]bool)}
	if err := n.setUp(o.Subnet); err != nil {
		route.Close()
		return nil, err
	}
	// Not where a predecessor began: its last addresses may still be known to somebody.
	n.next.Store(rand.Uint32N(n.count()))
	return n, nil
}

// setUp holds the host's lock, since subnets and the forwarding switch belong to all platforms.
func (n *Network) setUp(wish netip.Prefix) error {
	r, err := openRegistry()
	if err != nil {
		return err
	}
	defer r.close()
	if n.subnet, err = n.chooseSubnet(r, wish); err != nil {
		return err
	}
	if err := n.leaveOldSubnet(r); err != nil {
		return err
	}
	if err := r.add(entry{ID: n.id, Dir: n.dir, Subnet: n.subnet}); err != nil {
		return err
	}
	if err := r.forward(); err != nil {
		return err
	}
	if err := guard(n.route, n.subnet); err != nil {
		return err
	}
	return n.Repair()
}

// Repair puts the rules back as they must be, in one transaction. Call it now and then: a reload of
// the host's own firewall commonly flushes every table, ours too, and with them all walls.
func (n *Network) Repair() error {
	_, servers := readResolv()
	n.mu.Lock() // before listing, or an endpoint admitted meanwhile would be left out
	defer n.mu.Unlock()
	numbers, err := n.numbers()
	if err != nil {
		return fmt.Errorf("list interfaces: %w", err)
	}
	if err := n.replaceTable(numbers, servers); err != nil {
		return fmt.Errorf("write nftables table %s: %w", n.table().Name, err)
	}
	n.resolvers = servers
	clear(n.admitted)
	n.remember(numbers)
	if err := n.limitFlows(); err != nil {
		return fmt.Errorf("write nftables table %s: %w", n.flowsTable().Name, err)
	}
	return nil
}

// Close lets go of the network and leaves all in place for the next Open. It must come after every
// other call.
func (n *Network) Close() error {
	n.ended.Do(func() {
		close(n.closed)
		n.reaper.Wait()
		n.route.Close()
	})
	return nil
}

// Destroy removes every interface, the rules and the platform's claim on its subnet, and turns
// forwarding off if a platform turned it on and this was the last one. It closes the network, and
// blocks for some 30 ms per container that still has an interface.
func (n *Network) Destroy() error {
	r, err := openRegistry()
	if err != nil {
		return fmt.Errorf("destroy network %q: %w", n.id, err)
	}
	defer r.close()
	err = errors.Join(n.deleteLinks(), n.deleteTable(), n.deleteFlows(), unguard(n.route, n.subnet), n.forgetSubnet(), r.remove(n.id), n.Close())
	if err != nil {
		return fmt.Errorf("destroy network %q: %w", n.id, err)
	}
	return nil
}

// Subnet is where all addresses come from; its first address is the gateway of every container, and
// the one that the host's connections to containers come from.
func (n *Network) Subnet() netip.Prefix { return n.subnet }
