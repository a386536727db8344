package ports

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"paas/platform"
	"paas/router/proxyproto"
)

// datagrams is a UDP port. Who sends is a client, known by address and port, with a session: a socket of its own
// towards one instance, so that the instance's answers find back.
//
// Senders may be made up. A session that has heard no answer ends soon, one address has a share of the table only,
// and when the table is full newcomers are dropped: those who are being served stay.
type datagrams struct {
	conn     *net.UDPConn
	backends *backends
	wake     func()
	log      *slog.Logger

	to      atomic.Pointer[platform.PortRoute]
	left    atomic.Bool // a successor reads
	refused atomic.Int64
	work    sync.WaitGroup
	begun   sync.Once
	over    context.Context
	end     context.CancelFunc

	mu       sync.Mutex
	sessions map[netip.AddrPort]*session
	perHost  map[netip.Addr]int
}

// Limits of sessions.
const (
	maxDatagram    = 64 << 10         // bytes; UDP's length field has 16 bits
	unanswered     = 10 * time.Second // for a session whose instance has never said anything
	hostShare      = 4                // one address has at most this part of the sessions: a quarter
	datagramBuffer = 1 << 20          // bytes in the kernel for bursts, as far as net.core.rmem_max allows
)

// session is one client's.
type session struct {
	client  netip.AddrPort
	control []byte // which of the host's addresses the client has sent to
	local   netip.AddrPort
	conn    *net.UDPConn // to the instance
	backend *backend
	heard   atomic.Bool
	last    atomic.Int64 // unix nanoseconds of the last datagram, either way
}

func newDatagrams(conn *net.UDPConn, wake func(), log *slog.Logger) (*datagrams, error) {
	d := &datagrams{
		conn: conn, backends: newBackends(), wake: wake, log: log,
		sessions: map[netip.AddrPort]*session{}, perHost: map[netip.Addr]int{},
	}
	d.over, d.end = context.WithCancel(context.Background())
	_ = conn.SetReadBuffer(datagramBuffer) // less will do
	if err := askDestination(conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return d, nil
}

func (d *datagrams) swap(route platform.Route, to platform.PortRoute) []farewell {
	d.to.Store(&to)
	gone := d.backends.swap(to.Backends, route.Stopped)
	d.begun.Do(func() { d.work.Go(d.run) })
	return gone
}

func (d *datagrams) usage() platform.PortUsage {
	d.mu.Lock()
	defer d.mu.Unlock()
	return platform.PortUsage{Connections: len(d.sessions), Refused: d.refused.Load()}
}

// pause leaves what comes to a successor; answers go on.
func (d *datagrams) pause() {
	d.left.Store(true)
	_ = d.conn.SetReadDeadline(time.Now()) // ends the read that waits
}

func (d *datagrams) close() []farewell {
	d.pause()
	gone := d.backends.close()
	return append(gone, func(ctx context.Context) {
		drainAll(ctx, gone)
		d.stop()
	})
}

// leave does not wait: a client's next datagram goes to the successor. Answers that are on their way get a moment.
func (d *datagrams) leave(ctx context.Context) {
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
	}
	d.stop()
}

func (d *datagrams) stop() {
	d.pause()
	d.end()
	d.backends.cutAll()
	d.work.Wait()
	_ = d.conn.Close()
}

// run reads what clients send until somebody else does.
func (d *datagrams) run() {
	buffer, control := make([]byte, maxDatagram), make([]byte, controlSize)
	for !d.left.Load() {
		n, c, _, client, err := d.conn.ReadMsgUDPAddrPort(buffer, control)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // we leave, or the kernel is short of memory
			time.Sleep(time.Millisecond)
			continue
		}
		if s := d.sessionOf(client, control[:c]); s != nil {
			d.forward(s, buffer[:n])
		}
	}
}

func (d *datagrams) forward(s *session, p []byte) {
	s.last.Store(time.Now().UnixNano())
	if d.to.Load().Proxy == "v2" {
		p = append(proxyproto.Header{Client: s.client, Server: s.local}.AppendV2(nil, true), p...)
	}
	if _, err := s.conn.Write(p); errors.Is(err, net.ErrClosed) {
		d.forget(s)
	}
}

