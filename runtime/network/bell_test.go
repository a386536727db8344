package network

import (
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"

	"paas/platform"
)

// rung tells who rang within a moment; "" if nobody.
func rung(n *Network) platform.AppName {
	select {
	case app := <-n.Rings():
		return app
	case <-time.After(300 * time.Millisecond):
		return ""
	}
}

func (n *Network) mustHear(t *testing.T, app platform.AppName) time.Time {
	t.Helper()
	at, err := n.Heard(app)
	check(t, err)
	return at
}

// Who may call a sleeper wakes it by a new connection and by data on an old one, over both families; who may
// not, replies and silence do not.
func TestBell(t *testing.T) {
	n := openNetwork(t, Options{ID: "be", Dir: t.TempDir(), Policies: []platform.Policy{
		policyOf("shop", platform.Link{App: "shop", To: "db"}),
	}})
	shop, eshop := member(t, n, "shop", "web", 1)
	db, edb := member(t, n, "db", "web", 1)
	stranger, _ := member(t, n, "stranger", "web", 1)
	greet(t, db, fmt.Sprintf("[::]:%d", edb.Port))
	greet(t, shop, fmt.Sprintf("[::]:%d", eshop.Port))
	equal(t, "heard before anybody called", n.mustHear(t, "db"), time.Time{})
	held := dialHeld(t, shop, addrPort(edb))
	_, err := call(shop, addrPort(edb))
	check(t, err)
	equal(t, "rings of one that is awake", rung(n), "")
	before := n.mustHear(t, "db")
	if age := time.Since(before); age > 5*time.Second || age < -time.Second {
		t.Errorf("it was heard %v ago", age)
	}
	equal(t, "asked again", n.mustHear(t, "db"), before)

	check(t, n.Doze("db", []platform.ProcessType{"web"}, false))
	check(t, n.Doze("shop", []platform.ProcessType{"web"}, false))
	_, err = call(stranger, addrPort(edb))
	if err == nil {
		t.Error("a stranger came through")
	}
	_, err = held.peer.Write([]byte("a reply"))
	check(t, err)
	equal(t, "a stranger, a reply and silence", rung(n), "")
	for what, addr := range map[string]string{"IPv4": addrPort(edb), "IPv6": addrPort6(edb)} {
		_, err = call(shop, addr)
		check(t, err)
		equal(t, what, rung(n), "db")
		for rung(n) != "" {
			continue // the connection's other packets
		}
	}
	_, err = held.conn.Write([]byte("a question"))
	check(t, err)
	equal(t, "an old connection", rung(n), "db")
	for rung(n) != "" {
		continue
	}
	check(t, n.Rouse("db"))
	_, err = call(shop, addrPort(edb))
	check(t, err)
	equal(t, "awake again", rung(n), "")
}

// Other software's reload of the firewall takes the bell away, too, and it comes back with who sleeps.
func TestBellIsRepaired(t *testing.T) {
	o := Options{ID: "br", Dir: t.TempDir()}
	n := openNetwork(t, o)
	one, eone := member(t, n, "blog", "web", 1)
	two, _ := member(t, n, "blog", "worker", 1)
	greet(t, one, fmt.Sprintf("[::]:%d", eone.Port))
	check(t, n.Doze("blog", []platform.ProcessType{"web"}, false))
	nft(t, "flush ruleset")
	check(t, n.Repair())
	_, err := call(two, addrPort(eone))
	check(t, err)
	equal(t, "after a flush", rung(n), "blog")
	heard := n.mustHear(t, "blog")

	check(t, n.Close()) // a successor takes the table over
	m, err := Open(o)
	check(t, err)
	t.Cleanup(func() { check(t, m.Close()) })
	check(t, m.Adopt(eone, Owner{App: "blog", Type: "web", Number: 1}))
	if d := m.mustHear(t, "blog").Sub(heard); d < -time.Second || d > time.Second {
		t.Errorf("the successor heard %v later", d)
	}
	check(t, m.Doze("blog", []platform.ProcessType{"web"}, false))
	_, err = call(two, addrPort(eone))
	check(t, err)
	equal(t, "after a restart", rung(m), "blog")
}

// A question for the name of an app that is gone waits until it is there, and that of a stranger does not.
func TestNameOfASleeperWaits(t *testing.T) {
	n := openNetwork(t, Options{ID: "bn", Dir: t.TempDir(), Policies: []platform.Policy{
		policyOf("shop", platform.Link{App: "shop", To: "db"}),
	}})
	shop, _ := member(t, n, "shop", "web", 1)
	stranger, _ := member(t, n, "stranger", "web", 1)
	check(t, n.Doze("db", []platform.ProcessType{"web"}, true))
	equal(t, "a stranger", said(ask(stranger, n, "udp", "db.internal.", dns.TypeA)), said(ask(stranger, n, "udp", "nobody.internal.", dns.TypeA)))
	came := make(chan Endpoint, 1)
	go func() {
		if rung(n) == "db" {
			_, e := member(t, n, "db", "web", 1) // it has an address before it is healthy
			time.Sleep(200 * time.Millisecond)
			_ = n.Rouse("db")
			came <- e
		}
	}()
	begun := time.Now()
	got := said(ask(shop, n, "tcp", "db.internal.", dns.TypeA))
	equal(t, "its address", got, (<-came).Addr.String())
	if took := time.Since(begun); took < 200*time.Millisecond {
		t.Errorf("the answer came after %v, before it was awake", took)
	}
}
