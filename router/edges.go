package router

import (
	"bytes"

	"paas/platform"
	"paas/router/edge"
)

// steer has the app's rules decide about the request: they answer it, or it goes on, maybe to another app's
// instances or to other ones of the same. It comes before the request is counted.
func (f *flight) steer() (answered *edge.Answer) {
	rules := f.rt.rules.Load()
	if rules.Any() {
		f.ruled = true
		f.verdict = rules.Before(f.req, f.client)
		if f.verdict.Answer != nil {
			return f.verdict.Answer
		}
	}
	f.pool = f.verdict.Pool
	if to := f.verdict.App; to != "" {
		if answered = f.lead(to); answered != nil {
			return answered
		}
		rules = f.rt.rules.Load()
	}
	f.x = rules.Steer(f.x, &f.verdict)
	f.req = f.x.Request()
	return f.lastHop()
}

// lead sends the request to another app, if that one lets it in.
func (f *flight) lead(to platform.AppName) *edge.Answer {
	rt := f.r.routeOf(to)
	if rt == nil {
		return f.rt.rules.Load().Page(f.req, 503, "No such app", "The app "+string(to)+", which this path leads to, is gone.")
	}
	f.rt, f.info = rt, rt.info.Load()
	rules := rt.rules.Load()
	f.ruled = true
	if most := f.info.Traffic.MaxBody; most > 0 && f.req.Length > most {
		return rules.Page(f.req, 413, "Too large", tooLarge(most).text)
	}
	return rules.Guard(f.req, f.client)
}

func (r *Router) routeOf(app platform.AppName) *route {
	rt, _ := r.apps.Load(app)
	found, _ := rt.(*route)
	return found
}

// reply sends an answer of the rules.
func (f *flight) reply(a *edge.Answer) {
	f.status, f.fields = a.Status, append(f.fields[:0], a.Fields...)
	f.sayPage(string(a.Body))
}

// ownPage is the app's page in the place of ours.
func (f *flight) ownPage(why *fault) *edge.Answer {
	if f.rt == nil {
		return nil
	}
	return f.rt.rules.Load().Own(why.status)
}

// copyOut gives another app a copy of a request that was sent.
func (f *flight) copyOut() {
	if f.verdict.Mirror == "" || f.req.Protocol != nil {
		return
	}
	body, whole := edge.Sent(f.x)
	rt := f.r.routeOf(f.verdict.Mirror)
	if !whole || rt == nil {
		return
	}
	for _, b := range rt.of(platform.MainPool) {
		if !b.leaving.Load() && !b.resting(f.start) {
			f.r.mirror.Offer(edge.Copy{To: b.Addr, Head: f.appendHead(nil), Body: bytes.Clone(body)})
			return
		}
	}
}

// appendPrefix tells the instance which part of the path it does not see.
func (f *flight) appendPrefix(out []byte) []byte {
	if f.verdict.Prefix == nil {
		return out
	}
	return appendField(out, []byte("X-Forwarded-Prefix"), f.verdict.Prefix)
}

// of are the instances that a pool has.
func (rt *route) of(p platform.Pool) []*backend {
	pools := rt.pools.Load()
	switch {
	case pools == nil:
		return nil
	case p == platform.MainPool:
		return pools.main
	}
	return pools.others[p]
}

// pools are an app's instances, sorted.
type pools struct {
	main   []*backend
	others map[platform.Pool][]*backend
}

// fallBack lets the usual instances serve when nobody of the canary can.
func (f *flight) fallBack() bool {
	was := f.pool
	f.pool = platform.MainPool
	return was == platform.CanaryPool
}

// divide sorts instances by pool. backends are to's, in the same order.
func divide(to []platform.Backend, backends []*backend) *pools {
	p := &pools{others: map[platform.Pool][]*backend{}}
	for i, b := range backends {
		if pool := to[i].Pool; pool == platform.MainPool {
			p.main = append(p.main, b)
		} else {
			p.others[pool] = append(p.others[pool], b)
		}
	}
	return p
}
