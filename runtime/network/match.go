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

// Parts of rules. Register 1 is 16 bytes long and takes what is compared; keys of several fields are put
// together in the 4-byte registers from key on (nf_tables.h, NFT_REG32_*), each field in registers of its own.
const key = unix.NFT_REG32_00

// Offsets of header fields (RFC 791, RFC 8200, RFC 768, RFC 9293).
const (
	source4, destination4 = 12, 16
	source6, destination6 = 8, 24
	destinationPort       = 2
)

func join(parts ...[]expr.Any) []expr.Any { return slices.Concat(parts...) }

func accept() []expr.Any { return verdict(expr.VerdictAccept, "") }
func drop() []expr.Any   { return verdict(expr.VerdictDrop, "") }

func jump(chain string) []expr.Any { return verdict(expr.VerdictJump, chain) }

func verdict(kind expr.VerdictKind, chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: kind, Chain: chain}}
}

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

func compare(load expr.Any, op expr.CmpOp, data []byte) []expr.Any {
	return []expr.Any{load, &expr.Cmp{Op: op, Register: 1, Data: data}}
}

// family matches packets of the address's family.
func family(a netip.Addr) []expr.Any {
	proto := byte(unix.NFPROTO_IPV4)
	if a.Is6() {
		proto = unix.NFPROTO_IPV6
	}
	return compare(&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, expr.CmpOpEq, []byte{proto})
}

// sourceElsewhere matches packets whose source the host does not route back to where they come from.
func sourceElsewhere() []expr.Any {
	return compare(&expr.Fib{Register: 1, ResultOIF: true, FlagSADDR: true, FlagIIF: true}, expr.CmpOpEq, make([]byte, 4))
}

// state matches packets in any of the connection states.
func state(bits uint32) []expr.Any { return ctBits(expr.CtKeySTATE, bits) }

// reply matches packets of connections that the other side was allowed to open.
func reply() []expr.Any { return state(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED) }

// answering matches packets that go against the direction in which their connection was opened.
func answering() []expr.Any {
	const replyDirection = 1 // IP_CT_DIR_REPLY
	return compare(&expr.Ct{Key: expr.CtKeyDIRECTION, Register: 1}, expr.CmpOpEq, []byte{replyDirection})
}

// redirected matches connections to an address that some rule on this host replaced (IPS_DST_NAT).
func redirected() []expr.Any { return ctBits(expr.CtKeySTATUS, 1<<5) }

func ctBits(what expr.CtKey, bits uint32) []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: what, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(bits), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}

func headerField(offset, length, register uint32) *expr.Payload {
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length}
}

// destination loads the packet's destination; the family must have been matched.
func destination(a netip.Addr, register uint32) expr.Any {
	if a.Is6() {
		return headerField(destination6, 16, register)
	}
	return headerField(destination4, 4, register)
}

func destinationIs(a netip.Addr) []expr.Any {
	return append(family(a), compare(destination(a, 1), expr.CmpOpEq, a.AsSlice())...)
}

func destinationWithin(p netip.Prefix) []expr.Any {
	return append(family(p.Addr()), within(destination(p.Addr(), 1), p)...)
}

func sourceWithin(p netip.Prefix) []expr.Any {
	load := headerField(source4, 4, 1)
	if p.Addr().Is6() {
		load = headerField(source6, 16, 1)
	}
	return append(family(p.Addr()), within(load, p)...)
}

func within(load expr.Any, p netip.Prefix) []expr.Any {
	size := p.Addr().BitLen() / 8
	mask := &expr.Bitwise{
		SourceRegister: 1, DestRegister: 1, Len: uint32(size), Mask: net.CIDRMask(p.Bits(), size*8), Xor: make([]byte, size),
	}
	return []expr.Any{load, mask, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: p.Masked().Addr().AsSlice()}}
}

func protocol(number byte) []expr.Any {
	return compare(&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, expr.CmpOpEq, []byte{number})
}

func port(proto byte, number uint16) []expr.Any {
	return append(protocol(proto), compare(loadPort(1), expr.CmpOpEq, binaryutil.BigEndian.PutUint16(number))...)
}

func loadPort(register uint32) expr.Any {
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: destinationPort, Len: 2}
}

// hasSocket matches packets that a socket of this host would take.
func hasSocket() []expr.Any {
	return []expr.Any{&expr.Socket{Key: expr.SocketKeyTransparent, Register: 1}}
}

func found(s *nftables.Set) []expr.Any {
	return []expr.Any{&expr.Lookup{SourceRegister: key, SetName: s.Name, SetID: s.ID}}
}

// groupPair loads whose packet it is and for whom.
func groupPair() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFGROUP, Register: key}, &expr.Meta{Key: expr.MetaKeyOIFGROUP, Register: key + 1},
	}
}

// originalPort loads the protocol and the port that the connection was opened to, before any redirection.
func originalPort(register uint32) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register},
		&expr.Ct{Key: expr.CtKeyPROTODST, Register: register + 1},
	}
}

// word pads a field of a key to whole registers.
func word(field ...byte) []byte {
	for len(field)%4 != 0 {
		field = append(field, 0)
	}
	return field
}

func groupBytes(group uint32) []byte { return binaryutil.NativeEndian.PutUint32(group) }
func portBytes(proto byte, port uint16) []byte {
	return append(word(proto), word(binaryutil.BigEndian.PutUint16(port)...)...)
}

// element makes a set's element of its key's fields.
func element(fields ...[]byte) nftables.SetElement {
	return nftables.SetElement{Key: slices.Concat(fields...)}
}
