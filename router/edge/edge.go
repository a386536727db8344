// Package edge is what an app's owner says about requests: who may ask and how often, what is answered at
// once, and where the others go. It works on wire.Request, so it is the same for every protocol.
//
//	Before:  access ─► rate ─► redirects ─► maintenance ─► password ─► path ─► canary, mirror
//	Encode:  compression of the answer
//	Page:    the owner's page for an answer of the router itself
//
// Rules are compiled once for each change of a route. What is not set costs one comparison, and nothing on the
// way of a request that passes allocates.
package edge

import (
	"cmp"
	"math/rand/v2"
	"net/netip"
	"time"

	"paas/platform"
	"paas/router/wire"
)

// Rules are one app's, ready for use by any number of goroutines. A nil *Rules lets everything pass.
type Rules struct {
	guarded bool // there is something that Guard looks at
	steered bool // there is something that only Before looks at

	allow, deny []netip.Prefix
	limiter     *limiter
	redirects   []redirect
	maintenance bool
	lock        *lock
	paths       []platform.PathRule // longest prefix first
	canary      canary
	mirror      platform.Mirror
	pages       map[string][]byte
	compressor  *compressor
}

// Verdict is what becomes of a request. Its zero value sends it to the app's usual instances as it is.
type Verdict struct {
	Answer *Answer // not nil: this is the answer, and nothing is forwarded
	// App is another app whose instances get the request: its own rules' Guard has to agree first. "": this one.
	App platform.AppName
	// Pool is which instances of it. When nobody is in the CanaryPool the MainPool serves; any other pool
	// that is empty is an app without an instance.
	Pool   platform.Pool
	Target []byte           // not nil: in the place of the request's
	Prefix []byte           // not nil: the path that Target lacks, for X-Forwarded-Prefix
	Cookie []byte           // not nil: a Set-Cookie field for the answer
	Mirror platform.AppName // not "": one of its instances gets a copy, see Mirror
}

// Answer is an answer of the router itself.
type Answer struct {
	Status int
	Fields []wire.Field // without Content-Length
	Body   []byte       // not for HEAD
}

// Compile prepares an app's rules. What clients of the rules before have used up, and who is known by
// password, stays where the rule is the same; before may be nil.
func Compile(e platform.Edge, before *Rules) *Rules {
	r := &Rules{
		allow: e.Allow, deny: e.Deny, maintenance: e.Maintenance, mirror: e.Mirror, pages: e.Pages,
		redirects: compileRedirects(e.Redirects), paths: sortPaths(e.Paths), compressor: newCompressor(e.Compress),
		canary: canary{CanaryShare: e.Canary, random: rand.Float64},
	}
	if before == nil {
		before = &Rules{}
	}
	r.limiter = newLimiter(e.Rate, before.limiter, monotonic())
	r.lock = newLock(e.Users, before.lock)
	r.guarded = len(r.allow) > 0 || len(r.deny) > 0 || r.limiter != nil || r.maintenance || r.lock != nil
	r.steered = len(r.redirects) > 0 || len(r.paths) > 0 || r.canary.Release != 0 || r.mirror.App != ""
	return r
}

// monotonic is a clock in nanoseconds.
func monotonic() func() int64 {
	start := time.Now()
	return func() int64 { return int64(time.Since(start)) }
}

// Any tells whether Before has anything to look at.
func (r *Rules) Any() bool { return r != nil && (r.guarded || r.steered) }

// Before decides about a request by the host of this app. client is who asks, as far as it is believed. It
// blocks only while a password is checked for the first time.
func (r *Rules) Before(req *wire.Request, client netip.Addr) (v Verdict) {
	if !r.Any() {
		return v
	}
	if v.Answer = r.admit(req, client); v.Answer != nil {
		return v
	}
	if v.Answer = r.redirect(req); v.Answer != nil {
		return v
	}
	if v.Answer = r.open(req); v.Answer != nil {
		return v
	}
	if !r.lead(req, &v) {
		r.canary.choose(req, &v)
	}
	if r.mirror.App != "" && v.App == "" && sampled(r.mirror.Percent, r.canary.random) {
		v.Mirror = r.mirror.App
	}
	return v
}

// Guard decides about a request that another app's path leads here: whether it may come in.
func (r *Rules) Guard(req *wire.Request, client netip.Addr) *Answer {
	if r == nil || !r.guarded {
		return nil
	}
	if a := r.admit(req, client); a != nil {
		return a
	}
	return r.open(req)
}

// admit looks at who asks.
func (r *Rules) admit(req *wire.Request, client netip.Addr) *Answer {
	client = client.Unmap()
	switch {
	case contains(r.deny, client) || len(r.allow) > 0 && !contains(r.allow, client):
		return r.page(req, 403, "Forbidden", "Requests from your address are not served here.")
	case r.limiter == nil:
		return nil
	}
	if wait := r.limiter.take(client); wait > 0 {
		a := r.page(req, 429, "Too many requests", "You ask too often. Try again in a moment.")
		a.Fields = append(a.Fields, retryAfter(wait))
		return a
	}
	return nil
}

// open looks at whether the app serves, and whom.
func (r *Rules) open(req *wire.Request) *Answer {
	switch {
	case r.maintenance:
		return r.maintained(req)
	case r.lock == nil:
		return nil
	}
	return r.unlock(req)
}

// maintenanceRetry is what clients of an app in maintenance are told to wait.
const maintenanceRetry = time.Minute

func (r *Rules) maintained(req *wire.Request) *Answer {
	a := r.page(req, 503, "Maintenance", "This app is being worked on and will be back soon.")
	if own := r.pages[platform.MaintenancePage]; own != nil {
		a = ownPage(503, own)
	}
	a.Fields = append(a.Fields, retryAfter(maintenanceRetry))
	return a
}

func contains(list []netip.Prefix, client netip.Addr) bool {
	for _, p := range list {
		if p.Contains(client) {
			return true
		}
	}
	return false
}

func sampled(percent float64, random func() float64) bool {
	return percent >= 100 || random()*100 < percent
}

func sortPaths(list []platform.PathRule) []platform.PathRule {
	return sorted(list, func(a, b platform.PathRule) int { return cmp.Compare(len(b.Prefix), len(a.Prefix)) })
}
