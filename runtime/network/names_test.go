package network

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"paas/platform"
)

// elsewhereNames is a nameserver of the world outside, at 203.0.113.2. It knows a few names.
func elsewhereNames(t testing.TB, out int) {
	t.Helper()
	answer := dns.HandlerFunc(func(w dns.ResponseWriter, req *dns.Msg) {
		reply := new(dns.Msg)
		reply.SetReply(req)
		name := strings.TrimSuffix(req.Question[0].Name, ".")
		switch name {
		case "one.example.com", "vm.c.project.internal":
			reply.Answer = []dns.RR{record(t, name+". 60 IN A 198.18.0.1")}
		case "alias.example.com":
			reply.Answer = []dns.RR{record(t, name+". 60 IN CNAME two.example.net."), record(t, "two.example.net. 60 IN A 198.18.0.2")}
		case "secret.example.com":
			reply.Answer = []dns.RR{record(t, name+". 60 IN A 169.254.169.254")}
		case "big.example.com":
			for i := range 100 {
				reply.Answer = append(reply.Answer, record(t, fmt.Sprintf("%s. 60 IN A 198.18.1.%d", name, i)))
			}
			if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
				reply.Truncate(udpSize(req))
			}
		default:
			reply.Rcode = dns.RcodeNameError
		}
		_ = w.WriteMsg(reply)
	})
	in(t, out, func() (any, error) {
		packets, err := net.ListenPacket("udp4", "203.0.113.2:53")
		check(t, err)
		stream, err := net.Listen("tcp4", "203.0.113.2:53")
		check(t, err)
		for _, s := range []*dns.Server{{PacketConn: packets, Handler: answer}, {Listener: stream, Handler: answer}} {
			go func() { _ = s.ActivateAndServe() }()
			t.Cleanup(func() { _ = s.Shutdown() })
		}
		return nil, nil
	})
}

func record(t testing.TB, text string) dns.RR {
	t.Helper()
	rr, err := dns.NewRR(text)
	check(t, err)
	return rr
}

// ask asks the gateway from inside a container.
func ask(pid int, n *Network, transport, name string, kind uint16) (*dns.Msg, error) {
	return tryIn(pid, func() (*dns.Msg, error) {
		client := &dns.Client{Net: transport, Timeout: 3 * time.Second}
		req := new(dns.Msg)
		req.SetQuestion(dns.Fqdn(name), kind)
		reply, _, err := client.Exchange(req, n.gateway().String()+":53")
		return reply, err
	})
}

