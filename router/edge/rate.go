package edge

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"paas/platform"
)

// The table of clients is bounded: an attacker with many addresses costs so much memory, and no more.
const (
	shards      = 16
	shardSize   = 4096 // clients of a shard
	evictSample = 8    // of which the one that has asked the longest ago makes room
	v6Client    = 64   // bits: a subscriber gets a whole /64 and can use every address of it
)

// limiter counts clients by the generic cell rate algorithm: one number each, the moment when the client has
// all of its allowance back.
type limiter struct {
	platform.Allowance
	now  func() int64 // nanoseconds
	seed maphash.Seed
	all  [shards]shard
}

type shard struct {
	mu   sync.Mutex
	full map[netip.Addr]int64
}

// newLimiter goes on with the one before if the allowance is the same. It is nil without one.
func newLimiter(a platform.Allowance, before *limiter, now func() int64) *limiter {
	if a.Every <= 0 {
		return nil
	}
	if before != nil && before.Allowance == a {
		return before
	}
	return &limiter{Allowance: a, now: now, seed: maphash.MakeSeed()}
}

// take counts a request. A client that has none left is told how long it has to wait.
func (l *limiter) take(client netip.Addr) (wait time.Duration) {
	client = subscriber(client)
	s := &l.all[maphash.Comparable(l.seed, client)%shards]
	now := l.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	full, known := s.full[client]
	full = max(full, now)
	if late := full - now - int64(l.Every)*int64(max(l.Burst, 1)-1); late > 0 {
		return time.Duration(late)
	}
	if !known {
		s.makeRoom()
	}
	s.full[client] = full + int64(l.Every)
	return 0
}

func (s *shard) makeRoom() {
	if s.full == nil {
		s.full = map[netip.Addr]int64{}
	}
	if len(s.full) < shardSize {
		return
	}
	var oldest netip.Addr
	least, seen := int64(0), 0
	for client, full := range s.full { // begins anywhere, so this is a sample
		if seen == 0 || full < least {
			oldest, least = client, full
		}
		if seen++; seen == evictSample {
			break
		}
	}
	delete(s.full, oldest)
}

// subscriber is what counts as one client.
func subscriber(client netip.Addr) netip.Addr {
	if !client.Is6() || client.Is4In6() {
		return client.Unmap()
	}
	p, err := client.Prefix(v6Client)
	if err != nil {
		return client
	}
	return p.Addr()
}
