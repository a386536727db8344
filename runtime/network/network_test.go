package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"paas/platform"
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
	equal(t, "resolv.conf", string(e.Resolv), "nameserver 203.0.113.2\nsearch example.test\n")
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

func TestManyAtOnce(t *testing.T) {
	before := snapshot(t)
	dir := t.TempDir()
	n, err := Open(Options{ID: "many", Dir: dir})
	check(t, err)
	const many = 50
	var pids [many]int
	for i := range pids {
		pids[i] = box(t)
	}
	var wg sync.WaitGroup
	var endpoints [many]Endpoint
	for i, pid := range pids {
		wg.Go(func() {
			var err error
			if endpoints[i], err = n.Attach(pid, fmt.Sprintf("app.web.%d", i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for i, e := range endpoints {
		for _, fact := range []string{e.Addr.String(), fmt.Sprint(e.Port), e.Iface} {
			if seen[fact] {
				t.Errorf("%s is used twice", fact)
			}
			seen[fact] = true
		}
		if i%10 == 0 {
			greet(t, pids[i], addrPort(e))
			if _, err := call(0, addrPort(e)); err != nil {
				t.Error(err)
			}
		}
	}
	for _, e := range endpoints[:many/2] {
		started := time.Now()
		check(t, n.Detach(e))
		if d := time.Since(started); d > 100*time.Millisecond {
			t.Errorf("detach took %s", d)
		}
	}
	check(t, n.Detach(endpoints[0]))
	check(t, n.Destroy())
	equal(t, "left behind", snapshot(t), before+lockFile(before))
}

// lockFile is the one thing that stays.
func lockFile(before string) string {
	if strings.Contains(before, registryDir+"/lock") {
		return ""
	}
	return registryDir + "/lock"
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

// The container runs on, the daemon is replaced; a flush of the firewall in between is mended.
func TestDaemonRestart(t *testing.T) {
	out := outside(t)
	greet(t, out, "203.0.113.2:80")
	o := Options{ID: "re", Dir: t.TempDir()}
	n := openNetwork(t, o)
	pid, gone := box(t), box(t)
	e, err := n.Attach(pid, "x")
	check(t, err)
	greet(t, pid, addrPort(e))
	eGone, err := n.Attach(gone, "y")
	check(t, err)
	check(t, n.route.LinkDel(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Name: eGone.Iface}}))
	check(t, n.Close())

	works := func(when string) {
		t.Helper()
		if _, err := call(pid, "203.0.113.2:80"); err != nil {
			t.Errorf("%s, to the outside: %v", when, err)
		}
		if _, err := call(0, addrPort(e)); err != nil {
			t.Errorf("%s, from the host: %v", when, err)
		}
	}
	works("without a daemon")
	c, err := nftables.New()
	check(t, err)
	c.FlushRuleset()
	check(t, c.Flush())
	n2, err := Open(o)
	check(t, err)
	defer func() { check(t, n2.Close()) }()
	equal(t, "subnet", n2.Subnet(), n.Subnet())
	works("before Adopt")
	check(t, n2.Adopt(e))
	works("after Adopt")
	err = n2.Adopt(eGone)
	equal(t, fmt.Sprintf("kind of %v", err), platform.KindOf(err), platform.NotFound)
	for range 5 {
		other, err := n2.Attach(box(t), "new")
		check(t, err)
		if other.Addr == e.Addr || other.Port == e.Port {
			t.Errorf("%+v was given away again", other)
		}
	}
}

func TestSubnetsAndIDs(t *testing.T) {
	a := openNetwork(t, Options{ID: "sa"})
	b := openNetwork(t, Options{ID: "sb"})
	if a.Subnet().Overlaps(b.Subnet()) {
		t.Errorf("%s and %s overlap", a.Subnet(), b.Subnet())
	}
	for _, c := range []struct {
		o    Options
		kind platform.Kind
	}{
		{Options{ID: "sa", Dir: t.TempDir()}, platform.Conflict},
		{Options{ID: "sc", Dir: t.TempDir(), Subnet: a.Subnet()}, platform.Conflict},
		{Options{ID: "sc", Dir: t.TempDir(), Subnet: netip.MustParsePrefix("8.8.0.0/16")}, platform.Usage},
		{Options{ID: "sc", Dir: t.TempDir(), Subnet: netip.MustParsePrefix("10.1.1.0/24")}, platform.Usage},
		{Options{ID: "Not-an-id", Dir: t.TempDir()}, platform.Internal},
	} {
		n, err := Open(c.o)
		if err == nil {
			_ = n.Destroy()
		}
		if err == nil || platform.KindOf(err) != c.kind {
			t.Errorf("%+v: %v", c.o, err)
		}
	}
	big := openNetwork(t, Options{ID: "sd", Subnet: netip.MustParsePrefix("172.20.0.0/16")})
	pid := box(t)
	e, err := big.Attach(pid, "x")
	check(t, err)
	_, err = Open(Options{ID: "sd", Dir: big.dir, Subnet: netip.MustParsePrefix("172.21.0.0/16")})
	equal(t, fmt.Sprintf("kind of %v", err), platform.KindOf(err), platform.Conflict)
	check(t, big.Adopt(e))
}

// A subnet that the host has a route to is not taken.
func TestFreeSubnet(t *testing.T) {
	got, err := freeSubnet([]netip.Prefix{netip.MustParsePrefix("10.213.0.0/17"), netip.MustParsePrefix("10.213.130.7/32")})
	check(t, err)
	equal(t, "free subnet", got.String(), "10.213.144.0/20")
	_, err = freeSubnet([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
	equal(t, "kind", platform.KindOf(err), platform.Failed)
}

// Forwarding is turned off by the last platform if it was off before the first, and only then.
func TestForwardingIsPutBack(t *testing.T) {
	check(t, os.WriteFile(forwardFile, []byte("0"), 0))
	for _, was := range []string{"0", "1"} {
		check(t, os.WriteFile(forwardFile, []byte(was), 0))
		a, err := Open(Options{ID: "fa", Dir: t.TempDir()})
		check(t, err)
		b, err := Open(Options{ID: "fb", Dir: t.TempDir()})
		check(t, err)
		equal(t, "while open", forwarding(t), "1")
		check(t, a.Destroy())
		equal(t, "with one left", forwarding(t), "1")
		check(t, b.Destroy())
		equal(t, "afterwards", forwarding(t), was)
	}
	check(t, os.WriteFile(forwardFile, []byte("0"), 0))
}

func forwarding(t *testing.T) string {
	t.Helper()
	state, err := os.ReadFile(forwardFile)
	check(t, err)
	return strings.TrimSpace(string(state))
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

func TestFilterResolv(t *testing.T) {
	content, servers := filterResolv("; c\nnameserver 127.0.0.1\nnameserver 1.2.3.4\n nameserver  5.6.7.8 \nnameserver fe80::1%eth0\n\ndomain x\noptions a b\n")
	equal(t, "content", string(content), "nameserver 1.2.3.4\nnameserver 5.6.7.8\ndomain x\noptions a b\n")
	equal(t, "servers", fmt.Sprint(servers), "[1.2.3.4 5.6.7.8]")
}

// With systemd-resolved the host's file names loopback only; the servers behind it are in another one.
func TestSystemdResolved(t *testing.T) {
	check(t, setResolv("nameserver 127.0.0.53\noptions edns0\n"))
	t.Cleanup(func() { check(t, setResolv(testResolv)) })
	check(t, os.MkdirAll("/run/systemd/resolve", 0o755))
	check(t, os.WriteFile(systemdResolv, []byte("nameserver 9.9.9.9\n"), 0o644))
	t.Cleanup(func() { check(t, os.Remove(systemdResolv)) })
	content, _ := readResolv()
	equal(t, "content", string(content), "nameserver 9.9.9.9\n")
}

func tables(t testing.TB) []string {
	t.Helper()
	c, err := nftables.New()
	check(t, err)
	all, err := c.ListTables()
	check(t, err)
	var names []string
	for _, table := range all {
		names = append(names, table.Name)
	}
	return names
}

// An address that no container has is unreachable at once.
func TestUnusedAddress(t *testing.T) {
	n := openNetwork(t, Options{ID: "un"})
	_, err := call(0, n.addr(77).String()+":80")
	if !errors.Is(err, unix.EHOSTUNREACH) {
		t.Error(err)
	}
}

func BenchmarkAttach(b *testing.B) {
	n := openNetwork(b, Options{ID: "be"})
	pids := make([]int, 40)
	for i := range pids {
		pids[i] = box(b)
	}
	for i := 0; b.Loop(); i++ {
		if i == len(pids) {
			b.Fatal("run with -benchtime 30x")
		}
		_, err := n.Attach(pids[i], "x")
		check(b, err)
	}
}
