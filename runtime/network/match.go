package network

import (
	"net"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Parts of rules. Register 1 is 16 bytes long, and register 2 begins where it ends (nf_tables.h,
// NFT_REG_*), so an interface's name and an address make one key of 20 bytes.

// Offsets of header fields (RFC 791, RFC 768, RFC 9293).
const (
	ipSource        = 12
	ipDestination   = 16
	destinationPort = 2
)

// nameSize is IFNAMSIZ.
const nameSize = 16

func join(parts [][]expr.Any) []expr.Any { return slices.Concat(parts...) }

func accept() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}} }
func drop() []expr.Any   { return []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}} }

// A name compared over fewer bytes than it has is compared by its beginning.
func from(prefix string) []expr.Any {
	return compare(&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1}, expr.CmpOpEq, []byte(prefix))
}

func to(prefix string) []expr.Any {
	return compare(&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1}, expr.CmpOpEq, []byte(prefix))
}

func notTo(prefix string) []expr.Any {
	return compare(&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1}, expr.CmpOpNeq, []byte(prefix))
}

func isIPv4() []expr.Any {
	return compare(&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, expr.CmpOpEq, []byte{unix.NFPROTO_IPV4})
}

func notIPv4() []expr.Any {
	return compare(&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, expr.CmpOpNeq, []byte{unix.NFPROTO_IPV4})
}

func compare(load expr.Any, op expr.CmpOp, data []byte) []expr.Any {
	return []expr.Any{load, &expr.Cmp{Op: op, Register: 1, Data: data}}
}

// reply matches packets of connections that the other side was allowed to open.
func reply() []expr.Any {
	states := binaryutil.NativeEndian.PutUint32(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED)
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: states, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}

func address(offset, register uint32) *expr.Payload {
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4}
}

func sourceNotIn(s *nftables.Set) []expr.Any {
	return append(isIPv4(),
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1}, address(ipSource, 2),
		&expr.Lookup{SourceRegister: 1, SetName: s.Name, SetID: s.ID, Invert: true})
}

func destinationIn(s *nftables.Set) []expr.Any {
	return append(isIPv4(), address(ipDestination, 1), &expr.Lookup{SourceRegister: 1, SetName: s.Name, SetID: s.ID})
}

func destinationWithin(p netip.Prefix) []expr.Any { return within(ipDestination, p) }
func sourceWithin(p netip.Prefix) []expr.Any      { return within(ipSource, p) }

func within(offset uint32, p netip.Prefix) []expr.Any {
	return append(isIPv4(),
		address(offset, 1),
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: net.CIDRMask(p.Bits(), 32), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: p.Masked().Addr().AsSlice()})
}

func port(protocol byte, number uint16) []expr.Any {
	return append(
		compare(&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, expr.CmpOpEq, []byte{protocol}),
		compare(&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: destinationPort, Len: 2},
			expr.CmpOpEq, binaryutil.BigEndian.PutUint16(number))...)
}

// member is an element of the endpoints set.
func member(iface string, addr netip.Addr) nftables.SetElement {
	key := make([]byte, nameSize, nameSize+4)
	copy(key, iface)
	return nftables.SetElement{Key: append(key, addr.AsSlice()...)}
}

// addrMembers names each address once: the kernel refuses doubles.
func addrMembers(addrs []netip.Addr) []nftables.SetElement {
	var all []nftables.SetElement
	for i, a := range addrs {
		if !slices.Contains(addrs[:i], a) {
			all = append(all, nftables.SetElement{Key: a.AsSlice()})
		}
	}
	return all
}
