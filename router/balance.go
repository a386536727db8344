package router

import (
	"bytes"
	"math/rand/v2"
	"time"

	"paas/platform"
)

// Defaults of platform.Traffic.
const (
	defaultSlowStart = 10 * time.Second
	defaultQueue     = 100
	defaultQueueWait = 30 * time.Second
	defaultFirstByte = 60 * time.Second
	defaultIdle      = time.Hour // WebSockets and event streams may be silent for long
)

func slowStart(t platform.Traffic) time.Duration { return orDefault(t.SlowStart, defaultSlowStart) }

func orDefault(d, or time.Duration) time.Duration {
	if d == 0 {
		return or
	}
	return d
}

// scanAll is up to how many instances the least busy one is looked for among all; beyond, among two at random.
const scanAll = 8

// pick acquires an instance that has not been tried: one that does not rest if there is one. busy says that there
// are some, all at their bound.
func (rt *route) pick(f *flight) (b *backend, busy bool) {
	list := *rt.backends.Load()
	if len(list) == 1 && f.tried == 0 {
		return rt.only(f, list[0])
	}
	for {
		b, busy = rt.choose(f, list)
		if b != nil {
			return b, false
		}
		again := *rt.backends.Load() // a swap may have come in between
		if same(list, again) {
			return nil, busy
		}
		list = again
	}
}

func (rt *route) only(f *flight, b *backend) (*backend, bool) {
	for {
		if b.acquire(f.info.Traffic.Concurrency) {
			return b, false
		}
		list := *rt.backends.Load()
		if len(list) == 1 && list[0] == b {
			return nil, !b.leaving.Load()
		}
		if len(list) == 0 {
			return nil, false
		}
		b = list[int(rt.turn.Add(1))%len(list)]
	}
}

func same(a, b []*backend) bool {
	return len(a) == len(b) && (len(a) == 0 || a[0] == b[0] && &a[0] == &b[0])
}

// choose tries the instances in the order of preference.
func (rt *route) choose(f *flight, list []*backend) (_ *backend, busy bool) {
	t := &f.info.Traffic
	if t.Balance == platform.Sticky {
		if b := remembered(f, list); b != nil && b.acquire(t.Concurrency) {
			f.cookied = true
			return b, false
		}
	}
	var skip uint64 // those that would not take it, as bits of the list's first 64
	for range min(len(list), 64) {
		i := rt.prefer(f, list, skip)
		if i < 0 {
			return nil, busy
		}
		if list[i].acquire(t.Concurrency) {
			return list[i], false
		}
		busy = busy || !list[i].leaving.Load()
		skip |= 1 << (i % 64)
	}
	return nil, busy
}

// prefer is the index of the best instance that is not skipped, or -1.
func (rt *route) prefer(f *flight, list []*backend, skip uint64) int {
	start := int(rt.turn.Add(1) % uint32(len(list))) //nolint:gosec // below the length
	few := len(list) <= scanAll || skip != 0 || f.tried != 0
	if !few && f.info.Traffic.Balance != platform.RoundRobin {
		return lighter(f, list, start, rand.IntN(len(list)))
	}
	best, bestLoad := -1, 0.0
	for k := range list {
		i := (start + k) % len(list)
		b := list[i]
		if skip&(1<<(i%64)) != 0 || f.hasTried(b) {
			continue
		}
		load := b.load(f.start)
		if f.info.Traffic.Balance == platform.RoundRobin {
			load = b.penalty(f.start)
		}
		if best < 0 || load < bestLoad {
			best, bestLoad = i, load
		}
	}
	return best
}

func lighter(f *flight, list []*backend, i, j int) int {
	if list[j].load(f.start) < list[i].load(f.start) {
		return j
	}
	return i
}

// What puts an instance behind others: one that rests behind all, and a new one, as often as it is not its share,
// behind the old.
const (
	restPenalty = 1e9
	slowPenalty = 1e6
)

// load is how busy an instance is, in requests in flight.
func (b *backend) load(now time.Time) float64 { return float64(b.inflight.Load()) + b.penalty(now) }

func (b *backend) penalty(now time.Time) float64 {
	switch {
	case b.resting(now):
		return restPenalty
	case b.begun.Load() != 0 && rand.Float64() > b.share(now): //nolint:gosec // no secret
		return slowPenalty
	}
	return 0
}

// stickyCookie names the instance that a client stays with.
const stickyCookie = "paas-instance"

// remembered is the instance that the client's cookie names, if it still takes requests.
func remembered(f *flight, list []*backend) *backend {
	value := cookie(f.req.Fields, stickyCookie)
	if value == nil {
		return nil
	}
	for _, b := range list {
		if string(value) == b.token && !b.leaving.Load() && !b.resting(f.start) && !f.hasTried(b) {
			return b
		}
	}
	return nil
}

// sticks tells whether clients are to come back to the same instance.
func (rt *route) sticks() bool { return rt.info.Load().Traffic.Balance == platform.Sticky }

// cookieFlags of the cookie; Secure is added on TLS.
const cookieFlags = "; Path=/; HttpOnly; SameSite=Lax"

func (f *flight) stickyValue() []byte {
	v := append([]byte(stickyCookie+"="), f.b.token...)
	v = append(v, cookieFlags...)
	if f.req.TLS != nil {
		v = append(v, "; Secure"...)
	}
	return v
}

// cookie finds a cookie's value (RFC 6265, section 4.2.1).
func cookie(fields []field, name string) []byte {
	for _, f := range fields {
		if !nameIs(f.Name, "cookie") {
			continue
		}
		for rest := f.Value; len(rest) > 0; {
			var pair []byte
			pair, rest, _ = bytes.Cut(rest, []byte(";"))
			key, value, ok := bytes.Cut(bytes.TrimSpace(pair), []byte("="))
			if ok && string(key) == name {
				return value
			}
		}
	}
	return nil
}
