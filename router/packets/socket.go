// Package packets lets a process of the platform hand the UDP socket of HTTP/3 to its successor while connections go
// on in the old one. Both have the socket, but only one may read from it. Every connection id that a process gives out
// begins with a tag of its own, so whoever reads passes on what is for another:
//
//	client ─► UDP ─► successor ─┬─► its own connections
//	                            └─► unixgram DIR/TAG.sock ─► predecessor
//	client ◄─ UDP ◄─ both
//
// What is lost on the way is sent again by the clients, as on any network. A packet that is made up does no harm that
// one from the network could not do: QUIC's packets are authentic or dropped.
package packets

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/net/ipv4"
)

const (
	tagLen = 4  // bytes: an id that a client made up begins with another's by chance once in four billion
	idLen  = 12 // bytes of a connection id, the tag included
	suffix = ".sock"
	// queued are packets that wait until this process reads no other; some 2 MB.
	queued = 1024
	// largest is a packet with its address. QUIC's are not larger than an Ethernet frame (RFC 9000, 14.1).
	largest = 2 << 10
)

type tag [tagLen]byte

// Socket is a UDP socket that gives its packets to the process whose connections they are for. It is a
// net.PacketConn for quic-go, and generates its connection ids.
type Socket struct {
	*net.UDPConn
	tag    tag
	path   string
	batch  *ipv4.PacketConn
	own    *net.UnixConn // what a successor passes on to this process
	passed chan packet
	left   atomic.Bool
	over   chan struct{}
	once   sync.Once
	elders map[tag]*net.UnixConn // the reader's alone
}

// packet is one that was passed on.
type packet struct {
	from *net.UDPAddr
	data []byte
}

// Open takes over c, whose other owners have their places in dir, a directory that nobody else may write to. It is
// made where it does not exist.
func Open(c *net.UDPConn, dir string) (*Socket, error) {
	s := &Socket{UDPConn: c, batch: ipv4.NewPacketConn(c), passed: make(chan packet, queued), over: make(chan struct{})}
	_, _ = rand.Read(s.tag[:]) // never fails (crypto/rand)
	s.path = filepath.Join(dir, hex.EncodeToString(s.tag[:])+suffix)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make a place for packets of HTTP/3: %w", err)
	}
	s.elders = find(dir)
	own, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("make a place for packets of HTTP/3: %w", err)
	}
	s.own = own
	go s.receive()
	return s, nil
}

// find reaches the processes that have a place in dir. Places of processes that are no more are removed.
func find(dir string) map[tag]*net.UnixConn {
	elders := map[tag]*net.UnixConn{}
	paths, _ := filepath.Glob(filepath.Join(dir, "*"+suffix)) // the pattern is well-formed
	for _, path := range paths {
		var t tag
		name := filepath.Base(path)
		if n, err := hex.Decode(t[:], []byte(name[:min(len(name)-len(suffix), 2*tagLen)])); err != nil || n != tagLen {
			continue
		}
		c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
		if err != nil {
			_ = os.Remove(path)
			continue
		}
		elders[t] = c
	}
	return elders
}

// GenerateConnectionID implements quic.ConnectionIDGenerator.
func (s *Socket) GenerateConnectionID() (quic.ConnectionID, error) {
	var b [idLen]byte
	_, _ = rand.Read(b[copy(b[:], s.tag[:]):])
	return quic.ConnectionIDFromBytes(b[:]), nil
}

// ConnectionIDLen implements quic.ConnectionIDGenerator.
func (s *Socket) ConnectionIDLen() int { return idLen }

// ReadBatch is how quic-go reads. It blocks until there are packets, in the form of recvmmsg(2); one that was passed on
// to another process has no length. After Leave it gives what the successor passes on.
func (s *Socket) ReadBatch(ms []ipv4.Message, flags int) (int, error) {
	if !s.left.Load() {
		n, err := s.batch.ReadBatch(ms, flags)
		for i := range max(n, 0) {
			s.sort(&ms[i])
		}
		if err == nil || !s.left.Load() {
			return n, err
		}
	}
	select {
	case p := <-s.passed:
		ms[0].N, ms[0].NN, ms[0].Addr = copy(ms[0].Buffers[0], p.data), 0, p.from
		return 1, nil
	case <-s.over:
		return 0, net.ErrClosed
	}
}

// sort passes on what is for another.
func (s *Socket) sort(m *ipv4.Message) {
	data := m.Buffers[0][:m.N]
	t, ok := tagOf(data)
	if !ok || t == s.tag || len(s.elders) == 0 {
		return
	}
	elder, from := s.elders[t], (*net.UDPAddr)(nil)
	if from, ok = m.Addr.(*net.UDPAddr); elder == nil || !ok {
		return
	}
	if !pass(elder, from, data) {
		_ = elder.Close()
		delete(s.elders, t)
	}
	m.N = 0
}

// Leave stops reading from the network: a successor does, and passes on what is for this process.
func (s *Socket) Leave() {
	s.left.Store(true)
	_ = s.UDPConn.SetReadDeadline(time.Unix(1, 0)) // fails on a closed one, which reading tells
}

// SetReadDeadline is called by quic-go, with the present, to end reading for good, and with nothing when it has.
func (s *Socket) SetReadDeadline(t time.Time) error {
	if !t.IsZero() {
		s.once.Do(func() { close(s.over) })
	}
	return s.UDPConn.SetReadDeadline(t)
}

// Close gives up the socket and this process's place. The reader must have ended.
func (s *Socket) Close() error {
	s.once.Do(func() { close(s.over) })
	for _, c := range s.elders {
		_ = c.Close()
	}
	return errors.Join(s.own.Close(), os.Remove(s.path), s.UDPConn.Close())
}
