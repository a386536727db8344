package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"paas/platform"
)

func policyOf(app platform.AppName, links ...platform.Link) platform.Policy {
	return platform.Policy{App: app, Links: links}
}

func listOf(t testing.TB, app platform.AppName, list ...string) platform.Policy {
	t.Helper()
	p := platform.Policy{App: app, Limited: true}
	for _, s := range list {
		e, err := platform.ParseEgress(s)
		check(t, err)
		p.Allow = append(p.Allow, e)
	}
	return p
}

// Apps are closed to each other, open over a link in its direction, and closed again without it.
func TestLinks(t *testing.T) {
	o := Options{ID: "li", Dir: t.TempDir()}
	n := openNetwork(t, o)
	shop, eshop := member(t, n, "shop", "web", 1)
	_, sibling := member(t, n, "shop", "worker", 1)
	db, edb := member(t, n, "db", "web", 1)
	_, cron := member(t, n, "db", "cron", 1)
	for _, e := range []Endpoint{sibling, edb, cron} {
		greet(t, boxes[e.Addr], fmt.Sprintf("[::]:%d", e.Port))
	}
	greet(t, shop, fmt.Sprintf("[::]:%d", eshop.Port))
	reaches := func(when string, from int, to Endpoint, want bool) {
		t.Helper()
		for _, addr := range []string{addrPort(to), addrPort6(to)} {
			if got, err := call(from, addr); (err == nil) != want {
				t.Errorf("%s: %s: %q, %v", when, addr, got, err)
			}
		}
	}
	reaches("its sibling", shop, sibling, true)
	reaches("closed", shop, edb, false)

	link := platform.Link{App: "shop", To: "db", Type: "web"}
	check(t, n.SetPolicies([]platform.Policy{policyOf("shop", link)}))
	reaches("open", shop, edb, true)
	reaches("another process type", shop, cron, false)
	reaches("backwards", db, eshop, false)
	held := dialHeld(t, shop, addrPort(edb))

	late, elate := member(t, n, "db", "web", 2)
	greet(t, late, fmt.Sprintf("[::]:%d", elate.Port))
	reaches("an instance that started later", shop, elate, true)

	check(t, n.Close())
	o.Policies = []platform.Policy{policyOf("shop", link)}
	n, err := Open(o)
	check(t, err)
	t.Cleanup(func() { check(t, n.Close()) })
	check(t, n.Adopt(eshop, Owner{App: "shop", Type: "web", Number: 1}))
	check(t, n.Adopt(edb, Owner{App: "db", Type: "web", Number: 1}))
	reaches("after a restart of the daemon", shop, edb, true)
	if !held.echoes() {
		t.Error("a restart cut a connection")
	}

	check(t, n.SetPolicies(nil))
	reaches("closed again", shop, edb, false)
	if held.echoes() {
		t.Error("a connection outlives its link")
	}
	link.Type, link.Port = "", int(edb.Port)
	check(t, n.SetPolicies([]platform.Policy{policyOf("shop", link)}))
	reaches("one port", shop, edb, true)
	reaches("another port", shop, cron, false)
}

// heldConn is a connection that stays open.
type heldConn struct {
	conn net.Conn
	peer net.Conn
}

// dialHeld connects from a container to a fresh port beside the one in addr.
func dialHeld(t testing.TB, from int, addr string) heldConn {
	t.Helper()
	to := netip.MustParseAddrPort(addr)
	l := in(t, boxes[to.Addr()], func() (net.Listener, error) { return net.Listen("tcp", ":7777") })
	t.Cleanup(func() { _ = l.Close() })
	c := in(t, from, func() (net.Conn, error) {
		return net.DialTimeout("tcp", netip.AddrPortFrom(to.Addr(), 7777).String(), time.Second)
	})
	p, err := l.Accept()
	check(t, err)
	t.Cleanup(func() { _, _ = c.Close(), p.Close() })
	return heldConn{c, p}
}

func (h heldConn) echoes() bool {
	_, _ = h.conn.Write([]byte("x"))
	_ = h.peer.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	buf := make([]byte, 1)
	n, err := h.peer.Read(buf)
	return err == nil && n == 1
}

