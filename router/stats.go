package router

import (
	"sync/atomic"
	"time"

	"paas/platform"
)

// counterShards keep processors from writing to the same memory.
const counterShards = 8

// counters are what an app or an instance has answered. Memory is taken when there is something to count.
type counters struct {
	parts [counterShards]atomic.Pointer[counterPart]
}

type counterPart struct {
	bytes   atomic.Uint64
	cut     atomic.Uint64
	status  [6]atomic.Uint64
	latency [len(platform.LatencyBounds) + 1]atomic.Uint64
	_       [64]byte // of another cache line
}

func (c *counters) part(shard int) *counterPart {
	if p := c.parts[shard].Load(); p != nil {
		return p
	}
	c.parts[shard].CompareAndSwap(nil, &counterPart{})
	return c.parts[shard].Load()
}

func (p *counterPart) count(f *flight, took time.Duration) {
	p.status[min(f.status/100, 5)].Add(1)
	p.latency[bucketOf(took)].Add(1)
	if f.bytes > 0 {
		p.bytes.Add(uint64(f.bytes))
	}
	if f.cut != nil {
		p.cut.Add(1)
	}
}

func bucketOf(d time.Duration) int {
	for i, bound := range platform.LatencyBounds {
		if d <= bound {
			return i
		}
	}
	return len(platform.LatencyBounds)
}

// Stats implements platform.Router.
func (r *Router) Stats(app platform.AppName) platform.RequestStats {
	r.mu.Lock()
	rt := r.routes[app]
	r.mu.Unlock()
	s := platform.RequestStats{Instances: map[platform.InstanceID]platform.RequestCounts{}}
	if rt == nil {
		return s
	}
	s.RequestCounts = rt.stats.sum(rt.inflight.Load())
	s.Waiting = int(rt.line.length.Load())
	now := time.Now()
	for _, b := range *rt.backends.Load() {
		s.Instances[b.ID] = b.stats.sum(b.inflight.Load())
		if b.resting(now) {
			s.Resting = append(s.Resting, b.ID)
		}
	}
	return s
}

func (c *counters) sum(inflight int64) (s platform.RequestCounts) {
	s.InFlight = int(inflight)
	for i := range c.parts {
		p := c.parts[i].Load()
		if p == nil {
			continue
		}
		s.Bytes += p.bytes.Load()
		s.Cut += p.cut.Load()
		for k := range p.status {
			s.Status[k] += p.status[k].Load()
			s.Requests += p.status[k].Load()
		}
		for k := range p.latency {
			s.Latency[k] += p.latency[k].Load()
		}
	}
	return s
}
