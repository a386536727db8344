package ports

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"paas/platform"
)

// backends are a door's instances with what is open to each.
type backends struct {
	mu      sync.Mutex
	list    []*backend
	leaving map[*backend]bool
	changed chan struct{} // closed when list changes
	stopped bool          // the owner stopped the app: nobody waits for it
}

// backend is an instance's port.
type backend struct {
	platform.Backend
	open      int // connections or sessions; guarded by backends.mu
	restUntil time.Time
	idle      chan struct{} // closed when it is leaving and nothing is open
	cut       context.Context
	end       context.CancelFunc // ends what is open
}

// restTime is how long an instance that refused is left alone while there are others.
const restTime = time.Second

func newBackends() *backends {
	return &backends{leaving: map[*backend]bool{}, changed: make(chan struct{})}
}

// swap replaces the instances; those that stay keep what is open to them.
func (s *backends) swap(want []platform.Backend, stopped bool) (gone []farewell) {
	s.mu.Lock()
	defer s.mu.Unlock()
	type place struct {
		id   platform.InstanceID
		addr netip.AddrPort
	}
	have := map[place]*backend{}
	for _, b := range s.list {
		have[place{b.ID, b.Addr}] = b
	}
	var list []*backend
	for _, w := range want {
		at := place{w.ID, w.Addr}
		b := have[at]
		if b == nil {
			b = &backend{Backend: w, idle: make(chan struct{})}
			b.cut, b.end = context.WithCancel(context.Background())
		}
		delete(have, at)
		list = append(list, b)
	}
	for _, b := range have {
		gone = append(gone, s.part(b))
	}
	s.list, s.stopped = list, stopped
	close(s.changed)
	s.changed = make(chan struct{})
	return gone
}

// part lets an instance go. s.mu is held.
func (s *backends) part(b *backend) farewell {
	s.leaving[b] = true
	if b.open == 0 {
		close(b.idle)
	}
	return func(ctx context.Context) {
		select {
		case <-b.idle:
		case <-ctx.Done():
		}
		b.end()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.leaving, b)
	}
}

// close lets all go.
func (s *backends) close() []farewell { return s.swap(nil, true) }

// acquire takes the instance with the least that is open, but none of those tried. Nil: there is none.
func (s *backends) acquire(tried []*backend) *backend {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	var best *backend
	for _, b := range s.list {
		if contains(tried, b) {
			continue
		}
		rests, bestRests := now.Before(b.restUntil), best != nil && now.Before(best.restUntil)
		if best == nil || bestRests && !rests || rests == bestRests && b.open < best.open {
			best = b
		}
	}
	if best != nil {
		best.open++
	}
	return best
}

// await is acquire that waits for an instance to come, at most until ctx ends. asked is called once there is none.
func (s *backends) await(ctx context.Context, tried []*backend, asked func()) *backend {
	for {
		s.mu.Lock()
		changed, hopeless := s.changed, s.stopped || len(s.list) > 0
		s.mu.Unlock()
		if b := s.acquire(tried); b != nil || hopeless {
			return b
		}
		asked()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *backends) release(b *backend) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b.open--
	if b.open == 0 && s.leaving[b] {
		close(b.idle)
	}
}

func (s *backends) rest(b *backend) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b.restUntil = time.Now().Add(restTime)
}

// cutAll ends everything that is open.
func (s *backends) cutAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.list {
		b.end()
	}
	for b := range s.leaving {
		b.end()
	}
}

func contains(list []*backend, b *backend) bool {
	for _, have := range list {
		if have == b {
			return true
		}
	}
	return false
}
