package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
)

func TestWhoMayTalkToWhom(t *testing.T) {
	out := outside(t)
	n := openNetwork(t, Options{ID: "t1"})
	neighbour := openNetwork(t, Options{ID: "t"}) // its prefix begins like the other's
	a, b, c := box(t), box(t), box(t)
	ea, err := n.Attach(a, "hello.web.1")
	check(t, err)
	eb, err := n.Attach(b, "hello.web.2")
	check(t, err)
	ec, err := neighbour.Attach(c, "other.web.1")
	check(t, err)
	for pid, e := range map[int]Endpoint{a: ea, b: eb, c: ec} {
		greet(t, pid, fmt.Sprintf("%s:%d", e.Addr, e.Port))
		greet(t, pid, "127.0.0.1:99")
	}
	greet(t, 0, "0.0.0.0:80")
	greet(t, 0, "127.0.0.1:81")
	greet(t, out, "0.0.0.0:80")
	greet(t, out, "0.0.0.0:53")
	gateway := n.gateway().String()

	for _, test := range []struct {
		what string
		from int
		to   string
		want string // the address that the other side sees; "": no way
	}{
		{"the host to a container", 0, addrPort(ea), gateway},
		{"the host to another platform's", 0, addrPort(ec), neighbour.gateway().String()},
		{"a container to itself", a, addrPort(ea), ea.Addr.String()},
		{"a container to its loopback", a, "127.0.0.1:99", "127.0.0.1"},
		{"a container to the outside", a, "203.0.113.2:80", "203.0.113.1"},
		{"a container to beyond", a, "198.18.0.1:80", "203.0.113.1"},
		{"a container to its nameserver", a, "203.0.113.2:53", "203.0.113.1"},
		{"a container to the host's outer address", a, "203.0.113.1:80", ""},
		{"a container to its gateway", a, gateway + ":80", ""},
		{"a container to the host's loopback", a, "127.0.0.1:81", ""},
		{"a container to its neighbour", a, addrPort(eb), ""},
		{"a container to another platform's", a, addrPort(ec), ""},
		{"another platform's to a container", c, addrPort(ea), ""},
		{"a container to the metadata service", a, "169.254.169.254:80", ""},
		{"the outside to a container", out, addrPort(ea), ""},
		{"the outside to the host", out, "203.0.113.1:80", "203.0.113.2"},
		{"the host to the outside", 0, "203.0.113.2:80", "203.0.113.1"},
		{"the host to its loopback", 0, "127.0.0.1:81", "127.0.0.1"},
	} {
		got, err := call(test.from, test.to)
		host, _, _ := net.SplitHostPort(got)
		if host != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%s: got %q (%v), want %q", test.what, got, err, test.want)
		}
	}
}

func addrPort(e Endpoint) string { return netip.AddrPortFrom(e.Addr, e.Port).String() }

