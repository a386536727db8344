package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// dialPatience is how long a peer gets to answer: all of them are on this machine.
const dialPatience = 700 * time.Millisecond

// sockets opens those that see or make other people's packets, or reach around the network.
func sockets() []try {
	var tries []try
	for what, s := range map[string][3]int{
		"a raw IPv4 socket":          {unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW},
		"a raw ICMP socket":          {unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP},
		"a raw TCP socket":           {unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_TCP},
		"a raw IPv6 socket":          {unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_RAW},
		"a raw ICMPv6 socket":        {unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6},
		"a packet socket":            {unix.AF_PACKET, unix.SOCK_RAW, 0x0300},
		"an ARP socket":              {unix.AF_PACKET, unix.SOCK_DGRAM, 0x0608},
		"an old packet socket":       {unix.AF_INET, unix.SOCK_PACKET, 0x0300},
		"a crypto socket":            {unix.AF_ALG, unix.SOCK_SEQPACKET, 0},
		"a socket to the hypervisor": {unix.AF_VSOCK, unix.SOCK_STREAM, 0},
		"a key socket":               {unix.AF_KEY, unix.SOCK_RAW, 2},
		"an XDP socket":              {unix.AF_XDP, unix.SOCK_RAW, 0},
		"a CAN socket":               {unix.AF_CAN, unix.SOCK_RAW, 1},
		"a Bluetooth socket":         {unix.AF_BLUETOOTH, unix.SOCK_RAW, 1},
		"an audit socket":            {unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_AUDIT},
	} {
		tries = append(tries, try{"open " + what, func() error {
			fd, err := unix.Socket(s[0], s[1], s[2])
			if err != nil {
				return err
			}
			if s[0] == unix.AF_NETLINK {
				err = talkAudit(fd)
			}
			return errors.Join(err, unix.Close(fd))
		}})
	}
	return append(tries,
		try{"be transparent", func() error { return option(unix.SOL_IP, unix.IP_TRANSPARENT, 1) }},
		try{"mark packets", func() error { return option(unix.SOL_SOCKET, unix.SO_MARK, 1) }},
		try{"see all packets' priorities", func() error { return option(unix.SOL_SOCKET, unix.SO_PRIORITY, 7) }},
		try{"force a large buffer", func() error { return option(unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 1<<30) }},
		try{"debug a socket", func() error { return option(unix.SOL_SOCKET, unix.SO_DEBUG, 1) }},
		try{"replace iptables' rules", func() error { return option(unix.SOL_IP, 64, 0) }}, // IPT_SO_SET_REPLACE
	)
}

func talkAudit(fd int) error {
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1}); err != nil {
		return err
	}
	return nil
}

func option(level, name, value int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return unix.SetsockoptInt(fd, level, name, value)
}

// netlinkChanges rewires the container's own network, which would be the way around the host's walls.
func netlinkChanges() []try {
	eth0, err := netlink.LinkByName("eth0")
	if err != nil {
		eth0 = &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: 2, Name: "eth0"}}
	}
	addr, _ := netlink.ParseAddr("10.255.255.254/8")
	_, all, _ := net.ParseCIDR("128.0.0.0/1")
	return []try{
		{"add an address", func() error { return netlink.AddrAdd(eth0, addr) }},
		{"add a route", func() error { return netlink.RouteAdd(&netlink.Route{LinkIndex: eth0.Attrs().Index, Dst: all}) }},
		{"delete the routes", func() error { return netlink.RouteDel(&netlink.Route{LinkIndex: eth0.Attrs().Index, Dst: all}) }},
		{"set the hardware address", func() error { return netlink.LinkSetHardwareAddr(eth0, net.HardwareAddr{2, 0, 0, 0, 0, 1}) }},
		{"set the interface down", func() error { return netlink.LinkSetDown(eth0) }},
		{"sniff", func() error { return netlink.SetPromiscOn(eth0) }},
		{"add a bridge", func() error { return netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br9"}}) }},
		{"add a dummy", func() error { return netlink.LinkAdd(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: "dm9"}}) }},
		{"move the interface to init's namespace", func() error { return netlink.LinkSetNsPid(eth0, 1) }},
		{"set a neighbour", func() error {
			return netlink.NeighSet(&netlink.Neigh{LinkIndex: eth0.Attrs().Index, State: netlink.NUD_PERMANENT,
				IP: net.IPv4(10, 0, 0, 1), HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1}})
		}},
		{"add a rule", func() error { r := netlink.NewRule(); r.Table, r.Priority = 99, 99; return netlink.RuleAdd(r) }},
		{"read the firewall", netfilter},
		{"list conntrack", func() error {
			flows, err := netlink.ConntrackTableList(netlink.ConntrackTable, unix.AF_INET)
			if err == nil && len(flows) == 0 {
				return errNothing
			}
			return err
		}},
	}
}

