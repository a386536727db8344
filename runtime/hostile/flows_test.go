package hostile_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"paas/runtime/runtimetest"
	"paas/runtime/runtimetest/sandbox"
)

// The host tracks a bounded number of connections for all containers and itself. One container must not
// take them all: the others, and the router, would get no new ones.
func TestFlowFlood(t *testing.T) {
	a := newArena(t)
	away := outside(t)
	before := trackedFlows(t)
	r := a.flood("flows", "203.0.113.16", "20000")
	tracked := trackedFlows(t) - before
	t.Logf("%v, %d are tracked", r.Reached, tracked)
	if tracked > 9_000 || tracked < 500 {
		t.Errorf("the host tracks %d connections for one container", tracked)
	}
	reach := a.attack(runtimetest.Spec(neighbourApp, nil, attackLayer), "reach", fmt.Sprintf("tcp:%s:%d", outsideAddr, away.port))
	if len(reach.Achieved) != 1 {
		t.Errorf("a neighbour gets no connection: %v", reach.Refused)
	}
}

func (a *arena) flood(words ...string) report {
	a.t.Helper()
	return a.attack(attacker(false), words...)
}

func trackedFlows(t *testing.T) (n int) {
	t.Helper()
	text, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_count")
	sandbox.Check(t, err)
	_, err = fmt.Sscan(strings.TrimSpace(string(text)), &n)
	sandbox.Check(t, err)
	return n
}
