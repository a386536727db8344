package router

import (
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// A connection to an instance on this machine is not paced as one over the wide world is, whatever the host chose.
func TestNearInstancesAreNotPaced(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	p := &pool{addr: netip.MustParseAddrPort(l.Addr().String())}
	c, err := p.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer p.discard(c)
	var info *unix.TCPInfo
	var name string
	if err := c.raw.Control(func(fd uintptr) {
		info, _ = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		name, _ = unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION)
	}); err != nil || info == nil {
		t.Fatal(err)
	}
	if info.Rtt < near && name != "reno" {
		t.Errorf("it is %q after %d µs", name, info.Rtt)
	}
}
