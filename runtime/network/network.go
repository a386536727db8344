// Package network gives containers their network: addresses, names, the way out, and walls.
//
//	container netns               host                                       outside
//	eth0 ADDR/32, ADDR6/128 <--veth--> pv<ID>-<n> (GATEWAY/32)  --forward, masquerade-->  any other interface
//	default via GATEWAY, fe80::1       routes ADDR/32, ADDR6/128
//
// Every container hangs on a point-to-point link of its own; there is no bridge and no shared
// Ethernet. Endpoint number n of a platform has the n-th address of the platform's subnet and of its IPv6
// prefix, port 10000+n and the interface pv<ID>-<n>, so the kernel's list of interfaces is the only record
// of what is in use, and two daemons that overlap (an upgrade) cannot give one number twice.
//
// The nftables table paas-<ID> (family inet) says who may talk to whom:
//
//	container -> internet                  masqueraded; with a list, to the list's destinations only
//	container -> container of its app      allowed
//	container -> container of another app  refused, save over links
//	container -> container of a platform   dropped
//	container -> any address of the host   refused, save replies and questions for names
//	container -> where clouds keep secrets refused (169.254.0.0/16 and others), save a nameserver in use there
//	container with a foreign source        dropped, as is everything but IPv4 and IPv6
//	container, with very many connections  dropped when it opens more (see flows.go)
//	container -> container that sleeps     allowed as above, and heard (see bell.go)
//	host -> container                      allowed: the router is a process of the host
//	outside -> container                   dropped, save replies
//
// A container's interface carries the number of its app's process type as its group, and the host's routes
// say which addresses live behind an interface: the walls hold nothing per container, and admitting one
// costs no transaction.
//
// An accept in one nftables table does not overrule a drop in another. Where the host's own firewall
// drops forwarded packets by policy, containers reach nothing outside until that firewall lets
// interfaces named pv<ID>-* through; Warnings tells.
//
// Forwarding is a switch of the whole machine (net.ipv4.ip_forward, net.ipv6.conf.all.forwarding): while
// platforms exist on it, a host with several networks forwards between them unless its own firewall says
// otherwise.
package network

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"paas/platform"
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
	// Policies hold from the first moment on; SetPolicies replaces them.
	Policies []platform.Policy
	// Log takes what goes wrong in the background. Nil discards it.
	Log *slog.Logger
}

// Network is the network of one platform. Safe for concurrent use.
type Network struct {
	id      string
	dir     string
	log     *slog.Logger
	subnet  netip.Prefix
	prefix6 netip.Prefix // the zero Prefix on a host without IPv6
	route   *netlink.Handle
	uplink  uplink
	people  residents
	bell    *bell
	names   *nameServer // nil if no port was to be had
	namesAt uint16      // its port at the gateway

	next   atomic.Uint32 // the number tried last
	ended  sync.Once
	closed chan struct{}
	work   sync.WaitGroup

	unlimited atomic.Bool // this kernel cannot bound the connections of a container

	mu        sync.Mutex // one transaction at a time, and all that follows
	resolvers []netip.Addr
	policies  map[platform.AppName]platform.Policy
	groups    groups
	learned   learned
	doors     map[uint32]uint16 // in the table, by number
	rules     int               // in the table
	gone      bool              // destroyed: nothing is repaired any more
}

var platformID = regexp.MustCompile(`^[a-z0-9]{1,6}$`)

// Open sets the network up or takes it over as it is: living containers keep their connections. The
// rules are replaced in one transaction. It fails with a *platform.Error of kind Conflict when
// another platform on this host has the same ID. Containers' questions for names are answered from now
// on until Close.
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
	n := &Network{
		id: o.ID, dir: dir, log: o.Log, route: route, closed: make(chan struct{}), learned: learned{},
		policies: map[platform.AppName]platform.Policy{}, doors: map[uint32]uint16{}, namesAt: namePort, bell: newBell(),
	}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	for _, p := range o.Policies {
		n.policies[p.App] = p
	}
	if err := n.setUp(o.Subnet); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	n.watch()
	if n.names != nil {
		n.work.Go(n.takeBack)
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
	if err := n.claim(r, wish); err != nil {
		return err
	}
	if err := errors.Join(r.forward(), r.forward6()); err != nil {
		return err
	}
	for _, p := range n.prefixes() {
		if err := guard(n.route, p); err != nil {
			return err
		}
	}
	if err := n.recall(); err != nil {
		return err
	}
	if err := n.serveNames(); err != nil {
		n.log.Error("serve names to containers", "error", err)
	}
	if err := n.listenAtDoors(); err != nil {
		n.bell.deaf.Store(true)
		n.log.Error("apps cannot sleep on this host", "error", err)
	}
	return n.Rebuild()
}

