// Package login finds out who asks at the doors that speak HTTP: by an API token, as a bearer (RFC 6750) or as the
// password of any user (RFC 7617). An address that shows too many wrong ones has to wait.
package login

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"paas/platform"
)

// An address may fail so often in each period. So many addresses are remembered; beyond that the oldest are forgotten.
const (
	MostFailures  = 10
	FailurePeriod = time.Minute
	mostAddresses = 10_000
)

// Platform knows tokens.
type Platform interface {
	// Bearer is who shows a token's secret; a wrong one is of kind Unauthorized.
	Bearer(ctx context.Context, secret string, door platform.Door, remote string) (platform.Actor, error)
}

// Gate lets people in. It is safe for concurrent use.
type Gate struct {
	platform Platform
	now      func() time.Time

	mu     sync.Mutex
	failed map[netip.Prefix]*failures
}

type failures struct {
	since time.Time
	count int
}

// New makes a gate. now may be nil for the real clock.
func New(p Platform, now func() time.Time) *Gate {
	if now == nil {
		now = time.Now
	}
	return &Gate{platform: p, now: now, failed: map[netip.Prefix]*failures{}}
}

// WaitError is the refusal of what comes too often.
type WaitError struct {
	Why string
	For time.Duration
}

func (e WaitError) Error() string { return e.Why }

// Enter finds who asks. Without a token and with a wrong one the error is of kind Unauthorized; after too many wrong
// ones it is a WaitError. A right one is taken anyhow: nobody keeps others out who share an address.
func (g *Gate) Enter(req *http.Request, door platform.Door) (platform.Actor, error) {
	addr := Address(req)
	secret := Secret(req)
	if secret == "" {
		return platform.Actor{}, platform.Errorf(platform.Unauthorized, "log in with an API token, as a bearer or as the password").
			WithHint("make one: ssh paas tokens:create NAME")
	}
	remote := ""
	if addr.IsValid() {
		remote = addr.String()
	}
	actor, err := g.platform.Bearer(req.Context(), secret, door, remote)
	if platform.KindOf(err) != platform.Unauthorized {
		return actor, err
	}
	if wait := g.wait(addr); wait > 0 {
		return actor, WaitError{"too many wrong tokens came from this address; wait a minute", wait}
	}
	g.fail(addr)
	return actor, err
}

// Secret is the token that a request shows, "" for none.
func Secret(req *http.Request) string {
	if _, secret, ok := req.BasicAuth(); ok {
		return secret
	}
	scheme, secret, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(secret)
}

// Address is where a request comes from; the router has put the client there, not a balancer.
func Address(req *http.Request) netip.Addr {
	if at, err := netip.ParseAddrPort(req.RemoteAddr); err == nil {
		return at.Addr().Unmap()
	}
	at, _ := netip.ParseAddr(req.RemoteAddr)
	return at.Unmap()
}

// neighbours are the addresses that one party has: a /64 of IPv6.
func neighbours(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}

func (g *Gate) wait(addr netip.Addr) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.failed[neighbours(addr)]
	if f == nil || f.count < MostFailures {
		return 0
	}
	return f.since.Add(FailurePeriod).Sub(g.now())
}

func (g *Gate) fail(addr netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, key := g.now(), neighbours(addr)
	f := g.failed[key]
	if f == nil || now.Sub(f.since) >= FailurePeriod {
		g.forget(now)
		f = &failures{since: now}
		g.failed[key] = f
	}
	f.count++
}

// forget makes room for one more address.
func (g *Gate) forget(now time.Time) {
	if len(g.failed) < mostAddresses {
		return
	}
	for key, f := range g.failed {
		if now.Sub(f.since) >= FailurePeriod || len(g.failed) >= mostAddresses {
			delete(g.failed, key)
		}
	}
}
