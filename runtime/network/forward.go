package network

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// How long the host's servers may take: each of them, and all together. A C library asks again after five
// seconds.
const (
	serverWait = 2 * time.Second
	allWait    = 4500 * time.Millisecond
)

// forward asks the host's servers, one after the other, until one has an answer. An app with a list of names
// may reach what the answer holds before it gets it.
func (s *nameServer) forward(asker resident, req *dns.Msg, tcp bool) *dns.Msg {
	ctx, cancel := context.WithTimeout(s.life, allWait)
	defer cancel()
	reply := s.ask(ctx, req, tcp)
	if reply == nil {
		return refusal(req, dns.RcodeServerFailure)
	}
	if err := s.learnFrom(asker, reply); err != nil {
		s.network.log.Error("learn addresses for an app's list", "app", asker.App, "error", err)
		return refusal(req, dns.RcodeServerFailure)
	}
	return reply
}

// ask is nil if no server answered.
func (s *nameServer) ask(ctx context.Context, req *dns.Msg, tcp bool) (last *dns.Msg) {
	question := req.Copy()
	question.Id = dns.Id() // what a container can choose, others could guess
	client := &dns.Client{Net: "udp", Timeout: serverWait, UDPSize: uint16(min(udpSize(req), dns.MaxMsgSize))}
	if tcp {
		client.Net = "tcp"
	}
	for range 2 {
		for _, server := range hostServers() {
			if s.network.subnet.Contains(server) || ctx.Err() != nil {
				continue // it is ourselves
			}
			reply, _, err := client.ExchangeContext(ctx, question, net.JoinHostPort(server.String(), strconv.Itoa(namePort)))
			if err != nil || reply == nil {
				continue
			}
			reply.Id, last = req.Id, reply
			if reply.Rcode == dns.RcodeSuccess || reply.Rcode == dns.RcodeNameError {
				return reply
			}
		}
		if last != nil {
			return last
		}
	}
	return nil
}

// learnFrom reads the addresses of an answer, and those behind aliases in it.
func (s *nameServer) learnFrom(asker resident, reply *dns.Msg) error {
	if asker.App == "" || len(reply.Question) != 1 || len(reply.Answer) == 0 {
		return nil
	}
	ttl := mostStay
	var addrs []netip.Addr
	for _, rr := range reply.Answer {
		var ip net.IP
		switch rr := rr.(type) {
		case *dns.A:
			ip = rr.A
		case *dns.AAAA:
			ip = rr.AAAA
		}
		if a, ok := netip.AddrFromSlice(ip); ok {
			addrs = append(addrs, a.Unmap())
			ttl = min(ttl, time.Duration(rr.Header().Ttl)*time.Second)
		}
	}
	if len(addrs) == 0 {
		return nil
	}
	name := strings.TrimSuffix(strings.ToLower(reply.Question[0].Name), ".")
	return s.network.learn(asker.App, name, addrs, ttl)
}
