package proxyproto

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Options say whom a listener believes. Zero limits mean the defaults.
type Options struct {
	Trusted []netip.Prefix // whose connections begin with a header; all others are clients themselves
	Timeout time.Duration  // for a header to come; 5 s
	Pending int            // connections whose header is awaited; more wait in the kernel; 1024
}

// Listener takes connections with and without headers, each in its own time: one that sends none holds nobody up.
type Listener struct {
	net.Listener
	options Options
	ready   chan net.Conn
	room    chan struct{}
	over    chan struct{}
	once    sync.Once

	greeting atomic.Int64

	mu     sync.Mutex
	failed error
}

// Conn is a connection whose client is somebody behind the other end.
type Conn struct {
	*net.TCPConn
	client, server net.Addr
}

// RemoteAddr is the client's address as the trusted balancer says.
func (c *Conn) RemoteAddr() net.Addr { return c.client }

// LocalAddr is where the client connected to, as the trusted balancer says.
func (c *Conn) LocalAddr() net.Addr { return c.server }

// NetConn is the connection to the balancer.
func (c *Conn) NetConn() net.Conn { return c.TCPConn }

// Listen takes connections from l, whose connections are TCP. Closing it closes l.
func Listen(l net.Listener, o Options) *Listener {
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Pending == 0 {
		o.Pending = 1024
	}
	p := &Listener{Listener: l, options: o, ready: make(chan net.Conn), room: make(chan struct{}, o.Pending), over: make(chan struct{})}
	go p.run()
	return p
}

// run takes connections until the listener below is closed.
func (l *Listener) run() {
	for {
		l.room <- struct{}{}
		c, err := l.Listener.Accept()
		var temporary net.Error
		if err != nil && errors.As(err, &temporary) && temporary.Timeout() {
			<-l.room
			continue
		}
		if err != nil {
			l.mu.Lock()
			l.failed = err
			l.mu.Unlock()
			l.once.Do(func() { close(l.over) })
			return
		}
		l.greeting.Add(1)
		go l.greet(c)
	}
}

// Pending counts connections that were taken and not handed on yet.
func (l *Listener) Pending() int { return int(l.greeting.Load()) }

// greet hears the header, and hands the connection on.
func (l *Listener) greet(c net.Conn) {
	defer func() { l.greeting.Add(-1); <-l.room }()
	named, err := l.identify(c)
	if err != nil { // nobody to tell: a balancer that is set up wrongly, or a stranger in its network
		_ = c.Close()
		return
	}
	select {
	case l.ready <- named:
	case <-l.over:
		_ = c.Close()
	}
}

func (l *Listener) identify(c net.Conn) (net.Conn, error) {
	tcp, ok := c.(*net.TCPConn)
	if !ok || !l.trusts(c.RemoteAddr()) {
		return c, nil
	}
	if err := tcp.SetReadDeadline(time.Now().Add(l.options.Timeout)); err != nil {
		return nil, err
	}
	h, err := read(tcp)
	if err = errors.Join(err, tcp.SetReadDeadline(time.Time{})); err != nil {
		return nil, err
	}
	if !h.Client.IsValid() {
		return c, nil
	}
	return &Conn{tcp, net.TCPAddrFromAddrPort(h.Client), net.TCPAddrFromAddrPort(h.Server)}, nil
}

func (l *Listener) trusts(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && Trusts(l.options.Trusted, tcp.AddrPort().Addr())
}

// Trusts tells whether one of the networks has the address.
func Trusts(trusted []netip.Prefix, addr netip.Addr) bool {
	for _, p := range trusted {
		if p.Contains(addr.Unmap().WithZone("")) {
			return true
		}
	}
	return false
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case <-l.over:
		l.mu.Lock()
		defer l.mu.Unlock()
		return nil, l.failed
	}
}

// read takes the header off the connection, and not a byte more: what follows stays in the kernel, for splice
// and for servers that read from the descriptor.
func read(c *net.TCPConn) (Header, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return Header{}, err
	}
	var have []byte
	for {
		piece := make([]byte, maxV1)
		if len(have) >= v2Prefix {
			piece = make([]byte, maxV2)
		}
		n, err := receive(raw, piece, unix.MSG_PEEK)
		if err != nil {
			return Header{}, err
		}
		h, size, err := decode(append(have, piece[:n]...))
		if err != nil && !errors.Is(err, errMore) {
			return h, err
		}
		take := n
		if err == nil {
			take = size - len(have)
		}
		if _, err := receive(raw, piece[:take], 0); err != nil {
			return h, err
		}
		if err == nil {
			return h, nil
		}
		have = append(have, piece[:take]...)
	}
}

// receive blocks until there is something to read.
func receive(raw interface {
	Read(func(fd uintptr) bool) error
}, p []byte, flags int) (n int, err error) {
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		n, _, failed = unix.Recvfrom(int(fd), p, flags|unix.MSG_DONTWAIT)
		return !errors.Is(failed, unix.EAGAIN) && !errors.Is(failed, unix.EINTR)
	})
	if err = errors.Join(err, failed); err != nil {
		return 0, fmt.Errorf("read the PROXY protocol header: %w", err)
	}
	if n == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	return n, nil
}

// ParseNetworks reads networks and addresses with commas between them, "10.0.0.0/8,192.0.2.1".
func ParseNetworks(text string) (list []netip.Prefix, err error) {
	for word := range strings.SplitSeq(text, ",") {
		word = strings.TrimSpace(word)
		if word == "" {
			continue
		}
		p, err := netip.ParsePrefix(word)
		if addr, addrErr := netip.ParseAddr(word); addrErr == nil && addr.Zone() == "" {
			p, err = addr.Unmap().Prefix(addr.Unmap().BitLen())
		}
		if err != nil {
			return nil, fmt.Errorf("%q is no network: write it like 10.0.0.0/8 or 192.0.2.1", word)
		}
		list = append(list, p.Masked())
	}
	return list, nil
}
