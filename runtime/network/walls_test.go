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
	"golang.org/x/sys/unix"
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
		greet(t, pid, fmt.Sprintf("[::]:%d", e.Port))
		greet(t, pid, "127.0.0.1:99")
	}
	greet(t, 0, "[::]:80")
	greet(t, 0, "127.0.0.1:81")
	greet(t, out, "[::]:80")
	greet(t, out, "[::]:53")
	check(t, bridge(t, "docker0", "172.30.0.1/16"))
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
		{"a container to the outside, IPv6", a, "[2001:db8::2]:80", "2001:db8::1"},
		{"a container to beyond", a, "198.18.0.1:80", "203.0.113.1"},
		{"a container to its nameserver", a, "203.0.113.2:53", "203.0.113.1"},
		{"a container to the host's outer address", a, "203.0.113.1:80", ""},
		{"a container to the host's outer address, IPv6", a, "[2001:db8::1]:80", ""},
		{"a container to a bridge of the host", a, "172.30.0.1:80", ""},
		{"a container to its gateway", a, gateway + ":80", ""},
		{"a container to its gateway, IPv6", a, "[fe80::1%eth0]:80", ""},
		{"a container to the host's loopback", a, "127.0.0.1:81", ""},
		{"a container to its neighbour", a, addrPort(eb), ""},
		{"a container to its neighbour, IPv6", a, addrPort6(eb), ""},
		{"a container to another platform's", a, addrPort(ec), ""},
		{"a container to another platform's, IPv6", a, addrPort6(ec), ""},
		{"another platform's to a container", c, addrPort(ea), ""},
		{"a container to the metadata service", a, "169.254.169.254:80", ""},
		{"a container to the metadata service, IPv6", a, "[fd00:ec2::254]:80", ""},
		{"the outside to a container", out, addrPort(ea), ""},
		{"the outside to a container, IPv6", out, addrPort6(ea), ""},
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

// bridge is what Docker and its like have on a host.
func bridge(t testing.TB, name, addr string) error {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	br := &netlink.Bridge{LinkAttrs: attrs}
	if err := netlink.LinkAdd(br); err != nil {
		return err
	}
	t.Cleanup(func() { check(t, netlink.LinkDel(br)) })
	return addAddr(name, addr)
}

func addrPort6(e Endpoint) string { return netip.AddrPortFrom(e.Addr6, e.Port).String() }

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
	pid, e := member(t, n, "liar", "web", 1)
	_, victim := member(t, n, "victim", "web", 1)
	for _, c := range []struct {
		own, to string
		forged  []string
	}{
		{e.Addr.String(), "203.0.113.2", []string{n.addr(n.count()).String(), victim.Addr.String(), "198.51.100.7"}},
		{e.Addr6.String(), "2001:db8::2", []string{n.addr6(n.count()).String(), victim.Addr6.String(), "2001:db8::77"}},
	} {
		heard := in(t, out, func() (net.PacketConn, error) { return net.ListenPacket("udp", net.JoinHostPort(c.to, "7")) })
		t.Cleanup(func() { _ = heard.Close() })
		in(t, pid, func() (any, error) {
			var errs []error
			for _, forged := range c.forged {
				p := netip.MustParseAddr(forged)
				errs = append(errs, addAddr("eth0", netip.PrefixFrom(p, p.BitLen()).String()), send(forged, c.to, "forged"))
			}
			return nil, errors.Join(append(errs, send(c.own, c.to, "honest"))...)
		})
		check(t, heard.SetReadDeadline(time.Now().Add(2*time.Second)))
		buf := make([]byte, 100)
		count, _, err := heard.ReadFrom(buf)
		check(t, err)
		equal(t, "first heard at "+c.to, string(buf[:count]), "honest")
	}
}

func send(from, to, text string) error {
	c, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(from)}, &net.UDPAddr{IP: net.ParseIP(to), Port: 7})
	if err != nil {
		return err
	}
	_, err = c.Write([]byte(text))
	return errors.Join(err, c.Close())
}

// A container that claims its neighbour's address on its own link gets nothing that is for the neighbour.
func TestForgedARP(t *testing.T) {
	n := openNetwork(t, Options{ID: "arp"})
	liar, e := member(t, n, "liar", "web", 1)
	victim, ev := member(t, n, "victim", "web", 1)
	greet(t, victim, fmt.Sprintf("[::]:%d", ev.Port))
	in(t, liar, func() (any, error) {
		return nil, errors.Join(addAddr("eth0", ev.Addr.String()+"/32"), addAddr("eth0", ev.Addr6.String()+"/128"),
			claim("eth0", ev.Addr), claim("eth0", n.gateway()))
	})
	greet(t, liar, fmt.Sprintf("[::]:%d", ev.Port))
	for range 3 {
		if got, err := call(0, addrPort(ev)); err != nil || !strings.HasPrefix(got, n.gateway().String()) {
			t.Errorf("the host reaches the victim: %q, %v", got, err)
		}
	}
	host, err := netlink.LinkByName(e.Iface)
	check(t, err)
	routes, err := netlink.RouteGet(ev.Addr.AsSlice())
	check(t, err)
	if routes[0].LinkIndex == host.Attrs().Index {
		t.Error("the victim's packets go to the liar")
	}
}

