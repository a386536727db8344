// Package sockets keeps the sockets that a daemon listens on, by name, so that they outlive it: a successor, or
// systemd's store of descriptors, gets the same sockets, and the kernel goes on queueing connections on them
// whoever is there to take them.
//
//	environment ─► Inherit ─► Set.Listen ─► Listener ─► a server's Serve
//	                             └── Files ─► successor, store
package sockets

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Set is the listening sockets of a process. It is safe for concurrent use.
type Set struct {
	mu    sync.Mutex
	spare map[string]*os.File // inherited, and not asked for yet
	open  map[string]*os.File
	keep  Keeper
	gone  []string // given up while nobody kept the others
}

// Keeper is told of every socket that is opened or given up, so that somebody outside the process holds it too.
// A failure of its is not the socket's.
type Keeper interface {
	Keep(name string, f *os.File)
	Drop(name string)
}

// NewSet makes a set over inherited sockets, which it owns from now on. keep may be nil.
func NewSet(inherited []*os.File, keep Keeper) *Set {
	s := &Set{spare: map[string]*os.File{}, open: map[string]*os.File{}, keep: keep}
	for _, f := range inherited {
		if s.spare[f.Name()] != nil { // systemd keeps two of a name if it is given two
			_ = f.Close()
			continue
		}
		s.spare[f.Name()] = f
	}
	return s
}

// Listen opens a stream socket, or takes the inherited one of that name and address. network is "tcp" or "unix".
// Names have no colon (sd_pid_notify_with_fds(3)).
func (s *Set) Listen(name, network, addr string) (*Listener, error) {
	f, err := s.obtain(name, network, addr, func() (filer, error) {
		l, err := net.Listen(network, addr)
		if err != nil {
			return nil, err
		}
		if u, ok := l.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false) // the path stays for those who inherit the socket
		}
		return l.(filer), nil
	})
	if err != nil {
		return nil, err
	}
	return newListener(f)
}

// ListenPacket is Listen for a UDP socket.
func (s *Set) ListenPacket(name, addr string) (*net.UDPConn, error) {
	f, err := s.obtain(name, "udp", addr, func() (filer, error) {
		c, err := net.ListenPacket("udp", addr)
		if err != nil {
			return nil, err
		}
		return c.(filer), nil
	})
	if err != nil {
		return nil, err
	}
	c, err := net.FilePacketConn(f)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return c.(*net.UDPConn), nil
}

// filer is a socket of package net. Closing it leaves the file alone.
type filer interface {
	File() (*os.File, error)
	Close() error
}

func (s *Set) obtain(name, network, addr string, bind func() (filer, error)) (*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.open[name]; f != nil {
		return f, nil
	}
	f := s.spare[name]
	delete(s.spare, name)
	if f != nil && !matches(f, network, addr) { // the setting was changed
		s.giveUp(name, f)
		f = nil
	}
	if f == nil {
		var err error
		if f, err = bound(name, bind); err != nil {
			return nil, err
		}
	}
	s.open[name] = f
	if s.keep != nil {
		s.keep.Keep(name, f)
	}
	return f, nil
}

func bound(name string, bind func() (filer, error)) (*os.File, error) {
	l, err := bind()
	if err != nil {
		return nil, err
	}
	f, err := l.File()
	err = errors.Join(err, l.Close())
	if err != nil {
		return nil, fmt.Errorf("keep %s: %w", name, err)
	}
	named, err := rename(f, name)
	return named, errors.Join(err, f.Close())
}

// rename gives a descriptor a name of ours; f stays open. Fd of a file that package net made would put the socket
// into blocking mode, for every process that has it.
func rename(f *os.File, name string) (*os.File, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("keep %s: %w", name, err)
	}
	var fd int
	var failed error
	err = raw.Control(func(old uintptr) { fd, failed = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, firstDescriptor) })
	if err = errors.Join(err, failed); err != nil {
		return nil, fmt.Errorf("keep %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// KeptBy has somebody else hold the sockets from now on, those that are open first.
func (s *Set) KeptBy(keep Keeper) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep = keep
	for _, name := range s.gone {
		keep.Drop(name)
	}
	s.gone = nil
	for name, f := range s.open {
		keep.Keep(name, f)
	}
}

// Close gives a socket up: nobody listens there any more once its listeners are closed. An unknown name is no error.
func (s *Set) Close(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range []map[string]*os.File{s.open, s.spare} {
		if f := m[name]; f != nil {
			delete(m, name)
			s.giveUp(name, f)
		}
	}
}

func (s *Set) giveUp(name string, f *os.File) {
	if s.keep != nil {
		s.keep.Drop(name)
	} else {
		s.gone = append(s.gone, name)
	}
	_ = f.Close() // a listening socket has nothing to lose
}

// CloseSpare gives up what was inherited and nobody asked for.
func (s *Set) CloseSpare() {
	s.mu.Lock()
	names := slices.Collect(maps.Keys(s.spare))
	s.mu.Unlock()
	for _, name := range names {
		s.Close(name)
	}
}

// Leave closes this process's descriptors only: others have the sockets now, and whoever keeps them is not told.
func (s *Set) Leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.all() {
		_ = f.Close()
	}
	s.open, s.spare = map[string]*os.File{}, map[string]*os.File{}
}

// Files are all sockets, those that were inherited and not asked for too, by name. They belong to the set.
func (s *Set) Files() []*os.File {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all()
}

func (s *Set) all() []*os.File {
	list := slices.Concat(slices.Collect(maps.Values(s.open)), slices.Collect(maps.Values(s.spare)))
	slices.SortFunc(list, func(a, b *os.File) int { return cmp.Compare(a.Name(), b.Name()) })
	return list
}

// matches tells whether a socket is what would be bound.
func matches(f *os.File, network, addr string) bool {
	kind, err := unix.GetsockoptInt(int(f.Fd()), unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil || (kind == unix.SOCK_DGRAM) != (network == "udp") {
		return false
	}
	sa, err := unix.Getsockname(int(f.Fd()))
	if err != nil {
		return false
	}
	switch sa := sa.(type) {
	case *unix.SockaddrUnix:
		return network == "unix" && sa.Name == addr && isSocket(addr)
	case *unix.SockaddrInet4:
		return sameAddress(netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), addr) //nolint:gosec // the kernel's own
	case *unix.SockaddrInet6:
		return sameAddress(netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)), addr) //nolint:gosec // the kernel's own
	}
	return false
}

// isSocket tells whether the path is still there: without it nobody finds the socket.
func isSocket(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&os.ModeSocket != 0
}

func sameAddress(have netip.AddrPort, addr string) bool {
	want, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil || want.Port != int(have.Port()) {
		return false
	}
	ip, ok := netip.AddrFromSlice(want.IP)
	if !ok || ip.IsUnspecified() {
		return have.Addr().IsUnspecified()
	}
	return have.Addr().Unmap() == ip.Unmap()
}
