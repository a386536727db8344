package network

import (
	"encoding/hex"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"paas/platform"
)

// The names of instances:
//
//	web.myapp.internal     A, AAAA: every running instance of that process type, in random order
//	                       SRV: the same with their ports
//	myapp.internal         the same as web.myapp.internal
//	2.web.myapp.internal   one instance
//	…in-addr.arpa, ip6.arpa of an instance's address: PTR
//
// An app finds its own names and those of the apps it has links to. The rest of internal, which is
// reserved for private use, does not exist, save what the host itself looks names up in.
const (
	zone      = "internal"
	nameTTL   = 5  // seconds: instances come and go
	mostNames = 32 // addresses in one answer
)

// lookUp answers what is ours to answer.
func (n *Network) lookUp(asker resident, req *dns.Msg) (reply *dns.Msg, ours bool) {
	q := req.Question[0]
	name := strings.TrimSuffix(strings.ToLower(q.Name), ".")
	if addr, ok := parseReverse(name); ok {
		number, ours := n.numberOf(addr)
		if !ours {
			return nil, false
		}
		return n.reverse(asker, req, number), true
	}
	if name != zone && !strings.HasSuffix(name, "."+zone) || belongsToHost(name) {
		return nil, false
	}
	reply = authoritative(req)
	numbers := n.find(asker, name)
	if len(numbers) == 0 {
		return denied(reply, dns.RcodeNameError), true
	}
	for _, number := range numbers {
		reply.Answer = append(reply.Answer, n.records(number, q)...)
	}
	if len(reply.Answer) == 0 {
		return denied(reply, dns.RcodeSuccess), true
	}
	return reply, true
}

// belongsToHost tells whether the host's own search list holds the name, as on clouds that name machines
// below internal.
func belongsToHost(name string) bool {
	return slices.ContainsFunc(readResolv(hostResolv).domains(), func(d string) bool {
		return (d == zone || strings.HasSuffix(d, "."+zone)) && (name == d || strings.HasSuffix(name, "."+d))
	})
}

func authoritative(req *dns.Msg) *dns.Msg {
	reply := new(dns.Msg)
	reply.SetReply(req)
	reply.Authoritative, reply.RecursionAvailable = true, true
	if opt := req.IsEdns0(); opt != nil {
		reply.SetEdns0(dns.DefaultMsgSize, false)
	}
	return reply
}

// denied tells for how long there is nothing (RFC 2308, section 3).
func denied(reply *dns.Msg, code int) *dns.Msg {
	reply.Rcode = code
	reply.Ns = []dns.RR{&dns.SOA{
		Hdr: header(zone+".", dns.TypeSOA), Ns: "ns." + zone + ".", Mbox: "hostmaster." + zone + ".",
		Serial: 1, Refresh: 60, Retry: 60, Expire: 60, Minttl: 1,
	}}
	return reply
}

func header(name string, kind uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: nameTTL}
}

// find lists the instances that a name stands for and the asker may know, in random order.
func (n *Network) find(asker resident, name string) []uint32 {
	app, kind, number, ok := parseName(name)
	if !ok {
		return nil
	}
	numbers := n.people.find(func(r resident) bool {
		return r.App == app && r.Number > 0 && strings.EqualFold(string(r.Type), kind) && (number == 0 || r.Number == number)
	})
	numbers = slices.DeleteFunc(numbers, func(at uint32) bool {
		who, _ := n.people.who(at)
		return !n.knows(asker, who)
	})
	rand.Shuffle(len(numbers), func(i, j int) { numbers[i], numbers[j] = numbers[j], numbers[i] })
	return numbers[:min(len(numbers), mostNames)]
}

// parseName reads 2.web.myapp.internal; number is 0 for web.myapp.internal. name is lower case.
func parseName(name string) (app platform.AppName, kind string, number int, ok bool) {
	inner, ok := strings.CutSuffix(name, "."+zone)
	labels := strings.Split(inner, ".")
	if len(labels) == 3 {
		var err error
		if number, err = strconv.Atoi(labels[0]); err != nil || number < 1 || strconv.Itoa(number) != labels[0] {
			return "", "", 0, false
		}
		labels = labels[1:]
	}
	if len(labels) == 1 {
		labels = []string{string(platform.Web), labels[0]}
	}
	if len(labels) != 2 || !ok {
		return "", "", 0, false
	}
	return platform.AppName(labels[1]), labels[0], number, true
}

// knows tells whether names may lead the asker there.
func (n *Network) knows(asker, who resident) bool {
	if asker.App == "" || asker.App == who.App {
		return asker.App == who.App && asker.App != ""
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.ContainsFunc(n.policies[asker.App].Links, func(l platform.Link) bool {
		return l.To == who.App && (l.Type == "" || l.Type == who.Type)
	})
}

// records are what the question wants to know of one instance.
func (n *Network) records(number uint32, q dns.Question) []dns.RR {
	who, ok := n.people.who(number)
	if !ok {
		return nil
	}
	var list []dns.RR
	if q.Qtype == dns.TypeA || q.Qtype == dns.TypeANY {
		list = append(list, &dns.A{Hdr: header(q.Name, dns.TypeA), A: n.addr(number).AsSlice()})
	}
	if six := n.addr6(number); six.IsValid() && (q.Qtype == dns.TypeAAAA || q.Qtype == dns.TypeANY) {
		list = append(list, &dns.AAAA{Hdr: header(q.Name, dns.TypeAAAA), AAAA: six.AsSlice()})
	}
	if q.Qtype == dns.TypeSRV || q.Qtype == dns.TypeANY {
		list = append(list, &dns.SRV{Hdr: header(q.Name, dns.TypeSRV), Port: who.port, Target: who.name()})
	}
	return list
}

// name leads to one instance.
func (r resident) name() string {
	return strings.ToLower(strconv.Itoa(r.Number)+"."+string(r.Type)+"."+string(r.App)+"."+zone) + "."
}

func (n *Network) reverse(asker resident, req *dns.Msg, number uint32) *dns.Msg {
	reply := authoritative(req)
	who, ok := n.people.who(number)
	if !ok || who.Number == 0 || !n.knows(asker, who) {
		return denied(reply, dns.RcodeNameError)
	}
	q := req.Question[0]
	if q.Qtype != dns.TypePTR && q.Qtype != dns.TypeANY {
		return denied(reply, dns.RcodeSuccess)
	}
	reply.Answer = []dns.RR{&dns.PTR{Hdr: header(q.Name, dns.TypePTR), Ptr: who.name()}}
	return reply
}

// parseReverse reads "4.3.2.1.in-addr.arpa" and the 32 digits of ip6.arpa (RFC 1035, section 3.5; RFC 3596,
// section 2.5). name is lower case.
func parseReverse(name string) (netip.Addr, bool) {
	if four, ok := strings.CutSuffix(name, ".in-addr.arpa"); ok {
		labels := strings.Split(four, ".")
		slices.Reverse(labels)
		a, err := netip.ParseAddr(strings.Join(labels, "."))
		return a, err == nil && a.Is4()
	}
	six, ok := strings.CutSuffix(name, ".ip6.arpa")
	labels := strings.Split(six, ".")
	if !ok || len(labels) != 32 {
		return netip.Addr{}, false
	}
	slices.Reverse(labels)
	digits := strings.Join(labels, "")
	b, err := hex.DecodeString(digits)
	a, whole := netip.AddrFromSlice(b)
	return a, err == nil && whole && len(digits) == 32
}
