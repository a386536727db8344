package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"paas/platform"
)

// Endpoint is one container's place in the network. It is a value: keep it with the container.
type Endpoint struct {
	Addr   netip.Addr
	Port   uint16 // what the container is told to listen on; unique among living endpoints
	Iface  string // the host's end of the link
	Resolv []byte // content for the container's /etc/resolv.conf
}

const (
	firstPort  = 10_000
	portCount  = 20_000
	firstIndex = 2 // 0 is the subnet itself, 1 the gateway

	maxAlias = 255 // bytes (IFALIASZ less one)
)

// count is how many numbers there are: addresses but for the subnet's, the gateway's and the last.
func (n *Network) count() uint32 {
	return min(uint32(1)<<(32-n.subnet.Bits())-firstIndex-1, portCount-firstIndex)
}

func (n *Network) gateway() netip.Addr { return n.addr(1) }

func (n *Network) addr(number uint32) netip.Addr {
	base := n.subnet.Addr().As4()
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(base[:])+number)))
}

// prefix begins the name of every interface of this platform. Its dash keeps "pva1-2" of platform a1
// apart from "pva-12" of platform a.
func (n *Network) prefix() string { return "pv" + n.id + "-" }

func (n *Network) iface(number uint32) string { return n.prefix() + strconv.Itoa(int(number)) }

// number reads an interface's name.
func (n *Network) number(iface string) (uint32, bool) {
	digits, ours := strings.CutPrefix(iface, n.prefix())
	number, err := strconv.ParseUint(digits, 10, 32)
	if !ours || err != nil || number < firstIndex || number >= uint64(n.count())+firstIndex {
		return 0, false
	}
	return uint32(number), n.iface(uint32(number)) == iface
}

// Attach joins the network namespace of a process, which must not be the host's, and returns when it
// can talk. Inside it makes eth0 and raises lo. key names the container for humans: it becomes the
// interface's alias. After an error nothing of it is left. It takes one to two milliseconds.
func (n *Network) Attach(pid int, key string) (Endpoint, error) {
	e, err := n.attach(pid, key)
	if err != nil {
		return Endpoint{}, fmt.Errorf("attach %s to network %s: %w", key, n.id, err)
	}
	return e, nil
}

func (n *Network) attach(pid int, key string) (Endpoint, error) {
	ns, err := openNetNS(pid)
	if err != nil {
		return Endpoint{}, err
	}
	defer func() { _ = ns.Close() }()
	resolv, err := n.resolv()
	if err != nil {
		return Endpoint{}, err
	}
	number, link, err := n.addLink(ns)
	if err != nil {
		return Endpoint{}, err
	}
	e := Endpoint{Addr: n.addr(number), Port: uint16(firstPort + number), Iface: n.iface(number), Resolv: resolv}
	if err := n.connect(e, link, ns, key); err != nil {
		return Endpoint{}, errors.Join(err, n.route.LinkDel(link))
	}
	return e, nil
}

// openNetNS refuses the host's own namespace: a container would get the host's network, and the host
// a new default route.
func openNetNS(pid int) (*os.File, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return nil, err
	}
	own, err := os.Stat("/proc/self/ns/net")
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	its, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if os.SameFile(own, its) {
		return nil, errors.Join(fmt.Errorf("process %d is in the host's network namespace", pid), f.Close())
	}
	return f, nil
}

// addLink makes the pair of interfaces with the next free number. A name that is taken belongs to a
// living container, or to one whose namespace the kernel is still taking down.
func (n *Network) addLink(ns *os.File) (uint32, netlink.Link, error) {
	mtu := n.uplinkMTU()
	for range n.count() {
		number := firstIndex + n.next.Add(1)%n.count()
		link, err := n.addVeth(n.iface(number), mtu, ns)
		if errors.Is(err, unix.EEXIST) && n.hasLink(number) {
			continue
		}
		if err != nil {
			return 0, nil, fmt.Errorf("add interface: %w", err)
		}
		return number, link, nil
	}
	return 0, nil, platform.Errorf(platform.Failed, "all %d addresses of %s are in use", n.count(), n.subnet)
}

// hasLink tells whose name was taken: the host's end, or eth0 inside, which no other number helps.
func (n *Network) hasLink(number uint32) bool {
	_, err := n.route.LinkByName(n.iface(number))
	return !isNotFound(err)
}

// connect opens the walls for the endpoint before its interface carries anything.
func (n *Network) connect(e Endpoint, link netlink.Link, ns *os.File, key string) error {
	number, _ := n.number(e.Iface)
	if err := n.admit(number); err != nil {
		return err
	}
	if err := n.route.LinkSetAlias(link, key[:min(len(key), maxAlias)]); err != nil {
		return fmt.Errorf("name %s: %w", e.Iface, err)
	}
	if err := n.configureHost(link, e.Addr); err != nil {
		return fmt.Errorf("configure %s: %w", e.Iface, err)
	}
	if err := n.configureInside(netns.NsHandle(ns.Fd()), e.Addr); err != nil {
		return fmt.Errorf("configure eth0: %w", err)
	}
	if err := awaitCarrier(n.route, link.Attrs().Index); err != nil {
		return fmt.Errorf("await %s: %w", e.Iface, err)
	}
	return nil
}

// Adopt makes sure that an endpoint of a container that outlived a daemon is in service. If its
// interface is gone it fails with a *platform.Error of kind NotFound.
func (n *Network) Adopt(e Endpoint) error {
	number, ok := n.number(e.Iface)
	if !ok || n.addr(number) != e.Addr {
		return fmt.Errorf("adopt %s with %s: it is no endpoint of network %s (%s)", e.Iface, e.Addr, n.id, n.subnet)
	}
	if _, err := n.route.LinkByName(e.Iface); isNotFound(err) {
		return platform.Errorf(platform.NotFound, "the network interface %s is gone", e.Iface).Because(err)
	} else if err != nil {
		return fmt.Errorf("adopt %s: %w", e.Iface, err)
	}
	return n.admit(number)
}

// reapAfter is how long the kernel may take to remove an interface whose container has ended.
const reapAfter = 5 * time.Second

// Detach lets go of the endpoint. The interface goes with the container's namespace; if that lives on, a
// goroutine that Close ends removes the interface later, since that blocks for some 30 ms. Detaching
// twice is no error.
func (n *Network) Detach(e Endpoint) error {
	if _, ok := n.number(e.Iface); !ok {
		return fmt.Errorf("detach %q: it is no endpoint of network %s", e.Iface, n.id)
	}
	link, err := n.route.LinkByName(e.Iface)
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("detach %s: %w", e.Iface, err)
	}
	if err := n.route.LinkSetDown(link); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("detach %s: %w", e.Iface, err)
	}
	n.reaper.Go(func() { n.reap(link.Attrs().Index) })
	return nil
}

// reap goes by index: the name may have been given to another endpoint by then.
func (n *Network) reap(index int) {
	timer := time.NewTimer(reapAfter)
	defer timer.Stop()
	select {
	case <-timer.C:
		_ = n.route.LinkDel(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: index}}) // mostly gone by now
	case <-n.closed:
	}
}