func TestEndpointInside(t *testing.T) {
	outside(t)
	n := openNetwork(t, Options{ID: "in"})
	pid := box(t)
	e, err := n.Attach(pid, "hello.web.1")
	check(t, err)
	equal(t, "resolv.conf", string(e.Resolv), "nameserver "+n.gateway().String()+"\nsearch example.test\n")
	if e.Port < 10000 || e.Port >= 30000 || !n.Subnet().Contains(e.Addr) {
		t.Errorf("endpoint %+v", e)
	}
	eth0 := in(t, pid, func() (netlink.Link, error) { return netlink.LinkByName("eth0") })
	equal(t, "MTU is the uplink's", eth0.Attrs().MTU, 1400)
	host, err := netlink.LinkByName(e.Iface)
	check(t, err)
	equal(t, "alias", host.Attrs().Alias, "hello.web.1")
	if _, err := os.Stat("/proc/sys/net/ipv6"); err == nil {
		addrs, err := netlink.AddrList(host, netlink.FAMILY_V6)
		check(t, err)
		equal(t, "IPv6 addresses of the host's end", len(addrs), 0)
	}
	if _, err := n.Attach(pid, "again"); err == nil {
		t.Error("a second eth0")
	}
	if _, err := n.Attach(os.Getpid(), "host"); err == nil {
		t.Error("the host's own namespace was attached")
	}
	if _, err := n.Attach(1<<30, "nobody"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// A container that sends with a source that is not its own is not heard.
func TestForgedSource(t *testing.T) {
	out := outside(t)
	n := openNetwork(t, Options{ID: "sp"})
	pid := box(t)
	e, err := n.Attach(pid, "liar")
	check(t, err)
	forged := n.addr(n.count()).String()
	heard := in(t, out, func() (net.PacketConn, error) { return net.ListenPacket("udp4", "203.0.113.2:7") })
	t.Cleanup(func() { _ = heard.Close() })
	in(t, pid, func() (any, error) {
		return nil, errors.Join(addAddr("eth0", forged+"/32"), send(forged, "forged"), send(e.Addr.String(), "honest"))
	})
	check(t, heard.SetReadDeadline(time.Now().Add(2*time.Second)))
	buf := make([]byte, 100)
	count, _, err := heard.ReadFrom(buf)
	check(t, err)
	equal(t, "first heard", string(buf[:count]), "honest")
}

func send(from, text string) error {
	c, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.ParseIP(from)}, &net.UDPAddr{IP: net.IPv4(203, 0, 113, 2), Port: 7})
	if err != nil {
		return err
	}
	_, err = c.Write([]byte(text))
	return errors.Join(err, c.Close())
}

func TestDetachedIsSilent(t *testing.T) {
	out := outside(t)
	greet(t, out, "203.0.113.2:80")
	n := openNetwork(t, Options{ID: "de"})
	pid := box(t)
	e, err := n.Attach(pid, "x")
	check(t, err)
	if _, err := call(pid, "203.0.113.2:80"); err != nil {
		t.Error(err)
	}
	check(t, n.Detach(e))
	if got, err := call(pid, "203.0.113.2:80"); err == nil {
		t.Errorf("a detached container reached the outside as %s", got)
	}
}

// A nameserver on the host itself, or on the clouds' link-local address, answers on port 53 and no other.
func TestNameserversInReach(t *testing.T) {
	out := outside(t)
	check(t, setResolv("nameserver 203.0.113.1\nnameserver 169.254.169.254\noptions edns0\n"))
	t.Cleanup(func() { check(t, setResolv(testResolv)) })
	n := openNetwork(t, Options{ID: "ns"})
	for _, port := range []string{":53", ":80"} {
		greet(t, 0, "203.0.113.1"+port)
		greet(t, out, "169.254.169.254"+port)
	}
	pid := box(t)
	_, err := n.Attach(pid, "x")
	check(t, err)
	for addr, reachable := range map[string]bool{
		"203.0.113.1:53": true, "203.0.113.1:80": false, "169.254.169.254:53": true, "169.254.169.254:80": false,
	} {
		if _, err := call(pid, addr); (err == nil) != reachable {
			t.Errorf("%s: %v", addr, err)
		}
	}
	// The host moves to another network: the next container asks the new servers only.
	check(t, setResolv("nameserver 203.0.113.2\n"))
	_, err = n.Attach(box(t), "y")
	check(t, err)
	if _, err := call(pid, "203.0.113.1:53"); err == nil {
		t.Error("the old nameserver is still let through")
	}
}

func TestWarnings(t *testing.T) {
	n := openNetwork(t, Options{ID: "wa"})
	got, err := n.Warnings()
	check(t, err)
	equal(t, "warnings", len(got), 0)
	c, err := nftables.New()
	check(t, err)
	drop := nftables.ChainPolicyDrop
	table := c.AddTable(&nftables.Table{Name: "firewall", Family: nftables.TableFamilyIPv4})
	c.AddChain(&nftables.Chain{Name: "FORWARD", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter, Policy: &drop})
	check(t, c.Flush())
	t.Cleanup(func() { c.DelTable(table); check(t, c.Flush()) })
	got, err = n.Warnings()
	check(t, err)
	if len(got) != 1 || !strings.Contains(got[0], `table "firewall", chain "FORWARD"`) {
		t.Errorf("warnings %q", got)
	}
}