// claim takes what the platform had before.
func (n *Network) claim(r *registry, wish netip.Prefix) (err error) {
	if n.subnet, err = n.chooseSubnet(r, wish); err != nil {
		return err
	}
	if err := n.leaveOldSubnet(r); err != nil {
		return err
	}
	if err := n.choosePrefix6(); err != nil {
		return err
	}
	if err := n.loadGroups(); err != nil {
		return err
	}
	return r.add(entry{ID: n.id, Dir: n.dir, Subnet: n.subnet})
}

// prefixes are what the platform's addresses are from.
func (n *Network) prefixes() []netip.Prefix {
	if n.prefix6.IsValid() {
		return []netip.Prefix{n.subnet, n.prefix6}
	}
	return []netip.Prefix{n.subnet}
}

// Repair puts the rules back if they are not as they must be. The network does it by itself, moments after
// something changed them: a reload of the host's own firewall commonly flushes every table, ours too, and
// with them all walls. Call it now and then in case that was missed.
func (n *Network) Repair() error {
	servers := containerServers()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.gone {
		return nil
	}
	if !n.intact() || !slices.Equal(servers, n.resolvers) {
		n.resolvers = servers
		if err := n.rebuild(); err != nil {
			return err
		}
	}
	return n.keepFlows()
}

func (n *Network) keepFlows() error {
	if err := n.limitFlows(); err != nil {
		return fmt.Errorf("write nftables table %s: %w", n.flowsTable().Name, err)
	}
	return n.keepBell()
}

// Rebuild writes the rules anew, in one transaction.
func (n *Network) Rebuild() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	numbers, err := n.numbers()
	if err != nil {
		return fmt.Errorf("list interfaces: %w", err)
	}
	for _, number := range numbers {
		if _, ok := n.doors[number]; !ok {
			n.doors[number] = uint16(firstPort + number)
		}
	}
	n.resolvers = containerServers()
	if err := n.rebuild(); err != nil {
		return err
	}
	return n.keepFlows()
}

// Close lets go of the network and leaves all in place for the next Open. Until then the host's own
// nameserver answers containers. It must come after every other call.
func (n *Network) Close() error {
	n.ended.Do(func() {
		close(n.closed)
		n.names.close()
		n.work.Wait()
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
	n.mu.Lock()
	n.gone = true
	n.mu.Unlock()
	err = errors.Join(n.deleteLinks(), n.deleteTable(), n.deleteFlows(), n.deleteBell())
	for _, p := range n.prefixes() {
		err = errors.Join(err, unguard(n.route, p))
	}
	if err = errors.Join(err, n.forget(), r.remove(n.id), n.Close()); err != nil {
		return fmt.Errorf("destroy network %q: %w", n.id, err)
	}
	return nil
}

// forget removes what Open keeps in Dir.
func (n *Network) forget() error {
	var errs []error
	for _, file := range []string{n.subnetFile(), n.prefix6File(), n.groupFile()} {
		errs = append(errs, ignoreMissing(os.Remove(file)))
	}
	return errors.Join(errs...)
}

// Subnet is where all IPv4 addresses come from; its first address is the gateway of every container, and
// the one that the host's connections to containers come from.
func (n *Network) Subnet() netip.Prefix { return n.subnet }

// Prefix6 is where all IPv6 addresses come from, the zero Prefix on a host without IPv6.
func (n *Network) Prefix6() netip.Prefix { return n.prefix6 }