// said is an answer in a line: what kind of no, or the data of the records, sorted.
func said(reply *dns.Msg, err error) string {
	if err != nil {
		return err.Error()
	}
	if reply.Rcode != dns.RcodeSuccess {
		return dns.RcodeToString[reply.Rcode]
	}
	var list []string
	for _, rr := range reply.Answer {
		list = append(list, strings.TrimSpace(strings.TrimPrefix(rr.String(), rr.Header().String())))
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func TestNames(t *testing.T) {
	out := outside(t)
	elsewhereNames(t, out)
	n := openNetwork(t, Options{ID: "na", Policies: []platform.Policy{
		policyOf("shop", platform.Link{App: "shop", To: "db", Type: "primary"}),
	}})
	shop, web1 := member(t, n, "shop", "web", 1)
	_, web2 := member(t, n, "shop", "web", 2)
	job, _ := member(t, n, "shop", "run", 0)
	_, primary := member(t, n, "db", "primary", 1)
	_, replica := member(t, n, "db", "replica", 1)
	stranger, _ := member(t, n, "stranger", "web", 1)
	nobody := box(t)
	_, err := n.Attach(nobody, "build")
	check(t, err)
	both := []string{web1.Addr.String(), web2.Addr.String()}
	slices.Sort(both)
	reverse := func(a netip.Addr) string {
		name, err := dns.ReverseAddr(a.String())
		check(t, err)
		return name
	}
	for _, c := range []struct {
		from int
		name string
		kind uint16
		want string
	}{
		{shop, "web.shop.internal", dns.TypeA, strings.Join(both, " ")},
		{shop, "WEB.Shop.Internal", dns.TypeA, strings.Join(both, " ")},
		{shop, "shop.internal", dns.TypeA, strings.Join(both, " ")},
		{job, "shop.internal", dns.TypeA, strings.Join(both, " ")},
		{shop, "2.web.shop.internal", dns.TypeA, web2.Addr.String()},
		{shop, "2.web.shop.internal", dns.TypeAAAA, web2.Addr6.String()},
		{shop, "2.web.shop.internal", dns.TypeSRV, fmt.Sprintf("0 0 %d 2.web.shop.internal.", web2.Port)},
		{shop, "2.web.shop.internal", dns.TypeMX, ""},
		{shop, "3.web.shop.internal", dns.TypeA, "NXDOMAIN"},
		{shop, "02.web.shop.internal", dns.TypeA, "NXDOMAIN"},
		{shop, "run.shop.internal", dns.TypeA, "NXDOMAIN"},
		{shop, "primary.db.internal", dns.TypeA, primary.Addr.String()},
		{shop, "replica.db.internal", dns.TypeA, "NXDOMAIN"},
		{shop, "web.stranger.internal", dns.TypeA, "NXDOMAIN"},
		{stranger, "web.shop.internal", dns.TypeA, "NXDOMAIN"},
		{nobody, "web.shop.internal", dns.TypeA, "NXDOMAIN"},
		{shop, "internal", dns.TypeA, "NXDOMAIN"},
		{shop, "a.b.c.d.internal", dns.TypeA, "NXDOMAIN"},
		{shop, reverse(web2.Addr), dns.TypePTR, "2.web.shop.internal."},
		{shop, reverse(web2.Addr6), dns.TypePTR, "2.web.shop.internal."},
		{shop, reverse(replica.Addr), dns.TypePTR, "NXDOMAIN"},
		{stranger, reverse(web1.Addr), dns.TypePTR, "NXDOMAIN"},
		{shop, "one.example.com", dns.TypeA, "198.18.0.1"},
		{nobody, "one.example.com", dns.TypeA, "198.18.0.1"},
		{shop, "none.example.com", dns.TypeA, "NXDOMAIN"},
	} {
		for _, transport := range []string{"udp", "tcp"} {
			equal(t, fmt.Sprintf("%s %s %s", c.name, dns.TypeToString[c.kind], transport), said(ask(c.from, n, transport, c.name, c.kind)), c.want)
		}
	}
	first := map[string]bool{}
	for range 30 {
		reply, err := ask(shop, n, "udp", "web.shop.internal", dns.TypeA)
		check(t, err)
		first[reply.Answer[0].(*dns.A).A.String()] = true
	}
	equal(t, "addresses that come first now and then", len(first), 2)
	check(t, n.Detach(web2))
	equal(t, "after the end of web.2", said(ask(shop, n, "udp", "web.shop.internal", dns.TypeA)), web1.Addr.String())
	if got := said(ask(0, n, "udp", "one.example.com", dns.TypeA)); got == "198.18.0.1" {
		t.Error("somebody who is no container was answered")
	}
}

// What does not fit a datagram is cut and comes whole over TCP; with EDNS more fits.
func TestLongAnswers(t *testing.T) {
	out := outside(t)
	elsewhereNames(t, out)
	n := openNetwork(t, Options{ID: "la"})
	pid, _ := member(t, n, "shop", "web", 1)
	reply, err := ask(pid, n, "udp", "big.example.com", dns.TypeA)
	check(t, err)
	reply.Compress = true
	if !reply.Truncated || reply.Len() > dns.MinMsgSize {
		t.Errorf("plain: truncated %v, %d bytes", reply.Truncated, reply.Len())
	}
	reply, err = ask(pid, n, "tcp", "big.example.com", dns.TypeA)
	check(t, err)
	equal(t, "records over TCP", len(reply.Answer), 100)
	in(t, pid, func() (any, error) {
		client := &dns.Client{Net: "udp", Timeout: 3 * time.Second, UDPSize: 4096}
		req := new(dns.Msg)
		req.SetQuestion("big.example.com.", dns.TypeA)
		req.SetEdns0(4096, false)
		reply, _, err := client.Exchange(req, n.gateway().String()+":53")
		check(t, err)
		equal(t, "records with EDNS", len(reply.Answer), 100)
		return nil, nil
	})
}

// The host asks a server on its own loopback, which no container could; and clouds name machines below internal.
func TestHostsOwnNames(t *testing.T) {
	out := outside(t)
	elsewhereNames(t, out)
	check(t, setResolv("nameserver 203.0.113.2\nsearch c.project.internal example.com\n"))
	t.Cleanup(func() { check(t, setResolv(testResolv)) })
	n := openNetwork(t, Options{ID: "hn"})
	pid, _ := member(t, n, "shop", "web", 1)
	equal(t, "a machine of the cloud", said(ask(pid, n, "udp", "vm.c.project.internal", dns.TypeA)), "198.18.0.1")
	equal(t, "another", said(ask(pid, n, "udp", "vm.c.other.internal", dns.TypeA)), "NXDOMAIN")

	answer := dns.HandlerFunc(func(w dns.ResponseWriter, req *dns.Msg) {
		reply := new(dns.Msg)
		reply.SetReply(req)
		reply.Answer = []dns.RR{record(t, req.Question[0].Name+" 60 IN A 192.0.2.53")}
		_ = w.WriteMsg(reply)
	})
	packets, err := net.ListenPacket("udp4", "127.0.0.53:53")
	check(t, err)
	server := &dns.Server{PacketConn: packets, Handler: answer}
	go func() { _ = server.ActivateAndServe() }()
	t.Cleanup(func() { _ = server.Shutdown() })
	check(t, setResolv("nameserver 127.0.0.53\n"))
	equal(t, "a name that the loopback's server knows", said(ask(pid, n, "udp", "x.example.org", dns.TypeA)), "192.0.2.53")
}

// While the daemon is replaced the host's server answers; afterwards our names are there again.
func TestNamesOutliveTheDaemon(t *testing.T) {
	out := outside(t)
	elsewhereNames(t, out)
	o := Options{ID: "no", Dir: t.TempDir()}
	n := openNetwork(t, o)
	pid, e := member(t, n, "shop", "web", 1)
	owner := Owner{App: "shop", Type: "web", Number: 1}
	equal(t, "before", said(ask(pid, n, "udp", "shop.internal", dns.TypeA)), e.Addr.String())
	check(t, n.Close())
	keeps := in(t, pid, func() (*dns.Conn, error) { return dns.Dial("udp", n.gateway().String()+":53") })
	t.Cleanup(func() { _ = keeps.Close() })
	asks := func(name string) (*dns.Msg, error) {
		req := new(dns.Msg)
		req.SetQuestion(name, dns.TypeA)
		_ = keeps.SetDeadline(time.Now().Add(3 * time.Second))
		if err := keeps.WriteMsg(req); err != nil {
			return nil, err
		}
		return keeps.ReadMsg()
	}
	equal(t, "without a daemon, from a socket that stays", said(asks("one.example.com.")), "198.18.0.1")
	for _, transport := range []string{"udp", "tcp"} {
		equal(t, "without a daemon, "+transport, said(ask(pid, n, transport, "one.example.com", dns.TypeA)), "198.18.0.1")
	}
	n, err := Open(o)
	check(t, err)
	t.Cleanup(func() { check(t, n.Close()) })
	check(t, n.Adopt(e, owner))
	n.takeBack()
	equal(t, "after, from a socket that stayed", said(asks("shop.internal.")), e.Addr.String())
	equal(t, "after", said(ask(pid, n, "udp", "shop.internal", dns.TypeA)), e.Addr.String())
	equal(t, "after", said(ask(pid, n, "udp", "one.example.com", dns.TypeA)), "198.18.0.1")
}

// Another server of the host holds port 53 of all addresses.
func TestPort53IsTaken(t *testing.T) {
	out := outside(t)
	elsewhereNames(t, out)
	taken, err := net.ListenPacket("udp4", "0.0.0.0:53")
	check(t, err)
	t.Cleanup(func() { _ = taken.Close() })
	n := openNetwork(t, Options{ID: "pt"})
	pid, e := member(t, n, "shop", "web", 1)
	for _, transport := range []string{"udp", "tcp"} {
		equal(t, transport, said(ask(pid, n, transport, "shop.internal", dns.TypeA)), e.Addr.String())
	}
}

// The addresses of a name on an app's list are open to the app from the answer on, and to nobody else.
func TestNamesOnAList(t *testing.T) {
	out := outside(t)
	elsewhereNames(t, out)
	greet(t, out, "[::]:80")
	greet(t, out, "[::]:443")
	o := Options{ID: "nl", Dir: t.TempDir(), Policies: []platform.Policy{
		listOf(t, "shop", "one.example.com:443", "alias.example.com", "secret.example.com"),
		listOf(t, "other", "*.example.net"),
	}}
	n := openNetwork(t, o)
	shop, eshop := member(t, n, "shop", "web", 1)
	other, _ := member(t, n, "other", "web", 1)
	reaches := func(when string, from int, to string, want bool) {
		t.Helper()
		if got, err := call(from, to); (err == nil) != want {
			t.Errorf("%s: %s: %q, %v", when, to, got, err)
		}
	}
	reaches("before the lookup", shop, "198.18.0.1:443", false)
	for _, name := range []string{"one.example.com", "alias.example.com", "secret.example.com", "ONE.example.com"} {
		_, err := ask(shop, n, "udp", name, dns.TypeA)
		check(t, err)
		_, err = ask(other, n, "udp", name, dns.TypeA)
		check(t, err)
	}
	after := func(when string) {
		t.Helper()
		reaches(when, shop, "198.18.0.1:443", true)
		reaches(when+": another port", shop, "198.18.0.1:80", false)
		reaches(when+": an alias", shop, "198.18.0.2:80", true)
		reaches(when+": the metadata service", shop, "169.254.169.254:80", false)
		reaches(when+": another app", other, "198.18.0.1:443", false)
	}
	after("after the lookup")
	check(t, n.Rebuild())
	after("after a rebuild")
	check(t, n.Close())
	n, err := Open(o)
	check(t, err)
	t.Cleanup(func() { check(t, n.Close()) })
	check(t, n.Adopt(eshop, Owner{App: "shop", Type: "web", Number: 1}))
	after("after a restart of the daemon")
}

// A container that asks without end keeps no other from being answered, nor does an app with many containers.
func TestQuestionFlood(t *testing.T) {
	out := outside(t)
	check(t, setResolv("nameserver 203.0.113.77\n")) // nobody: every question waits
	t.Cleanup(func() { check(t, setResolv(testResolv)) })
	n := openNetwork(t, Options{ID: "qf"})
	greet(t, out, "[::]:80")
	victim, e := member(t, n, "shop", "web", 1)
	for number := range 1 + questionsAtOnce/questionsOfOne {
		flooder, _ := member(t, n, "flood", "web", number+1)
		in(t, flooder, func() (any, error) { floodQuestions(t, n); return nil, nil })
	}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			equal(t, "a neighbour", said(ask(victim, n, "udp", "shop.internal", dns.TypeA)), e.Addr.String())
		})
	}
	wg.Wait()
}

