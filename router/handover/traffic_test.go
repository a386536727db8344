package handover_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"paas/platform"
	"paas/router/handover"
)

// room is a router that tells what it was told. Its drains end when they are let.
type room struct {
	mu     sync.Mutex
	routes []platform.Route
	cut    int
	let    chan struct{}
}

func (r *room) Configure(platform.Intake)                        {}
func (r *room) Stats(platform.AppName) (s platform.RequestStats) { return s }
func (r *room) Idle(platform.AppName) (since time.Time, n int)   { return since, 0 }

func newRoom() *room { return &room{let: make(chan struct{})} }

func (r *room) Swap(to platform.Route) func(context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.routes = append(r.routes, to)
	return func(ctx context.Context) {
		select {
		case <-r.let:
		case <-ctx.Done():
			r.mu.Lock()
			defer r.mu.Unlock()
			r.cut++
		}
	}
}

func (r *room) Remove(platform.AppName) {}

func (r *room) seen() (routes, cut int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.routes), r.cut
}

// pair is a predecessor that follows and a successor that leads.
func pair(t *testing.T, old, young *handover.Traffic) (link *handover.Link, ended chan bool) {
	t.Helper()
	after, file, err := handover.Pair()
	if err != nil {
		t.Fatal(err)
	}
	before, err := handover.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = after.Close(); _ = before.Close() })
	ended = make(chan bool, 1)
	go func() { ended <- old.Follow(after, func() {}) }()
	young.Lead(before)
	go young.Hear(before, func() {})
	return before, ended
}

func drain(f func(context.Context), patience time.Duration) chan struct{} {
	over := make(chan struct{})
	go func() {
		defer close(over)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		f(ctx)
	}()
	return over
}

func stillOpen(t *testing.T, c chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
		t.Error(what)
	case <-time.After(50 * time.Millisecond):
	}
}

// The successor's drain is over when the predecessor's is: an instance is stopped when nobody uses it.
func TestDrainCoversPredecessor(t *testing.T) {
	there, here := newRoom(), newRoom()
	old, young := handover.NewTraffic(there), handover.NewTraffic(here)
	_ = old.Swap(platform.Route{App: "app"}) // under way when the platform above closed
	old.Settle()
	pair(t, old, young)
	over := drain(young.Swap(platform.Route{App: "app", Hosts: []string{"a.test"}}), 20*time.Second)
	close(here.let)
	stillOpen(t, over, "drained while the predecessor has requests in flight")
	close(there.let)
	<-over
	if n, cut := there.seen(); n != 2 || cut != 0 {
		t.Errorf("the predecessor saw %d routes, cut %d", n, cut)
	}
}

// When the drain time ends, the predecessor cuts what it has too.
func TestDrainEndsInPredecessor(t *testing.T) {
	there, here := newRoom(), newRoom()
	old, young := handover.NewTraffic(there), handover.NewTraffic(here)
	old.Settle()
	pair(t, old, young)
	<-drain(young.Swap(platform.Route{App: "app"}), 100*time.Millisecond)
	for n := 0; ; n++ {
		_, far := there.seen()
		if _, near := here.seen(); far == 1 && near == 1 {
			return
		}
		if time.Sleep(10 * time.Millisecond); n > 500 {
			t.Fatal("something was not cut")
		}
	}
}

// A platform that closes cuts nothing once its process is settled, and does before.
func TestSettle(t *testing.T) {
	r := newRoom()
	traffic := handover.NewTraffic(r)
	<-drain(traffic.Swap(platform.Route{App: "app"}), 10*time.Millisecond)
	if _, cut := r.seen(); cut != 1 {
		t.Error("a drain whose time is over was not cut")
	}
	waited := traffic.Swap(platform.Route{App: "app"})
	traffic.Settle()
	<-drain(waited, 10*time.Millisecond)
	if _, cut := r.seen(); cut != 1 {
		t.Error("the platform's end cut a drain")
	}
	close(r.let)
}

// A predecessor that ends holds nobody up, and hears when it shall.
func TestPredecessorEnds(t *testing.T) {
	there, here := newRoom(), newRoom()
	close(here.let)
	old, young := handover.NewTraffic(there), handover.NewTraffic(here)
	old.Settle()
	_, ended := pair(t, old, young)
	over := drain(young.Swap(platform.Route{App: "app"}), 20*time.Second)
	stillOpen(t, over, "drained without the predecessor")
	young.End()
	if !<-ended {
		t.Error("the predecessor was not told to end")
	}

	link, _ := pair(t, handover.NewTraffic(newRoom()), young)
	over = drain(young.Swap(platform.Route{App: "app"}), 20*time.Second)
	_ = link.Close()
	<-over
}
