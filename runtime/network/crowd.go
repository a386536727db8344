package network

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// crowd counts who is in, so that one container, or one app, keeps no other out.
type crowd[K comparable] struct {
	most, mostOfOne int

	mu  sync.Mutex
	all int
	of  map[K]int
}

// enter fails when there are too many. leave must be called once.
func (c *crowd[K]) enter(who K) (leave func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all >= c.most || c.of[who] >= c.mostOfOne {
		return nil, false
	}
	if c.of == nil {
		c.of = map[K]int{}
	}
	c.all++
	c.of[who]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.all--
		if c.of[who]--; c.of[who] == 0 {
			delete(c.of, who)
		}
	}, true
}

// doorkeeper is a listener that hangs up on whoever has too many connections: each is a descriptor of the
// daemon.
type doorkeeper struct {
	net.Listener
	crowd *crowd[netip.Addr]
}

// Accept implements net.Listener.
func (d doorkeeper) Accept() (net.Conn, error) {
	for {
		c, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from, err := netip.ParseAddrPort(c.RemoteAddr().String())
		if err == nil {
			if leave, ok := d.crowd.enter(from.Addr().Unmap()); ok {
				return &guest{Conn: c, leave: sync.OnceFunc(leave)}, nil
			}
		}
		_ = c.Close()
	}
}

// guest is a connection that was let in.
type guest struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (g *guest) Close() error {
	g.leave()
	return g.Conn.Close()
}

// How many datagrams with questions the kernel takes from one container, so that a flood does not fill the
// socket's buffer. What is too much is dropped.
const (
	questionsPerSecond = 300
	askerStays         = time.Minute
	mostAskers         = 65_535
	questionBuffer     = 4 << 20 // bytes; the kernel counts some 800 for a datagram
)

// limitQuestions adds the rule, in front of the one that accepts.
func (b *builder) limitQuestions(input *nftables.Chain) error {
	b.lastID++
	askers := &nftables.Set{
		Table: b.n.table(), ID: b.lastID, Name: "askers", KeyType: nftables.TypeIFName, Dynamic: true, HasTimeout: true,
		Timeout: askerStays, Size: mostAskers,
	}
	if err := b.AddSet(askers, nil); err != nil {
		return err
	}
	b.fromUs(input, destinationIs(b.n.gateway()), port(unix.IPPROTO_UDP, b.n.namesAt), []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Dynset{
			SrcRegKey: 1, SetName: askers.Name, SetID: askers.ID, Operation: uint32(unix.NFT_DYNSET_OP_UPDATE),
			Exprs: []expr.Any{&expr.Limit{
				Type: expr.LimitTypePkts, Rate: questionsPerSecond, Unit: expr.LimitTimeSecond, Burst: questionsPerSecond, Over: true,
			}},
		},
	}, drop())
	return nil
}
