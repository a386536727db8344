package http1

import (
	"net/netip"
	"sync"
	"sync/atomic"
)

// registry is the connections that are open, in shards, so that looking at all of them stops nobody for long.
type registry struct {
	count  atomic.Int64
	turn   atomic.Uint32
	shards [16]shard

	mu    sync.Mutex
	empty chan struct{} // somebody waits for none
}

type shard struct {
	mu    sync.Mutex
	conns []*conn
}

func (r *registry) add(c *conn) {
	r.count.Add(1)
	s := &r.shards[r.turn.Add(1)%uint32(len(r.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()
	c.shard, c.index = s, len(s.conns)
	s.conns = append(s.conns, c)
}

func (r *registry) remove(c *conn) {
	c.shard.remove(c)
	if r.count.Add(-1) > 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.empty != nil && r.count.Load() == 0 {
		close(r.empty)
		r.empty = nil
	}
}

func (s *shard) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.conns) - 1
	s.conns[c.index] = s.conns[last]
	s.conns[c.index].index = c.index
	s.conns[last] = nil
	s.conns = s.conns[:last]
}

// each calls f for all, and no shard's connections come or go meanwhile: f must not block.
func (r *registry) each(f func(*conn)) {
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		for _, c := range s.conns {
			f(c)
		}
		s.mu.Unlock()
	}
}

// none is closed when there is no connection.
func (r *registry) none() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.empty == nil {
		r.empty = make(chan struct{})
	}
	empty := r.empty
	if r.count.Load() == 0 {
		close(r.empty)
		r.empty = nil
	}
	return empty
}

// clients counts connections by where they come from.
type clients struct {
	max int
	mu  sync.Mutex
	num map[netip.Prefix]int
}

// counts tells whether connections from a are counted at all.
func (c *clients) counts(a netip.Addr, trusted func(netip.Addr) bool) bool {
	return a.IsValid() && !a.IsLoopback() && (trusted == nil || !trusted(a))
}

// enter counts a connection in, unless there are enough from there.
func (c *clients) enter(a netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := network(a)
	if c.num[p] >= c.max {
		return false
	}
	if c.num == nil {
		c.num = map[netip.Prefix]int{}
	}
	c.num[p]++
	return true
}

// leave counts a connection out that was counted in.
func (c *clients) leave(a netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := network(a)
	if c.num[p]--; c.num[p] <= 0 {
		delete(c.num, p)
	}
}

// network is what one client has: an IPv4 address, or an IPv6 network of 64 bits.
func network(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // the bits fit
	return p
}
