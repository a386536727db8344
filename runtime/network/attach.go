package network

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"paas/platform"
)

// Attach joins the network namespace of a process, which must not be the host's, and returns when it
// can talk. Inside it makes eth0 and raises lo. key names the container for humans until Admit tells whose
// it is; it becomes the interface's alias. After an error nothing of it is left. It takes one to two
// milliseconds, all of them the kernel's.
func (n *Network) Attach(pid int, key string) (Endpoint, error) {
	ns, err := openNetNS(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return Endpoint{}, fmt.Errorf("attach %s to network %s: %w", key, n.id, err)
	}
	defer func() { _ = ns.Close() }()
	e, err := n.attach(ns, key)
	if err != nil {
		return Endpoint{}, fmt.Errorf("attach %s to network %s: %w", key, n.id, err)
	}
	return e, nil
}

func (n *Network) attach(ns *os.File, key string) (Endpoint, error) {
	host, err := talk(nil)
	if err != nil {
		return Endpoint{}, err
	}
	defer host.Close()
	resolv := n.resolv()
	number, err := n.addLink(host, ns)
	if err != nil {
		return Endpoint{}, err
	}
	e := n.endpoint(number)
	e.Resolv = resolv
	err = n.openDoors(number)
	if err == nil {
		err = n.connect(host, e, ns, key)
	}
	if err != nil {
		return Endpoint{}, errors.Join(err, n.deleteLink(int(n.index(number))))
	}
	return e, nil
}

// openNetNS refuses the host's own namespace: a container would get the host's network, and the host
// a new default route.
func openNetNS(path string) (*os.File, error) {
	f, err := os.Open(path)
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
		return nil, errors.Join(fmt.Errorf("%s is the host's network namespace", path), f.Close())
	}
	return f, nil
}

// addLink makes the pair of interfaces with the next free number. A name that is taken belongs to a
// living container, or to one whose namespace the kernel is still taking down.
func (n *Network) addLink(host *nl.NetlinkSocket, ns *os.File) (uint32, error) {
	for range n.count() {
		number := firstIndex + n.next.Add(1)%n.count()
		err := n.addVeth(host, number, ns)
		if (errors.Is(err, unix.EEXIST) || errors.Is(err, unix.EBUSY)) && n.hasLink(number) {
			continue
		}
		return number, err
	}
	return 0, platform.Errorf(platform.Failed, "all %d addresses of %s are in use", n.count(), n.subnet)
}

// hasLink tells whose name was taken: the host's end, or eth0 inside, which no other number helps.
func (n *Network) hasLink(number uint32) bool {
	_, err := n.route.LinkByName(n.iface(number))
	return !isNotFound(err)
}

// connect configures both ends. The walls need not be told: they know a container by its interface, and
// the addresses it may use by the host's routes.
func (n *Network) connect(host *nl.NetlinkSocket, e Endpoint, ns *os.File, key string) error {
	number, _ := n.number(e.Iface)
	if err := n.configureHost(host, n.index(number), e, key); err != nil {
		return fmt.Errorf("configure %s: %w", e.Iface, err)
	}
	if err := n.configureInside(netns.NsHandle(ns.Fd()), e); err != nil {
		return fmt.Errorf("configure eth0: %w", err)
	}
	if err := awaitCarrier(host, n.index(number)); err != nil {
		return fmt.Errorf("await %s: %w", e.Iface, err)
	}
	return nil
}

// reapAfter is how long the kernel may take to remove an interface whose container has ended.
const reapAfter = 5 * time.Second

// Detach takes the endpoint out of service: from now on none of its packets passes, and no name leads to
// it. The interface goes with the container's namespace; if that lives on, a goroutine that Close ends
// removes the interface later, since that blocks for some 30 ms. Nothing else is left to remove, so a
// number is free as soon as its interface is gone. It costs one netlink message. Detaching twice is no error.
func (n *Network) Detach(e Endpoint) error {
	number, ok := n.number(e.Iface)
	if !ok {
		return fmt.Errorf("detach %q: it is no endpoint of network %s", e.Iface, n.id)
	}
	n.people.forget(number)
	err := n.label(e, "", endedGroup)
	if errors.Is(err, unix.ENODEV) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("detach %s: %w", e.Iface, err)
	}
	n.work.Go(func() { n.reap(e.Iface) })
	return nil
}

// reap looks at the group: the name may have been given to another endpoint by then.
func (n *Network) reap(iface string) {
	n.rest(reapAfter)
	select {
	case <-n.closed:
		return
	default:
	}
	if link, err := n.route.LinkByName(iface); err == nil && link.Attrs().Group == endedGroup {
		_ = n.deleteLink(link.Attrs().Index)
	}
}
