package hostile_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
	"paas/platform"
	"paas/runtime/runtimetest/sandbox"
)

// Addresses of the documentation (RFC 5737, RFC 3849).
const (
	hostAddr    = "203.0.113.1"
	hostAddr6   = "2001:db8::1"
	outsideAddr = "203.0.113.2"
	metadata    = "169.254.169.254"
)

// service answers everybody on a TCP and a UDP port of all the host's addresses, and counts what is spoofed.
type service struct {
	port    uint16
	spoofed atomic.Int64
}

func serve(t *testing.T, listen func(network, addr string) (net.Listener, net.PacketConn, error), network, addr string) *service {
	t.Helper()
	l, p, err := listen(network, addr)
	sandbox.Check(t, err)
	s := &service{port: uint16(l.Addr().(*net.TCPAddr).Port)}
	t.Cleanup(func() { _, _ = l.Close(), p.Close() })
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			_ = c.Close()
		}
	}()
	go func() {
		b := make([]byte, 100)
		for n, from, err := p.ReadFrom(b); err == nil; n, from, err = p.ReadFrom(b) {
			if string(b[:n]) == "spoofed" {
				s.spoofed.Add(1)
			}
			_, _ = p.WriteTo([]byte("here"), from)
		}
	}()
	return s
}

// listen takes the same port for both.
func listen(network, addr string) (net.Listener, net.PacketConn, error) {
	l, err := net.Listen("tcp"+network, net.JoinHostPort(addr, "0"))
	if err != nil {
		return nil, nil, err
	}
	p, err := net.ListenPacket("udp"+network, l.Addr().String())
	return l, p, err
}