func floodQuestions(t *testing.T, n *Network) {
	c, err := net.Dial("udp4", n.gateway().String()+":53")
	check(t, err)
	t.Cleanup(func() { _ = c.Close() })
	for i := range 300 {
		req := new(dns.Msg)
		req.SetQuestion(fmt.Sprintf("q%d.example.com.", i), dns.TypeA)
		b, err := req.Pack()
		check(t, err)
		_, _ = c.Write(b)
	}
}

// A container that opens connections without end costs the daemon few descriptors, and its neighbours nothing.
func TestConnectionFlood(t *testing.T) {
	n := openNetwork(t, Options{ID: "cf"})
	flooder, _ := member(t, n, "flood", "web", 1)
	victim, e := member(t, n, "shop", "web", 1)
	in(t, flooder, func() (any, error) {
		for range 200 {
			c, err := net.DialTimeout("tcp4", n.gateway().String()+":53", time.Second)
			if err == nil {
				t.Cleanup(func() { _ = c.Close() })
			}
		}
		return nil, nil
	})
	equal(t, "a neighbour", said(ask(victim, n, "tcp", "shop.internal", dns.TypeA)), e.Addr.String())
	held := 0
	for range 100 {
		time.Sleep(20 * time.Millisecond)
		if held = heldAt(t, "/proc/self/net/tcp", n.gateway()); held <= callsOfOne+1 {
			return
		}
	}
	t.Errorf("%d connections are held", held)
}