// With a list, an app reaches what is on it and nothing else, and is told so at once.
func TestEgressList(t *testing.T) {
	out := outside(t)
	n := openNetwork(t, Options{ID: "eg"})
	pid, _ := member(t, n, "shop", "web", 1)
	free, _ := member(t, n, "free", "web", 1)
	greet(t, out, "[::]:80")
	greet(t, out, "[::]:443")
	held := in(t, pid, func() (net.Conn, error) { return net.Dial("tcp", "203.0.113.2:80") })
	t.Cleanup(func() { _ = held.Close() })

	check(t, n.SetPolicies([]platform.Policy{
		listOf(t, "shop", "198.18.0.0/30:443", "198.18.0.3", "[2001:db8::/64]:443"), listOf(t, "other"),
	}))
	other, _ := member(t, n, "other", "web", 1)
	for _, c := range []struct {
		from int
		to   string
		want bool
	}{
		{pid, "198.18.0.1:443", true}, {pid, "198.18.0.1:80", false}, {pid, "198.18.0.3:80", true},
		{pid, "203.0.113.2:80", false}, {pid, "[2001:db8::2]:443", true}, {pid, "[2001:db8::2]:80", false},
		{other, "198.18.0.3:80", false}, {other, "[2001:db8::2]:443", false},
		{free, "203.0.113.2:80", true}, {free, "[2001:db8::2]:80", true},
	} {
		started := time.Now()
		got, err := call(c.from, c.to)
		if (err == nil) != c.want {
			t.Errorf("%s: %q, %v", c.to, got, err)
		}
		if err != nil && (time.Since(started) > 300*time.Millisecond || !errors.Is(err, unix.ECONNREFUSED)) {
			t.Errorf("%s: refused after %s with %v", c.to, time.Since(started), err)
		}
	}
	check(t, n.SetPolicies(nil))
	if _, err := call(pid, "203.0.113.2:80"); err != nil {
		t.Error("open again:", err)
	}
}

// What somebody else publishes on the host by redirection is as closed as the host itself.
func TestRedirectedServices(t *testing.T) {
	out := outside(t)
	greet(t, out, "[::]:80")
	n := openNetwork(t, Options{ID: "rd"})
	pid, _ := member(t, n, "x", "web", 1)
	nft(t, `table ip publish { chain pre { type nat hook prerouting priority dstnat; ip daddr 203.0.113.1 tcp dport 8080 dnat to 198.18.0.1:80 ; }; }`)
	t.Cleanup(func() { nft(t, "delete table ip publish") })
	if got, err := call(pid, "203.0.113.1:8080"); err == nil {
		t.Errorf("reached %s", got)
	}
}

// Whoever flushes the firewall, its walls are back at once.
func TestFlushIsRepaired(t *testing.T) {
	n := openNetwork(t, Options{ID: "fl"})
	a, _ := member(t, n, "a", "web", 1)
	b, eb := member(t, n, "b", "web", 1)
	greet(t, b, fmt.Sprintf("[::]:%d", eb.Port))
	intact := func() bool { n.mu.Lock(); defer n.mu.Unlock(); return n.intact() }
	if !intact() {
		t.Error("the table is not whole to begin with")
	}
	for _, command := range []string{"flush ruleset", "flush table inet paas-fl", "delete table inet paas-fl"} {
		nft(t, command)
		closed := false
		for range 40 {
			_, err := call(a, addrPort(eb))
			if closed = err != nil; closed {
				break
			}
			time.Sleep(25 * time.Millisecond)
		}
		if !closed {
			t.Errorf("%s: still open", command)
		}
		time.Sleep(repairRest)
	}
	if !slices.Contains(tables(t), "paas-fl-flows") {
		t.Error("the bound on connections is gone")
	}
	if !intact() {
		t.Error("the table is not whole")
	}
}

// Port 80 of an instance is the port that it listens on.
func TestDoors(t *testing.T) {
	n := openNetwork(t, Options{ID: "do"})
	a, _ := member(t, n, "shop", "web", 1)
	b, eb := member(t, n, "shop", "web", 2)
	greet(t, b, fmt.Sprintf("[::]:%d", eb.Port))
	for _, addr := range []netip.Addr{eb.Addr, eb.Addr6} {
		if _, err := call(a, netip.AddrPortFrom(addr, 80).String()); err != nil {
			t.Error(err)
		}
	}
	c, ec := member(t, n, "shop", "api", 1)
	greet(t, c, "[::]:3000")
	ec.Port = 3000
	check(t, n.Admit(ec, Owner{App: "shop", Type: "api", Number: 1}))
	if _, err := call(a, netip.AddrPortFrom(ec.Addr, 80).String()); err != nil {
		t.Error("a port of its own:", err)
	}
	check(t, n.Rebuild())
	if _, err := call(a, netip.AddrPortFrom(ec.Addr, 80).String()); err != nil {
		t.Error("after a rebuild:", err)
	}
}

// nft lists what we wrote, so that people can read it.
func TestTableIsReadable(t *testing.T) {
	n := openNetwork(t, Options{ID: "rb"})
	member(t, n, "shop", "web", 1)
	check(t, n.SetPolicies([]platform.Policy{listOf(t, "shop", "198.18.0.0/30:443", "example.com")}))
	text := nft(t, "list table inet paas-rb")
	for _, part := range []string{"fib saddr . iif oif", "egress-shop", "names4-shop", "@links", "masquerade"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in:\n%s", part, text)
		}
	}
	c, err := nftables.New()
	check(t, err)
	_, err = c.ListTables()
	check(t, err)
}
