package network

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// deepest is how far jumps from chain to chain are followed; the kernel has 16 (NFT_JUMP_STACK_SIZE).
const deepest = 16

// Barred implements platform.Walls: whether a firewall of the host's own drops what containers send to the internet.
func (n *Network) Barred() (text, fix string) {
	c, err := nftables.New()
	if err != nil {
		return "", ""
	}
	chains, err := c.ListChains()
	if err != nil {
		return "", ""
	}
	for _, ch := range chains {
		if ch.Table.Family != nftables.TableFamilyIPv6 && n.bars(c, ch) {
			return fmt.Sprintf("the host's firewall (nftables table %q, chain %q) drops by policy what apps send to the internet", ch.Table.Name, ch.Name),
				"as root on the server: " + n.forwardFix(ch)
		}
	}
	return "", ""
}

// bars tells whether a chain drops forwarded packets by policy, and no rule that we understand lets ours pass, there
// and back.
func (n *Network) bars(c *nftables.Conn, ch *nftables.Chain) bool {
	if !dropsForwarded(ch) {
		return false
	}
	out, back := n.passes(c, ch.Table, ch.Name, deepest)
	return !out || !back
}

// passes looks for rules of a chain, and of those it jumps to, that accept what containers send, and the answers.
func (n *Network) passes(c *nftables.Conn, table *nftables.Table, chain string, depth int) (out, back bool) {
	rules, err := c.GetRules(table, &nftables.Chain{Name: chain, Table: table})
	if err != nil || depth == 0 {
		return false, false
	}
	for _, r := range rules {
		o, b, verdict := n.readRule(r)
		if verdict == nil {
			continue
		}
		if verdict.Kind == expr.VerdictJump || verdict.Kind == expr.VerdictGoto {
			jumpOut, jumpBack := n.passes(c, table, verdict.Chain, depth-1)
			o, b = o && jumpOut, b && jumpBack
		}
		out, back = out || o, back || b
	}
	return out, back
}

// readRule tells whether a rule meets all that containers send, and all that answers them, and what it does with it. nil:
// it asks for something else, or it neither accepts nor jumps.
func (n *Network) readRule(r *nftables.Rule) (out, back bool, verdict *expr.Verdict) {
	out, back = true, true
	var key expr.MetaKey
	state := false // what is compared is a connection's state
	for _, e := range r.Exprs {
		switch e := e.(type) {
		case *expr.Counter, *expr.Bitwise:
		case *expr.Ct:
			state, out = e.Key == expr.CtKeySTATE, false
		case *expr.Match: // iptables' spelling
			if e.Name != "conntrack" && e.Name != "state" && e.Name != "comment" {
				return false, false, nil
			}
			out = out && e.Name == "comment"
		case *expr.Lookup: // "ct state vmap { established : accept, … }"
			if !state || !e.IsDestRegSet {
				return false, false, nil
			}
			verdict = &expr.Verdict{Kind: expr.VerdictAccept}
		case *expr.Meta:
			key, state = e.Key, false
		case *expr.Cmp:
			o, b := n.meets(key, state, e)
			out, back = out && o, back && b
		case *expr.Verdict:
			verdict = e
		default:
			return false, false, nil
		}
	}
	if verdict != nil && verdict.Kind != expr.VerdictAccept && verdict.Kind != expr.VerdictJump && verdict.Kind != expr.VerdictGoto {
		verdict = nil
	}
	return out, back, verdict
}

// meets reads one comparison: with an interface's name, or of a connection's state.
func (n *Network) meets(key expr.MetaKey, state bool, cmp *expr.Cmp) (out, back bool) {
	if state {
		return true, true
	}
	ours := cmp.Op == expr.CmpOpEq && n.isOurs(cmp.Data)
	others := cmp.Op == expr.CmpOpEq && bytes.Equal(cmp.Data, []byte{unix.NFPROTO_IPV4})
	switch key {
	case expr.MetaKeyIIFNAME:
		return ours, false
	case expr.MetaKeyOIFNAME:
		return false, ours
	case expr.MetaKeyNFPROTO:
		return others, others
	}
	return false, false
}

// isOurs knows the beginning of our interfaces' names: a name that is compared whole ends with a zero byte.
func (n *Network) isOurs(data []byte) bool {
	return len(data) > 0 && !bytes.ContainsRune(data, 0) && strings.HasPrefix(n.prefix(), string(data))
}
