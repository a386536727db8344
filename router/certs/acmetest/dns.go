package acmetest

import (
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// Zone is the DNS that an Authority sees: every name leads to 127.0.0.1 unless Point says otherwise, and TXT
// records are added and removed by dynamic update (RFC 2136) with a shared key (TSIG, RFC 8945).
type Zone struct {
	Addr string // host:port, UDP and TCP

	mu      sync.Mutex
	points  map[string]string
	txt     map[string][]string
	updates int
	servers []*dns.Server
}

// The key of updates.
const (
	KeyName   = "paas."
	KeySecret = "c2VjcmV0IG9mIHRoZSB0ZXN0cw=="
	apex      = "example.com."
)

// serveDNS listens on the loopback.
func serveDNS() (*Zone, error) {
	z := &Zone{points: map[string]string{}, txt: map[string][]string{}}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	z.Addr = tcp.Addr().String()
	udp, err := net.ListenPacket("udp", z.Addr)
	if err != nil {
		return nil, fmt.Errorf("the same port for UDP: %w", err)
	}
	secrets := map[string]string{KeyName: KeySecret}
	z.servers = []*dns.Server{
		{Listener: tcp, Handler: z, TsigSecret: secrets, MsgAcceptFunc: acceptUpdates},
		{PacketConn: udp, Handler: z, TsigSecret: secrets, MsgAcceptFunc: acceptUpdates},
	}
	for _, s := range z.servers {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() { _ = s.ActivateAndServe() }()
		<-started
	}
	return z, nil
}

// acceptUpdates: the library refuses them by default.
func acceptUpdates(h dns.Header) dns.MsgAcceptAction {
	if int(h.Bits>>11)&0xF == dns.OpcodeUpdate {
		return dns.MsgAccept
	}
	return dns.DefaultMsgAcceptFunc(h)
}

func (z *Zone) close() {
	for _, s := range z.servers {
		_ = s.Shutdown()
	}
}

// Point leads a name elsewhere: to an address, or with "" nowhere.
func (z *Zone) Point(name, addr string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.points[dns.Fqdn(name)] = addr
}

// Updates is how many updates were made.
func (z *Zone) Updates() int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.updates
}

// ServeDNS implements dns.Handler.
func (z *Zone) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	a := new(dns.Msg)
	a.SetReply(q)
	a.Authoritative = true
	signed := q.IsTsig() != nil && w.TsigStatus() == nil
	switch {
	case q.Opcode == dns.OpcodeUpdate && !signed:
		a.Rcode = dns.RcodeRefused
	case q.Opcode == dns.OpcodeUpdate:
		z.update(q.Ns)
	case len(q.Question) == 1:
		z.answer(a, q.Question[0])
	}
	if signed {
		a.SetTsig(KeyName, dns.HmacSHA256, 300, int64(q.IsTsig().TimeSigned))
	}
	_ = w.WriteMsg(a)
}

func (z *Zone) answer(a *dns.Msg, q dns.Question) {
	z.mu.Lock()
	defer z.mu.Unlock()
	name := strings.ToLower(q.Name)
	addr, moved := z.points[name]
	if !moved {
		addr = "127.0.0.1"
	}
	soa, _ := dns.NewRR(apex + " 5 IN SOA ns." + apex + " root." + apex + " 1 5 5 5 5")
	switch {
	case q.Qtype == dns.TypeSOA && name == apex:
		a.Answer = append(a.Answer, soa)
	case q.Qtype == dns.TypeNS && name == apex:
		rr, _ := dns.NewRR(apex + " 5 IN NS ns." + apex)
		a.Answer = append(a.Answer, rr)
	case q.Qtype == dns.TypeTXT:
		for _, text := range z.txt[name] {
			a.Answer = append(a.Answer, &dns.TXT{Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 1}, Txt: []string{text}})
		}
	case addr == "":
		a.Rcode = dns.RcodeNameError
	case q.Qtype == dns.TypeA:
		rr, _ := dns.NewRR(q.Name + " 1 IN A " + addr)
		a.Answer = append(a.Answer, rr)
	}
	if len(a.Answer) == 0 {
		a.Ns = append(a.Ns, soa)
	}
}

func (z *Zone) update(list []dns.RR) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.updates++
	for _, rr := range list {
		t, ok := rr.(*dns.TXT)
		if !ok {
			continue
		}
		name, text := strings.ToLower(t.Hdr.Name), strings.Join(t.Txt, "")
		var kept []string
		for _, have := range z.txt[name] {
			if have != text {
				kept = append(kept, have)
			}
		}
		if t.Hdr.Class == dns.ClassINET {
			kept = append(kept, text)
		}
		z.txt[name] = kept
	}
}
