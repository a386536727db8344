package network

import (
	"net/netip"
	"os"
	"testing"

	"github.com/miekg/dns"
)

func flag(t testing.TB, path string) string {
	t.Helper()
	state, err := readFlag(path)
	check(t, err)
	return state
}

// A machine that gets its routes from router advertisements keeps getting them while it forwards.
func TestForwardingKeepsRouterAdvertisements(t *testing.T) {
	check(t, os.WriteFile(forward6File, []byte("0"), 0))
	check(t, bridge(t, "uplink", "2001:db8:7::1/64"))
	const uplink = conf6 + "/uplink/"
	equal(t, "accept_ra before", flag(t, uplink+"accept_ra"), "1")
	n, err := Open(Options{ID: "fr", Dir: t.TempDir()})
	check(t, err)
	equal(t, "forwarding", flag(t, forward6File), "1")
	equal(t, "accept_ra", flag(t, uplink+"accept_ra"), "2")
	equal(t, "forwarding of the uplink", flag(t, uplink+"forwarding"), "0")
	equal(t, "forwarding of later interfaces", flag(t, conf6+"/default/forwarding"), "0")
	check(t, n.Destroy())
	equal(t, "forwarding afterwards", flag(t, forward6File), "0")
	equal(t, "accept_ra afterwards", flag(t, uplink+"accept_ra"), "1")
}

func TestWithoutIPv6(t *testing.T) {
	out := outside(t)
	greet(t, out, "203.0.113.2:80")
	check(t, os.WriteFile(conf6+"/default/disable_ipv6", []byte("1"), 0))
	t.Cleanup(func() { check(t, os.WriteFile(conf6+"/default/disable_ipv6", []byte("0"), 0)) })
	n := openNetwork(t, Options{ID: "w6"})
	pid, e := member(t, n, "shop", "web", 1)
	equal(t, "address", e.Addr6, netip.Addr{})
	if _, err := call(pid, "203.0.113.2:80"); err != nil {
		t.Error(err)
	}
	equal(t, "A", said(ask(pid, n, "udp", "shop.internal", dns.TypeA)), e.Addr.String())
	equal(t, "AAAA", said(ask(pid, n, "udp", "shop.internal", dns.TypeAAAA)), "")
	warnings, err := n.Warnings()
	check(t, err)
	if len(warnings) != 1 {
		t.Errorf("warnings %q", warnings)
	}
}

// The prefix is kept, and is a unique local one.
func TestPrefix6(t *testing.T) {
	o := Options{ID: "p6", Dir: t.TempDir()}
	n := openNetwork(t, o)
	check(t, n.Close())
	again, err := Open(o)
	check(t, err)
	defer func() { check(t, again.Close()) }()
	equal(t, "prefix", again.Prefix6(), n.Prefix6())
	equal(t, "bits", again.Prefix6().Bits(), 64)
	if !netip.MustParsePrefix("fd00::/8").Contains(n.Prefix6().Addr()) {
		t.Errorf("%s is no unique local prefix", n.Prefix6())
	}
	number, ok := n.numberOf(n.addr6(77))
	equal(t, "number", number, 77)
	equal(t, "is ours", ok, true)
}
