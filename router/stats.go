package router

import (
	"sync/atomic"
	"time"

	"paas/platform"
)

// counterShards keep processors from writing to the same memory.
const counterShards = 8

// Buckets are the upper bounds of the latency histogram; one more counts what took longer.
var Buckets = [...]time.Duration{
	250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond,
	250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second,
	10 * time.Second, 30 * time.Second,
}

// counters are what an app or an instance has answered. Memory is taken when there is something to count.
type counters struct {
	parts [counterShards]atomic.Pointer[counterPart]
}

type counterPart struct {
	bytes   atomic.Uint64
	cut     atomic.Uint64
	status  [6]atomic.Uint64
	latency [len(Buckets) + 1]atomic.Uint64
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
	for i, bound := range Buckets {
		if d <= bound {
			return i
		}
	}
	return len(Buckets)
}

// Counts are what was answered since the route, or the instance in it, is there.
type Counts struct {
	Requests uint64                   `json:"requests"`
	Status   [6]uint64                `json:"status"`  // by class: [2] is 200 to 299; [0] what was not answered
	Latency  [len(Buckets) + 1]uint64 `json:"latency"` // to the first byte of the answer, see Buckets
	Bytes    uint64                   `json:"bytes"`   // of answers' bodies
	Cut      uint64                   `json:"cut"`     // answers that ended too early, on either side
	InFlight int                      `json:"in_flight"`
}

// Stats are an app's counts and those of its present instances.
type Stats struct {
	Counts
	Instances map[platform.InstanceID]Counts `json:"instances"`
}

// Stats tells what an app's requests came to. ok is false when it has no route.
func (r *Router) Stats(app platform.AppName) (s Stats, ok bool) {
	r.mu.Lock()
	rt := r.routes[app]
	r.mu.Unlock()
	if rt == nil {
		return s, false
	}
	s = Stats{Counts: rt.stats.sum(rt.inflight.Load()), Instances: map[platform.InstanceID]Counts{}}
	for _, b := range *rt.backends.Load() {
		s.Instances[b.ID] = b.stats.sum(b.inflight.Load())
	}
	return s, true
}

func (c *counters) sum(inflight int64) (s Counts) {
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

// Quantile is the upper bound of the bucket in which the q-th part of the requests lies; 0 without any.
func (c *Counts) Quantile(q float64) time.Duration {
	left := uint64(q * float64(c.Requests))
	for i, n := range c.Latency {
		if n > left {
			return Buckets[min(i, len(Buckets)-1)]
		}
		left -= n
	}
	return 0
}