// netfilter asks for the nftables tables, which needs CAP_NET_ADMIN.
func netfilter() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	const getTables, dump = 10<<8 | 1, unix.NLM_F_REQUEST | unix.NLM_F_DUMP // NFNL_SUBSYS_NFTABLES, NFT_MSG_GETTABLE
	message := []byte{20, 0, 0, 0, getTables & 0xff, getTables >> 8, dump & 0xff, dump >> 8, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	if err := unix.Sendto(fd, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	b := make([]byte, 4096)
	n, err := unix.Read(fd, b)
	if err != nil {
		return err
	}
	if n >= 20 && b[4] == unix.NLMSG_ERROR {
		return unix.Errno(-int32(uint32(b[16]) | uint32(b[17])<<8 | uint32(b[18])<<16 | uint32(b[19])<<24))
	}
	return nil
}

// reach connects to addresses that a container must not reach: each word is "tcp:ADDR:PORT",
// "udp:ADDR:PORT" or "ping:ADDR". Whoever answers was reached.
func reach(words []string) []try {
	var tries []try
	for _, w := range words {
		kind, peer, _ := strings.Cut(w, ":")
		answer := make(chan error, 1)
		go func() { answer <- answers(kind, peer) }() // all at once: silence takes its time
		tries = append(tries, try{"reach " + w, func() error { return <-answer }})
	}
	return tries
}

func answers(kind, peer string) error {
	switch kind {
	case "ping":
		return ping(peer)
	case "udp":
		return ask(peer)
	}
	c, err := net.DialTimeout("tcp", peer, dialPatience)
	if err != nil {
		return err
	}
	return c.Close()
}

// ask expects any datagram back.
func ask(peer string) error {
	c, err := net.Dial("udp", peer)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Write([]byte("who is there?")); err != nil {
		return err
	}
	_ = c.SetReadDeadline(time.Now().Add(dialPatience))
	_, err = c.Read(make([]byte, 64))
	return err
}

// ping uses the datagram kind of ICMP socket, which needs no capability.
func ping(peer string) error {
	addr, err := netip.ParseAddr(peer)
	if err != nil {
		return err
	}
	network, echo := "udp4", []byte{8, 0, 0, 0, 0, 0, 0, 1}
	family, protocol := unix.AF_INET, unix.IPPROTO_ICMP
	if addr.Is6() {
		network, echo[0], family, protocol = "udp6", 128, unix.AF_INET6, unix.IPPROTO_ICMPV6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), network)
	defer func() { _ = f.Close() }()
	c, err := net.FilePacketConn(f)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if _, err := c.WriteTo(echo, &net.UDPAddr{IP: addr.AsSlice(), Zone: addr.Zone()}); err != nil {
		return err
	}
	_ = c.SetReadDeadline(time.Now().Add(dialPatience))
	for {
		_, from, err := c.ReadFrom(make([]byte, 64))
		if err != nil || !isOwn(from) {
			return err
		}
	}
}

// isOwn tells whether this container itself answered, as it does to a multicast.
func isOwn(from net.Addr) bool {
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if a.(*net.IPNet).IP.Equal(from.(*net.UDPAddr).IP) {
			return true
		}
	}
	return false
}

// spoof sends datagrams with a source that is not the container's. words are pairs of source and
// destination. Whether one arrives is for the test to see; here only a socket that is bound to the
// source counts, and only if the kernel sends from it.
func spoof(words []string) []try {
	var tries []try
	for i := 0; i+1 < len(words); i += 2 {
		source, to := words[i], words[i+1]
		tries = append(tries, try{fmt.Sprintf("send from %s to %s", source, to), func() error { return sendFrom(source, to) }})
	}
	return tries
}

func sendFrom(source, to string) error {
	from, err := netip.ParseAddr(source)
	if err != nil {
		return err
	}
	dest, err := netip.ParseAddrPort(to)
	if err != nil {
		return err
	}
	family, free, level := unix.AF_INET, unix.IP_FREEBIND, unix.SOL_IP
	if from.Is6() {
		family, free, level = unix.AF_INET6, unix.IPV6_FREEBIND, unix.SOL_IPV6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	_ = unix.SetsockoptInt(fd, level, free, 1)
	if err := unix.Bind(fd, sockaddr(netip.AddrPortFrom(from, 0))); err != nil {
		return err
	}
	return unix.Sendto(fd, []byte("spoofed"), 0, sockaddr(dest))
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
}

func dialUnix(name string) error {
	c, err := net.Dial("unix", name)
	if err != nil {
		return err
	}
	return c.Close()
}

// connectionFlood fills the buffers of connections with itself, which nobody reads.
func connectionFlood() map[string]int64 {
	const size, each, enough = 4 * mebibyte, 64 << 10, 512 * mebibyte
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return map[string]int64{"failed": 1}
	}
	chunk := make([]byte, each)
	var kept []net.Conn
	var taken int64
	for taken < enough {
		c, err := net.DialTimeout("tcp", l.Addr().String(), time.Second)
		if err != nil {
			break
		}
		kept = append(kept, c)
		_ = c.(*net.TCPConn).SetWriteBuffer(size)
		for {
			_ = c.SetWriteDeadline(time.Now().Add(5 * time.Millisecond))
			n, err := c.Write(chunk)
			taken += int64(n)
			if err != nil {
				break
			}
		}
		if len(kept) > 300 {
			break
		}
	}
	return map[string]int64{"bytes": taken, "connections": int64(len(kept))}
}