// sessionOf finds the client's session or makes one. Nil: the datagram is dropped.
func (d *datagrams) sessionOf(client netip.AddrPort, control []byte) *session {
	d.mu.Lock()
	s := d.sessions[client]
	full := s == nil && d.isFull(client.Addr())
	d.mu.Unlock()
	if s != nil {
		return s
	}
	if full {
		d.refused.Add(1)
		return nil
	}
	if s = d.begin(client, control); s == nil {
		d.refused.Add(1)
		d.wake() // the client will say it again, as UDP's must
	}
	return s
}

// isFull tells whether a newcomer from the address must be dropped. d.mu is held.
func (d *datagrams) isFull(from netip.Addr) bool {
	limit := d.to.Load().Limit()
	return len(d.sessions) >= limit || d.perHost[from] >= max(limit/hostShare, 1)
}

// begin makes a session.
func (d *datagrams) begin(client netip.AddrPort, control []byte) *session {
	b := d.backends.acquire(nil)
	if b == nil {
		return nil
	}
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(b.Addr))
	if err != nil {
		d.log.Debug("no socket to an instance", "instance", describe(b), "err", err)
		d.backends.release(b)
		return nil
	}
	s := &session{client: client, conn: conn, backend: b}
	s.local, s.control = destination(control, d.conn.LocalAddr())
	s.last.Store(time.Now().UnixNano())
	d.mu.Lock()
	d.sessions[client] = s
	d.perHost[client.Addr()]++
	d.mu.Unlock()
	d.work.Go(func() { d.answer(s) })
	return s
}

// answer passes on what the instance says until the session is over.
func (d *datagrams) answer(s *session) {
	defer d.backends.release(s.backend)
	defer d.forget(s)
	stop := context.AfterFunc(s.backend.cut, func() { _ = s.conn.Close() })
	defer stop()
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return
	}
	for {
		_ = s.conn.SetReadDeadline(time.Unix(0, s.last.Load()).Add(d.patience(s)))
		err := d.answerOne(s, raw)
		var timeout net.Error
		late := errors.As(err, &timeout) && timeout.Timeout()
		if err != nil && (!late || time.Since(time.Unix(0, s.last.Load())) >= d.patience(s)) {
			return
		}
	}
}

// answerOne waits for a datagram of the instance. No buffer is held meanwhile: there are many sessions.
func (d *datagrams) answerOne(s *session, raw syscall.RawConn) error {
	var buffer *[maxDatagram]byte
	var n int
	var failed error
	err := raw.Read(func(fd uintptr) bool {
		buffer = buffers.Get().(*[maxDatagram]byte)
		n, failed = unix.Read(int(fd), buffer[:])
		if errors.Is(failed, unix.EAGAIN) || errors.Is(failed, unix.EINTR) {
			buffers.Put(buffer)
			return false
		}
		return true
	})
	if err != nil {
		return err
	}
	defer buffers.Put(buffer)
	if failed != nil { // nobody listens there, ICMP says
		return failed
	}
	s.heard.Store(true)
	s.last.Store(time.Now().UnixNano())
	_, _, _ = d.conn.WriteMsgUDPAddrPort(buffer[:n], s.control, s.client) // a lost datagram is UDP's to bear
	return nil
}

var buffers = sync.Pool{New: func() any { return new([maxDatagram]byte) }}

func (d *datagrams) patience(s *session) time.Duration {
	idle := d.to.Load().Patience()
	if !s.heard.Load() {
		return min(unanswered, idle)
	}
	return idle
}

func (d *datagrams) forget(s *session) {
	_ = s.conn.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sessions[s.client] != s {
		return
	}
	delete(d.sessions, s.client)
	if d.perHost[s.client.Addr()]--; d.perHost[s.client.Addr()] == 0 {
		delete(d.perHost, s.client.Addr())
	}
}