// heldAt counts established connections (state 01) to an address' port 53 in a proc_pid_net(5) table.
func heldAt(t testing.TB, table string, a netip.Addr) int {
	t.Helper()
	b, err := os.ReadFile(table)
	check(t, err)
	four := a.As4()
	own := fmt.Sprintf("%02X%02X%02X%02X:0035", four[3], four[2], four[1], four[0])
	count := 0
	for line := range strings.Lines(string(b)) {
		if fields := strings.Fields(line); fields[1] == own && fields[3] == "01" {
			count++
		}
	}
	return count
}

func FuzzNames(f *testing.F) {
	f.Add("web.shop.internal", "4.3.2.1.in-addr.arpa")
	f.Add("1.web.shop.internal", strings.Repeat("0.", 32)+"ip6.arpa")
	f.Add("..internal", "1.2.3.in-addr.arpa")
	n := &Network{subnet: netip.MustParsePrefix("10.213.0.0/20"), prefix6: netip.MustParsePrefix("fd00::/64")}
	who := resident{Owner: Owner{App: "shop", Type: "web", Number: 1}, port: 10007}
	n.people.remember(7, who)
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, name := range []string{a, b} {
			req := new(dns.Msg)
			req.SetQuestion(dns.Fqdn(name), dns.TypeANY)
			reply, ours := n.lookUp(who, req)
			if ours && reply.Rcode == dns.RcodeSuccess && len(reply.Answer) == 0 {
				t.Errorf("%q: an empty answer", name)
			}
			if addr, ok := parseReverse(name); ok && !addr.IsValid() {
				t.Errorf("%q: no address", name)
			}
		}
	})
}