// claim sends gratuitous ARP (RFC 826, RFC 5227): "addr is at my hardware address".
func claim(iface string, addr netip.Addr) error {
	link, err := netlink.LinkByName(iface)
	if err != nil {
		return err
	}
	mac := link.Attrs().HardwareAddr
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	arp := []byte{0, 1, 8, 0, 6, 4, 0, 2}
	arp = append(append(append(append(arp, mac...), addr.AsSlice()...), mac...), addr.AsSlice()...)
	to := &unix.SockaddrLinklayer{Protocol: 0x0608, Ifindex: link.Attrs().Index, Halen: 6, Addr: [8]byte{255, 255, 255, 255, 255, 255}}
	return unix.Sendto(fd, arp, 0, to)
}

// A container that says it is a router does not become the host's.
func TestForgedRouterAdvertisement(t *testing.T) {
	n := openNetwork(t, Options{ID: "ra"})
	pid, e := member(t, n, "liar", "web", 1)
	before := fmt.Sprint(routes6(t))
	in(t, pid, func() (any, error) {
		check(t, addAddr("eth0", "fe80::bad/64"))
		c, err := net.ListenPacket("ip6:ipv6-icmp", "fe80::bad%eth0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = c.Close() }()
		raw, err := c.(*net.IPConn).SyscallConn()
		check(t, err)
		check(t, raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255) }))
		check(t, err)
		advertisement := []byte{134, 0, 0, 0, 64, 0, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0} // RFC 4861, section 4.2
		_, err = c.WriteTo(advertisement, &net.IPAddr{IP: net.ParseIP("ff02::1"), Zone: "eth0"})
		return nil, err
	})
	time.Sleep(100 * time.Millisecond)
	equal(t, "routes", fmt.Sprint(routes6(t)), before)
	if _, err := netlink.LinkByName(e.Iface); err != nil {
		t.Error(err)
	}
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
	// The host moves to another network: containers ask the new servers only.
	check(t, setResolv("nameserver 203.0.113.2\n"))
	check(t, n.Repair())
	if _, err := call(pid, "203.0.113.1:53"); err == nil {
		t.Error("the old nameserver is still let through")
	}
}

func TestWarnings(t *testing.T) {
	outside(t) // with it there is a way out
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
	if len(got) != 1 || !strings.HasPrefix(got[0].Text, "iptables drops") || !strings.Contains(got[0].Fix, "iptables -I FORWARD -i pvwa-+ -j ACCEPT") {
		t.Errorf("warnings %q", got)
	}
}

// Whoever has let our interfaces through, in whatever firewall, is not told again.
func TestForeignFirewalls(t *testing.T) {
	outside(t)
	n := openNetwork(t, Options{ID: "fw"})
	for name, c := range map[string]struct{ closed, fix, opened string }{
		"ufw": {
			`table ip filter { chain ufw-user-forward { }; chain FORWARD { type filter hook forward priority 0; policy drop; jump ufw-user-forward; }; }`,
			"ufw route allow in on pvfw-+ && ufw allow in on pvfw-+ to any port 53", `add rule ip filter ufw-user-forward iifname "pv*" counter accept`,
		},
		"firewalld": {
			`table inet firewalld { chain filter_FWD_trusted { accept; }; chain zones { }; chain filter_FORWARD { type filter hook forward priority 10; ct state established accept; jump zones; reject with icmpx admin-prohibited; }; }`,
			"firewall-cmd --permanent --zone=trusted --add-interface=pvfw-+ && firewall-cmd --reload",
			`insert rule inet firewalld zones iifname "pvfw-*" goto filter_FWD_trusted`,
		},
		"questions": {
			`table ip filter { chain INPUT { type filter hook input priority 0; policy drop; }; }`,
			"iptables -I INPUT -i pvfw-+ -p udp --dport 53 -j ACCEPT; iptables -I INPUT -i pvfw-+ -p tcp --dport 53 -j ACCEPT",
			`add rule ip filter INPUT iifname "pvfw-*" udp dport 53 accept`,
		},
		"own": {
			`table inet mine { chain through { type filter hook forward priority 0; policy drop; }; }`,
			`nft insert rule inet mine through iifname "pvfw-*" accept; nft insert rule inet mine through oifname "pvfw-*" ct state established,related accept`,
			`insert rule inet mine through iifname "pvfw-*" accept; insert rule inet mine through oifname "pvfw-*" ct state established,related accept`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			nft(t, c.closed)
			words := strings.Fields(c.closed)
			t.Cleanup(func() { nft(t, "delete table "+words[1]+" "+words[2]) })
			got, err := n.Warnings()
			check(t, err)
			if len(got) != 1 || got[0].Fix != c.fix {
				t.Fatalf("warnings %q", got)
			}
			nft(t, c.opened)
			got, err = n.Warnings()
			check(t, err)
			equal(t, "warnings when it is open", len(got), 0)
		})
	}
}
