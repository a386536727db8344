package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"paas/platform"
)

const (
	namePort      = 53
	namePortSpare = 10_053 // when some server of the host has taken 53 of all addresses; the walls redirect
	namePorts     = 10

	questionsAtOnce = 512 // of all containers
	questionsOfApp  = 128 // of all containers of one app, however many it has
	questionsOfOne  = 48  // of one container
	callsAtOnce     = 512 // TCP connections of all containers
	callsOfOne      = 24
	shutdownNames   = time.Second
)

// nameServer answers containers at the gateway: names of instances itself, the rest by asking the host's
// own servers. It answers nobody but containers.
type nameServer struct {
	network *Network
	servers []*dns.Server
	life    context.Context // ends with close: questions in flight end with it
	cancel  context.CancelFunc
	busy    crowd[netip.Addr]       // questions in flight
	apps    crowd[platform.AppName] // the same, by app
}

// serveNames begins to answer.
func (n *Network) serveNames() error {
	var errs []error
	for i := range namePorts {
		at := uint16(namePort)
		if i > 0 {
			at = uint16(namePortSpare + i - 1)
		}
		s, err := n.listenNames(at)
		if err == nil {
			n.names, n.namesAt = s, at
			return nil
		}
		errs = append(errs, err)
		if !errors.Is(err, unix.EADDRINUSE) {
			break
		}
	}
	return errors.Join(errs...)
}

func (n *Network) listenNames(at uint16) (*nameServer, error) {
	addr := net.JoinHostPort(n.gateway().String(), strconv.Itoa(int(at)))
	// The gateway is an address of the host only while there is a container.
	config := net.ListenConfig{Control: freeBind}
	packets, err := config.ListenPacket(context.Background(), "udp4", addr)
	if err != nil {
		return nil, err
	}
	stream, err := config.Listen(context.Background(), "tcp4", addr)
	if err != nil {
		return nil, errors.Join(err, packets.Close())
	}
	s := &nameServer{network: n, busy: crowd[netip.Addr]{most: questionsAtOnce, mostOfOne: questionsOfOne}}
	s.apps.most, s.apps.mostOfOne = questionsAtOnce, questionsOfApp
	calls := doorkeeper{stream, &crowd[netip.Addr]{most: callsAtOnce, mostOfOne: callsOfOne}}
	s.life, s.cancel = context.WithCancel(context.Background())
	if err := errors.Join(s.serve(&dns.Server{PacketConn: packets}), s.serve(&dns.Server{Listener: calls, MaxTCPQueries: 128})); err != nil {
		s.close()
		return nil, errors.Join(err, packets.Close(), stream.Close())
	}
	return s, nil
}

// freeBind prepares a socket.
func freeBind(_, _ string, c syscall.RawConn) error {
	var err error
	return errors.Join(c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_FREEBIND, 1)
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, questionBuffer) // without the right: the host's size
	}), err)
}

// serve returns when the server has begun.
func (s *nameServer) serve(server *dns.Server) error {
	begun := make(chan struct{})
	ended := make(chan error, 1)
	server.Handler, server.NotifyStartedFunc = s, func() { close(begun) }
	server.ReadTimeout, server.IdleTimeout = 5*time.Second, func() time.Duration { return 10 * time.Second }
	s.network.work.Go(func() { ended <- server.ActivateAndServe() })
	select {
	case <-begun:
		s.servers = append(s.servers, server)
		return nil
	case err := <-ended:
		return fmt.Errorf("serve names: %w", err)
	}
}

func (s *nameServer) close() {
	if s == nil {
		return
	}
	s.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), shutdownNames)
	defer cancel()
	for _, server := range s.servers {
		_ = server.ShutdownContext(ctx)
	}
}

// diverted are questions that went to the host's own server while nobody listened at the gateway. The kernel
// would send what comes from the same port there for as long as it comes.
type diverted struct{ gateway netip.Addr }

// MatchConntrackFlow implements netlink.CustomConntrackFilter.
func (d diverted) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	asked, _ := netip.AddrFromSlice(flow.Forward.DstIP)
	answers, _ := netip.AddrFromSlice(flow.Reverse.SrcIP)
	return asked.Unmap() == d.gateway && answers.Unmap() != d.gateway && flow.Forward.DstPort == namePort
}

// takeBack makes the kernel forget them.
func (n *Network) takeBack() {
	if _, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, diverted{n.gateway()}); err != nil {
		n.log.Error("take questions for names back", "error", err)
	}
}

// ServeDNS implements dns.Handler.
func (s *nameServer) ServeDNS(w dns.ResponseWriter, req *dns.Msg) {
	from, err := netip.ParseAddrPort(w.RemoteAddr().String())
	if err != nil {
		return
	}
	reply := s.answer(from.Addr().Unmap(), req, w.LocalAddr().Network() == "tcp")
	_ = w.WriteMsg(reply) // whoever went away gets none
}

// answer is the whole of what is said to one message.
func (s *nameServer) answer(from netip.Addr, req *dns.Msg, tcp bool) *dns.Msg {
	number, ok := s.network.numberOf(from)
	if !ok {
		return refusal(req, dns.RcodeRefused)
	}
	if req.Opcode != dns.OpcodeQuery || len(req.Question) != 1 {
		return refusal(req, dns.RcodeNotImplemented)
	}
	asker, _ := s.network.people.who(number)
	leave, ok := s.enter(from, asker.App)
	if !ok {
		return refusal(req, dns.RcodeServerFailure)
	}
	defer leave()
	if !s.network.awaitAwake(s.life, asker, strings.TrimSuffix(strings.ToLower(req.Question[0].Name), ".")) {
		return refusal(req, dns.RcodeServerFailure) // to be asked again
	}
	reply, own := s.network.lookUp(asker, req)
	if !own {
		reply = s.forward(asker, req, tcp)
	}
	if !tcp {
		reply.Truncate(udpSize(req))
	}
	return reply
}

// enter fails when the container, its app or all together ask too much at once. leave must be called once.
// Containers that are nobody's, as those of build steps, have no bound together.
func (s *nameServer) enter(from netip.Addr, app platform.AppName) (leave func(), ok bool) {
	if app == "" {
		return s.busy.enter(from)
	}
	leaveApp, ok := s.apps.enter(app)
	if !ok {
		return nil, false
	}
	leaveAll, ok := s.busy.enter(from)
	if !ok {
		leaveApp()
		return nil, false
	}
	return func() { leaveAll(); leaveApp() }, true
}

func refusal(req *dns.Msg, code int) *dns.Msg {
	reply := new(dns.Msg)
	return reply.SetRcode(req, code)
}

// udpSize is how large an answer the asker takes (RFC 6891, section 6.2.3).
func udpSize(req *dns.Msg) int {
	if opt := req.IsEdns0(); opt != nil {
		return max(dns.MinMsgSize, int(opt.UDPSize()))
	}
	return dns.MinMsgSize
}
