package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// batch is changes that go to the kernel in one message (rtnetlink(7)): a container's link takes some twenty,
// and each trip there and back costs as much as the change. The kernel carries them out in order and goes on
// after one that fails.
type batch struct {
	steps []step
}

// step is one change, and what is said when it fails.
type step struct {
	*nl.NetlinkRequest
	doing string
	spare []error // that do not count
}

// answerSize holds what the kernel says to a batch whose steps all fail, or about a link.
const answerSize = 16 << 10

func (b *batch) add(doing string, kind, flags int, data ...nl.NetlinkRequestData) *step {
	req := nl.NewNetlinkRequest(kind, flags)
	for _, d := range data {
		req.AddData(d)
	}
	b.steps = append(b.steps, step{NetlinkRequest: req, doing: doing})
	return &b.steps[len(b.steps)-1]
}

// send returns the first failure. The answer is there when the kernel has taken the message: nothing blocks.
func (b *batch) send(s *nl.NetlinkSocket) error {
	_, err := b.ask(s)
	return err
}

// ask also returns what the kernel told of the link that the last step asks for.
func (b *batch) ask(s *nl.NetlinkSocket) (told []byte, err error) {
	b.steps[len(b.steps)-1].Flags |= unix.NLM_F_ACK // failures are told in any case
	var message []byte
	for _, step := range b.steps {
		message = append(message, step.Serialize()...)
	}
	if err := unix.Sendto(s.GetFd(), message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("send to the kernel: %w", err)
	}
	buf := make([]byte, answerSize)
	for done := false; !done; {
		n, _, err := unix.Recvfrom(s.GetFd(), buf, 0)
		if err != nil {
			return nil, fmt.Errorf("hear from the kernel: %w", err)
		}
		if told, done, err = b.hear(buf[:n], told); err != nil {
			return nil, err
		}
	}
	return told, nil
}

// hear reads one answer.
func (b *batch) hear(answer, before []byte) (told []byte, done bool, err error) {
	header := binary.NativeEndian
	if len(answer) < unix.SizeofNlMsghdr+4 {
		return nil, false, errors.New("hear from the kernel: a short answer")
	}
	kind, seq := header.Uint16(answer[4:]), header.Uint32(answer[8:])
	if kind != unix.NLMSG_ERROR {
		return slices.Clone(answer[unix.SizeofNlMsghdr:]), false, nil
	}
	i := slices.IndexFunc(b.steps, func(s step) bool { return s.Seq == seq })
	if i < 0 {
		return before, false, nil
	}
	last := i == len(b.steps)-1
	code := unix.Errno(-int32(header.Uint32(answer[unix.SizeofNlMsghdr:])))
	if code == 0 || slices.ContainsFunc(b.steps[i].spare, func(e error) bool { return e == error(code) }) {
		return before, last, nil
	}
	return nil, last, fmt.Errorf("%s: %w", b.steps[i].doing, code)
}

// talk opens a socket to the kernel's own side of a network namespace, or of the host's.
func talk(ns *netns.NsHandle) (*nl.NetlinkSocket, error) {
	there := netns.None()
	if ns != nil {
		there = *ns
	}
	s, err := nl.GetNetlinkSocketAt(there, netns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open route socket: %w", err)
	}
	return s, nil
}

func linkMessage(index uint32) *nl.IfInfomsg {
	m := nl.NewIfInfomsg(unix.AF_UNSPEC)
	m.Index = int32(index)
	return m
}

func text(kind int, s string) *nl.RtAttr     { return nl.NewRtAttr(kind, nl.ZeroTerminated(s)) }
func number32(kind int, n uint32) *nl.RtAttr { return nl.NewRtAttr(kind, nl.Uint32Attr(n)) }

// raise brings a link up.
func (b *batch) raise(doing string, index uint32) {
	m := linkMessage(index)
	m.Flags, m.Change = unix.IFF_UP, unix.IFF_UP
	b.add(doing, unix.RTM_SETLINK, 0, m)
}

// noAutoAddress keeps IPv6 from making up addresses. It does nothing on a kernel without IPv6.
func (b *batch) noAutoAddress(index uint32) {
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	spec.AddRtAttr(unix.AF_INET6, nil).AddRtAttr(unix.IFLA_INET6_ADDR_GEN_MODE, []byte{nl.IN6_ADDR_GEN_MODE_NONE})
	s := b.add("keep IPv6 from making up addresses", unix.RTM_SETLINK, 0, linkMessage(index), spec)
	s.spare = []error{unix.EAFNOSUPPORT, unix.EOPNOTSUPP}
}

// address gives a link one.
func (b *batch) address(index uint32, a netip.Addr, scope uint8) {
	m := nl.NewIfAddrmsg(familyOf(a))
	m.Index, m.Prefixlen, m.Scope = index, uint8(a.BitLen()), scope
	if a.Is6() {
		m.IfAddrmsg.Flags = unix.IFA_F_NODAD
	}
	b.add("add address "+a.String(), unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, m,
		nl.NewRtAttr(unix.IFA_LOCAL, a.AsSlice()), nl.NewRtAttr(unix.IFA_ADDRESS, a.AsSlice()))
}

// way is a route through a link. The zero prefix length stands for everything.
type way struct {
	to     netip.Prefix
	via    netip.Addr // none: to is on the link
	source netip.Addr // of packets that have none yet
	local  bool       // to is the namespace's own
}

func (b *batch) route(index uint32, w way) {
	m := nl.NewRtMsg()
	m.Family, m.Dst_len, m.Scope = uint8(familyOf(w.to.Addr())), uint8(w.to.Bits()), unix.RT_SCOPE_LINK
	data := []nl.NetlinkRequestData{m, number32(unix.RTA_OIF, index)}
	if w.to.Bits() > 0 {
		data = append(data, nl.NewRtAttr(unix.RTA_DST, w.to.Addr().AsSlice()))
	}
	if w.via.IsValid() {
		m.Scope = unix.RT_SCOPE_UNIVERSE
		data = append(data, nl.NewRtAttr(unix.RTA_GATEWAY, w.via.AsSlice()))
	}
	if w.source.IsValid() {
		data = append(data, nl.NewRtAttr(unix.RTA_PREFSRC, w.source.AsSlice()))
	}
	if w.local {
		m.Table, m.Type, m.Scope = unix.RT_TABLE_LOCAL, unix.RTN_LOCAL, unix.RT_SCOPE_HOST
	}
	b.add("add route to "+w.to.String(), unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, data...)
}

// neighbour says for good who has an address.
func (b *batch) neighbour(index uint32, a netip.Addr, mac net.HardwareAddr) {
	m := &netlink.Ndmsg{Family: uint8(familyOf(a)), Index: index, State: netlink.NUD_PERMANENT}
	b.add("add neighbour "+a.String(), unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, m,
		nl.NewRtAttr(netlink.NDA_DST, a.AsSlice()), nl.NewRtAttr(netlink.NDA_LLADDR, mac))
}

// look asks for a link's state.
func (b *batch) look(index uint32) { b.add("look at it", unix.RTM_GETLINK, 0, linkMessage(index)) }

// sends tells whether the link that look was told of does.
func sends(told []byte) bool {
	if len(told) < unix.SizeofIfInfomsg {
		return false
	}
	attrs, err := nl.ParseRouteAttr(told[unix.SizeofIfInfomsg:])
	up := func(a syscall.NetlinkRouteAttr) bool {
		return a.Attr.Type == unix.IFLA_OPERSTATE && len(a.Value) == 1 && a.Value[0] == netlink.OperUp
	}
	return err == nil && slices.ContainsFunc(attrs, up)
}

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
