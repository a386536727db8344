package router

import (
	"testing"
	"time"
)

// What an instance does to idle connections once is not held against it for ever.
func TestIdleTimeIsRelearned(t *testing.T) {
	var p patience
	now := time.Now()
	if got := p.now(now); got != idleUpstream {
		t.Errorf("at first %v", got)
	}
	p.learn(time.Second, now)
	if got := p.now(now); got != 750*time.Millisecond {
		t.Errorf("after a connection that was closed after a second: %v", got)
	}
	p.learn(2*time.Second, now) // one that had been idle for longer says nothing new
	rounds := 0
	for ; p.now(now) < idleUpstream && rounds < 20; rounds++ {
		before := p.now(now)
		if now = now.Add(believeFirst); p.now(now) <= before {
			t.Fatalf("still %v a minute later", p.now(now))
		}
	}
	if rounds == 0 || rounds == 20 {
		t.Errorf("after %d minutes: %v", rounds, p.now(now))
	}
	p.learn(time.Second, now) // so it is its way
	if now = now.Add(believeFirst); p.now(now) != 750*time.Millisecond {
		t.Errorf("the second time it was believed for a minute only: %v", p.now(now))
	}
	for range 100 {
		p.learn(idleLeast+1, now)
	}
	if p.now(now) < idleLeast || p.believe > believeMost {
		t.Errorf("%v for %v", p.now(now), p.believe)
	}
	if now = now.Add(believeMost); p.now(now) <= idleLeast {
		t.Errorf("an hour later %v", p.now(now))
	}
}
