package platform

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

// gauge is a host whose load the test sets.
type gauge struct {
	mu   sync.Mutex
	load Load
}

func (g *gauge) Load() Load {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.load
}

func (g *gauge) set(l Load) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.load = l
}

// settled is the part of a store that the queue asks: its settings are the defaults.
type settled struct{ Store }

func (settled) GlobalSettings(context.Context) ([]Setting, error) { return nil, nil }

func newQueue(t *testing.T, load Load) (*Platform, *gauge) {
	t.Helper()
	g := &gauge{load: load}
	p := New(Rooms{Store: settled{}, Gauge: g}, Settings{})
	t.Cleanup(p.cancel)
	return p, g
}

// wait enters the queue in the background and returns what it was told and what came of it.
func (p *Platform) wait(ctx context.Context, who string) (told chan string, came chan func(), failed chan error) {
	told, came, failed = make(chan string, 10), make(chan func(), 1), make(chan error, 1)
	go func() {
		leave, err := p.queue.enter(ctx, p, &turn{who: who, limit: 1 << 30}, func(s string) { told <- s })
		if err != nil {
			failed <- err
			return
		}
		came <- leave
	}()
	return told, came, failed
}

func within[T any](t *testing.T, c chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(10 * time.Second):
		t.Fatal("not within 10 s: " + what)
	}
	return v
}

// First come first served, with one place on two processors; who gives up makes room for who is behind.
func TestQueueOrder(t *testing.T) {
	p, _ := newQueue(t, Load{Processors: 2, Memory: 16 << 30, MemoryFree: 8 << 30})
	_, came, _ := p.wait(t.Context(), "first")
	leave := within(t, came, "the first has a place")
	ctx, cancel := context.WithCancelCause(t.Context())
	told, _, failed := p.wait(ctx, "second")
	if got := within(t, told, "the second is told"); got != "Waiting for a place to build, 1st in line, after first" {
		t.Error(got)
	}
	told, third, _ := p.wait(t.Context(), "third")
	if got := within(t, told, "the third is told"); got != "Waiting for a place to build, 2nd in line, after first, second" {
		t.Error(got)
	}
	gone := errors.New("gone")
	cancel(gone)
	if err := within(t, failed, "the second gives up"); !errors.Is(err, gone) {
		t.Error(err)
	}
	if got := within(t, told, "the third is told again"); got != "Waiting for a place to build, 1st in line, after first" {
		t.Error(got)
	}
	leave()
	within(t, third, "the third has a place")()
	if running, waiting := p.queue.sizes(); running+waiting != 0 {
		t.Errorf("%d run, %d wait", running, waiting)
	}
}

// A build begins when there is memory for it and nothing else stands still for want of memory.
func TestQueueAdmission(t *testing.T) {
	for what, load := range map[string]Load{
		"Waiting for memory: 100 MiB are free":          {Memory: 1 << 30, MemoryFree: 100 << 20},
		"Waiting for memory: processes stand still for": {Memory: 1 << 30, MemoryFree: 1 << 30, MemoryPressure: 77},
	} {
		p, g := newQueue(t, load)
		told, came, _ := p.wait(t.Context(), "one")
		if got := within(t, told, "it is told"); !strings.HasPrefix(got, what) {
			t.Errorf("%q, not %q", got, what)
		}
		g.set(Load{Memory: 1 << 30, MemoryFree: 1 << 30})
		within(t, came, "it has a place")()
	}
}

func TestUsualRules(t *testing.T) {
	for _, c := range []struct {
		host   Load
		places int
		memory int64
	}{
		{Load{Processors: 2, Memory: 24 << 30}, 1, 2 << 30},
		{Load{Processors: 8, Memory: 64 << 30}, 4, 2 << 30},
		{Load{Processors: 8, Memory: 1 << 30}, 1, 1 << 30 / 5 * 3},
		{Load{}, 1, 2 << 30},
	} {
		if r := usualRules(c.host); r.Places != c.places || r.Memory != c.memory {
			t.Errorf("%+v: %d places, %s", c.host, r.Places, Bytes(r.Memory))
		}
	}
}

func TestOrdinal(t *testing.T) {
	for n, want := range map[int]string{1: "1st", 2: "2nd", 3: "3rd", 4: "4th", 11: "11th", 12: "12th", 13: "13th", 21: "21st", 112: "112th"} {
		if got := ordinal(n); got != want {
			t.Errorf("%d is %s", n, got)
		}
	}
}
