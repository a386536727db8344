package network

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"paas/platform"
)

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
	check(t, n2.Adopt(e, Owner{App: "x", Type: "web", Number: 1}))
	works("after Adopt")
	err = n2.Adopt(eGone, Owner{})
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
	check(t, big.Adopt(e, Owner{}))
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

func TestParseResolv(t *testing.T) {
	f := parseResolv("; c\nnameserver 127.0.0.1\nnameserver 1.2.3.4\n nameserver  5.6.7.8 \nnameserver fe80::1%eth0\n\nsearch x A.Example.\noptions a b\n")
	equal(t, "servers", fmt.Sprint(f.servers), "[127.0.0.1 1.2.3.4 5.6.7.8 fe80::1%eth0]")
	equal(t, "rest", strings.Join(f.rest, "|"), "search x A.Example.|options a b")
	equal(t, "domains", strings.Join(f.domains(), " "), "x a.example")
}

// With systemd-resolved the host's file names loopback only; the servers behind it are in another one.
func TestSystemdResolved(t *testing.T) {
	check(t, setResolv("nameserver 127.0.0.53\noptions edns0\n"))
	t.Cleanup(func() { check(t, setResolv(testResolv)) })
	check(t, os.MkdirAll("/run/systemd/resolve", 0o755))
	check(t, os.WriteFile(systemdResolv, []byte("nameserver 9.9.9.9\n"), 0o644))
	t.Cleanup(func() { check(t, os.Remove(systemdResolv)) })
	equal(t, "servers for containers", fmt.Sprint(containerServers()), "[9.9.9.9]")
	equal(t, "servers for us", fmt.Sprint(hostServers()), "[127.0.0.53]")
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

// BenchmarkAttach reports medians in microseconds: of an endpoint, of an app that takes it, of its end, and of a
// whole table written anew.
func BenchmarkAttach(b *testing.B) {
	n := openNetwork(b, Options{ID: "be"})
	var attach, admit, detach, rebuild []time.Duration
	timed := func(list *[]time.Duration, f func() error) {
		started := time.Now()
		check(b, f())
		*list = append(*list, time.Since(started))
	}
	for b.Loop() {
		var e Endpoint
		pid := box(b)
		timed(&attach, func() (err error) { e, err = n.Attach(pid, "shop-1"); return err })
		o := Owner{App: "shop", Type: "web", Number: 1, Key: "shop-1"}
		timed(&admit, func() error { return n.Admit(e, o) })
		timed(&rebuild, n.Rebuild)
		timed(&detach, func() error { return n.Detach(e) })
	}
	for name, list := range map[string][]time.Duration{"attach": attach, "admit": admit, "detach": detach, "rebuild": rebuild} {
		slices.Sort(list)
		b.ReportMetric(float64(list[len(list)/2].Microseconds()), name+"-µs")
	}
}

// Other people's interfaces come and go while ours are listed.
func TestListedWhileInterfacesChange(t *testing.T) {
	n := openNetwork(t, Options{ID: "ch"})
	_, e := member(t, n, "shop", "web", 1)
	addBridge := func(name string) error {
		return netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}})
	}
	for i := range 60 { // more than one message's worth
		name := fmt.Sprint("still", i)
		check(t, addBridge(name))
		t.Cleanup(func() { check(t, netlink.LinkDel(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}})) })
	}
	stop, stopped := make(chan struct{}), make(chan error)
	go func() {
		var err error
		for err == nil {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			err = errors.Join(addBridge("moving"), netlink.LinkDel(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "moving"}}))
		}
		stopped <- err
	}()
	interrupted := 0
	for end := time.Now().Add(time.Minute); interrupted < 3 && time.Now().Before(end); {
		if _, err := n.route.LinkList(); errors.Is(err, netlink.ErrDumpInterrupted) {
			interrupted++
		}
		links, err := n.links()
		check(t, err)
		if len(links) != 1 || links[0].Attrs().Name != e.Iface {
			t.Fatalf("interfaces %v, want %s", links, e.Iface)
		}
	}
	close(stop)
	check(t, <-stopped)
	if interrupted == 0 {
		t.Error("no list was interrupted: this test shows nothing")
	}
}