// outside is another machine that containers may reach, through the host.
func outside(t *testing.T) *service {
	t.Helper()
	pid := elsewhere(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "up0"
	up := netlink.NewVeth(attrs)
	up.PeerName, up.PeerNamespace = "eth0", netlink.NsPid(pid)
	sandbox.Check(t, netlink.LinkAdd(up))
	t.Cleanup(func() { sandbox.Check(t, netlink.LinkDel(up)) })
	sandbox.Check(t, errors.Join(addAddr("up0", hostAddr+"/24"), addAddr("up0", hostAddr6+"/64"), addAddr("lo", metadata+"/32")))
	t.Cleanup(func() {
		lo, _ := netlink.LinkByName("lo")
		a, _ := netlink.ParseAddr(metadata + "/32")
		sandbox.Check(t, netlink.AddrDel(lo, a))
	})
	inside := func(f func() error) { sandbox.Check(t, within(pid, f)) }
	inside(func() error { return addAddr("eth0", outsideAddr+"/24") })
	return serve(t, func(network, addr string) (l net.Listener, p net.PacketConn, err error) {
		inside(func() error { l, p, err = listen(network, addr); return err })
		return l, p, err
	}, "4", "0.0.0.0")
}

// elsewhere is a process in a network namespace of its own.
func elsewhere(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	runtime.LockOSThread() // never unlocked: the thread must outlive the test's process
	sandbox.Check(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd.Process.Pid
}

// within runs f on a thread inside the network namespace of a process.
func within(pid int, f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread dies with the goroutine
		ns, err := netns.GetFromPid(pid)
		if err == nil {
			err = errors.Join(netns.Set(ns), ns.Close())
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

func addAddr(iface, addr string) error {
	link, err := netlink.LinkByName(iface)
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(addr)
	if err != nil {
		return err
	}
	a.Flags = unix.IFA_F_NODAD
	return errors.Join(netlink.AddrAdd(link, a), netlink.LinkSetUp(link))
}

// A container reaches the outside, and neither the host nor its neighbour, by whatever address.
func TestReach(t *testing.T) {
	a := newArena(t)
	away := outside(t)
	host := serve(t, listen, "", "::")
	loopback := serve(t, listen, "4", "127.0.0.1")
	gateway := a.Network.Subnet().Addr().Next()
	neighbour := a.neighbour.Addr
	var forbidden []string
	for _, addr := range append([]string{hostAddr, gateway.String(), metadata, "169.254.170.2"}, a.hostAddrs()...) {
		for _, kind := range []string{"tcp:", "udp:"} {
			forbidden = append(forbidden, kind+netip.AddrPortFrom(netip.MustParseAddr(addr), host.port).String())
		}
		forbidden = append(forbidden, "ping:"+addr)
	}
	for _, port := range []uint16{neighbour.Port(), 80, host.port} {
		to := netip.AddrPortFrom(neighbour.Addr(), port).String()
		forbidden = append(forbidden, "tcp:"+to, "udp:"+to)
	}
	forbidden = append(forbidden, "ping:"+neighbour.Addr().String(), "ping:ff02::1%eth0", "ping:255.255.255.255",
		fmt.Sprintf("tcp:[%s]:%d", hostAddr6, host.port), fmt.Sprintf("udp:[%s]:%d", hostAddr6, host.port), "ping:"+hostAddr6,
		fmt.Sprintf("tcp:127.0.0.1:%d", loopback.port), fmt.Sprintf("udp:127.0.0.1:%d", loopback.port),
		fmt.Sprintf("tcp:[::1]:%d", host.port), fmt.Sprintf("tcp:0.0.0.0:%d", host.port), fmt.Sprintf("tcp:127.1.2.3:%d", host.port),
		fmt.Sprintf("tcp:[::ffff:%s]:%d", hostAddr, host.port))
	asBoth(t, "forbidden", func(t *testing.T, root bool) {
		for _, what := range a.in(t).attack(attacker(root), append([]string{"reach"}, forbidden...)...).Achieved {
			t.Errorf("it could %s", what)
		}
	})
	allowed := []string{fmt.Sprintf("tcp:%s:%d", outsideAddr, away.port), fmt.Sprintf("udp:%s:%d", outsideAddr, away.port)}
	if r := a.attack(attacker(false), append([]string{"reach"}, allowed...)...); len(r.Achieved) != len(allowed) {
		t.Errorf("the outside could not be reached, so the rest shows nothing: %v", r.Refused)
	}
	for _, addr := range []string{hostAddr, gateway.String(), "127.0.0.1", metadata} {
		if c, err := net.Dial("tcp", netip.AddrPortFrom(netip.MustParseAddr(addr), host.port).String()); err != nil {
			t.Errorf("the host does not answer itself: %v", err)
		} else {
			_ = c.Close()
		}
	}
}

// hostAddrs are all the host has on its own ends of the links.
func (a *arena) hostAddrs() (all []string) {
	addrs, err := net.InterfaceAddrs()
	sandbox.Check(a.t, err)
	for _, addr := range addrs {
		ip := addr.(*net.IPNet).IP
		switch {
		case ip.IsLoopback() && !ip.IsLinkLocalUnicast():
		case ip.To4() == nil && ip.IsLinkLocalUnicast():
			all = append(all, ip.String()+"%eth0")
		default:
			all = append(all, ip.String())
		}
	}
	return all
}

// Nothing that a container sends with a foreign source arrives anywhere. Mostly its own kernel refuses:
// the host's rules, which come after, are tested with raw packets in package network.
func TestSpoofing(t *testing.T) {
	a := newArena(t)
	away := outside(t)
	host := serve(t, listen, "4", "0.0.0.0")
	gateway := a.Network.Subnet().Addr().Next()
	to := []string{
		fmt.Sprintf("%s:%d", outsideAddr, away.port), fmt.Sprintf("%s:%d", hostAddr, host.port),
		fmt.Sprintf("%s:%d", gateway, host.port), a.neighbour.Addr.String(),
	}
	words := []string{"spoof"}
	for _, source := range []string{a.neighbour.Addr.Addr().String(), gateway.String(), hostAddr, outsideAddr, "198.51.100.7", "127.0.0.1"} {
		for _, dest := range to {
			words = append(words, source, dest)
		}
	}
	asBoth(t, "spoof", func(t *testing.T, root bool) {
		r := a.in(t).attack(attacker(root), words...)
		t.Logf("the container's kernel sent %q", r.Achieved)
	})
	time.Sleep(100 * time.Millisecond)
	if n := away.spoofed.Load() + host.spoofed.Load(); n > 0 {
		t.Errorf("%d spoofed packets arrived", n)
	}
}

// What a neighbour and the host offer by name is not seen: System V and POSIX objects, abstract sockets.
func TestNames(t *testing.T) {
	a := newArena(t)
	holder := attacker(false)
	holder.AppID, holder.App = sandbox.App(2), "app2"
	holder.Command = []string{"/attack", "hold"}
	i, err := a.Start(context.Background(), holder)
	sandbox.Check(t, err)
	sandbox.Eventually(t, "the neighbour offers", func() bool {
		ready := false
		_ = a.Logs(context.Background(), platform.LogQuery{App: "app2", Lines: 1}, func(l platform.LogLine) error { ready = strings.Contains(l.Text, "ready"); return nil })
		return ready
	})
	l, err := net.Listen("unix", "@paas-hostile-test-host")
	sandbox.Check(t, err)
	defer func() { _ = l.Close() }()
	asBoth(t, "ipc", func(t *testing.T, root bool) {
		for _, what := range a.in(t).attack(attacker(root), "ipc", "hold", "httpd", os.Args[0]).Achieved {
			t.Errorf("it could %s", what)
		}
	})
	sandbox.Check(t, a.Stop(context.Background(), i.ID, 0))
}
