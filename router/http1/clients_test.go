package http1

import (
	"net/netip"
	"testing"
)

func TestClients(t *testing.T) {
	c := clients{max: 2}
	for _, step := range []struct {
		addr string
		want bool
	}{
		{"192.0.2.1", true}, {"192.0.2.1", true}, {"192.0.2.1", false}, {"192.0.2.2", true},
		{"2001:db8::1", true}, {"2001:db8::2", true}, {"2001:db8::3", false}, {"2001:db8:0:1::1", true},
		{"127.0.0.1", true}, {"127.0.0.1", true}, {"127.0.0.1", true}, {"198.51.100.7", true}, {"198.51.100.7", true}, {"198.51.100.7", true},
	} {
		trusted := func(a netip.Addr) bool { return a.String() == "198.51.100.7" }
		a := netip.MustParseAddr(step.addr)
		if got := !c.counts(a, trusted) || c.enter(a); got != step.want {
			t.Error(step)
		}
	}
	for range 2 {
		c.leave(netip.MustParseAddr("192.0.2.1"))
	}
	if len(c.num) != 3 || !c.enter(netip.MustParseAddr("192.0.2.1")) {
		t.Error(c.num)
	}
}
