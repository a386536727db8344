package platform

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// buildQueue gives builds their places, first come first served. A build asks for one when it has something
// to run, so what is cached waits for nobody. An app has one build at a time, that of its lane, and so never
// more than one place.
type buildQueue struct {
	mu      sync.Mutex
	running []*turn
	waiting []*turn
}

// turn is one build in the queue.
type turn struct {
	who   string // "alice's build of shop #12"
	app   AppName
	sees  func(AppName) bool // which other apps its pusher may know of; nil: all
	since time.Time
	limit int64         // bytes of memory that it may take
	start chan struct{} // closed when it has a place
}

// What a build needs of the host to begin. The first one begins without after a while: it would wait for ever
// on a small host.
const (
	queueLook      = time.Second
	leastFree      = 256 << 20       // bytes of memory
	mostPressure   = 40              // percent
	firstPatience  = 2 * time.Minute // of a build that has nobody before it
	longestListing = 5
)

// enter waits for a place until ctx ends. told is called with the state of the queue when it must wait and
// whenever that changes. leave must be called if there is no error.
func (q *buildQueue) enter(ctx context.Context, p *Platform, t *turn, told func(string)) (leave func(), err error) {
	t.since, t.start = p.Now(), make(chan struct{})
	q.mu.Lock()
	q.waiting = append(q.waiting, t)
	q.mu.Unlock()
	tick := time.NewTicker(queueLook)
	defer tick.Stop()
	for said := ""; ; {
		why := q.look(p)
		select {
		case <-t.start:
			return func() { q.leave(p, t) }, nil
		default:
		}
		now := q.state(t, why)
		if subject, _, _ := strings.Cut(now, ":"); subject != said {
			told(now)
			said = subject
		}
		select {
		case <-t.start:
			return func() { q.leave(p, t) }, nil
		case <-tick.C:
		case <-ctx.Done():
			q.leave(p, t)
			return nil, context.Cause(ctx)
		}
	}
}

// leave gives a place back, or gives up waiting for one.
func (q *buildQueue) leave(p *Platform, t *turn) {
	q.mu.Lock()
	is := func(o *turn) bool { return o == t }
	q.running, q.waiting = slices.DeleteFunc(q.running, is), slices.DeleteFunc(q.waiting, is)
	q.mu.Unlock()
	q.look(p)
}

// look gives free places to who waits, and tells what keeps the first from having one though there is.
func (q *buildQueue) look(p *Platform) (why string) {
	rules, _, err := p.buildRules(p.life, "")
	if err != nil {
		rules.Places = max(rules.Places, 1) // the store is closing
	}
	load := p.load()
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.waiting) > 0 && len(q.running) < rules.Places {
		first := q.waiting[0]
		if why = q.misses(first, load); why != "" && (len(q.running) > 0 || p.Now().Sub(first.since) < firstPatience) {
			return why
		}
		q.waiting = q.waiting[1:]
		first.since = p.Now()
		q.running = append(q.running, first)
		close(first.start)
	}
	return ""
}

// misses tells what of the host a build lacks. The caller holds mu.
func (q *buildQueue) misses(t *turn, load Load) string {
	need := int64(leastFree)
	if len(q.running) > 0 {
		need = max(need, t.limit/2) // those that run have not taken yet all that they may
	}
	switch {
	case load.Memory > 0 && load.MemoryFree < need:
		return fmt.Sprintf("memory: %s are free, %s are wanted", Bytes(load.MemoryFree), Bytes(need))
	case load.MemoryPressure > mostPressure:
		return fmt.Sprintf("memory: processes stand still for want of it %.0f%% of the time", load.MemoryPressure)
	case load.IOPressure > mostPressure && len(q.running) > 0:
		return fmt.Sprintf("the disk: processes stand still for want of it %.0f%% of the time", load.IOPressure)
	}
	return ""
}

// state says who is before a build that waits.
func (q *buildQueue) state(t *turn, why string) string {
	q.mu.Lock()
	defer q.mu.Unlock()
	at := slices.Index(q.waiting, t)
	if at == 0 && why != "" {
		return "Waiting for " + why
	}
	var before []string
	for _, o := range slices.Concat(q.running, q.waiting[:max(at, 0)]) {
		if t.sees == nil || t.sees(o.app) {
			before = append(before, o.who)
		} else {
			before = append(before, "a build of another app")
		}
	}
	text := fmt.Sprintf("Waiting for a place to build, %s in line, after ", ordinal(at+1))
	if n := len(before); n > longestListing {
		return text + strings.Join(before[:longestListing], ", ") + fmt.Sprintf(" and %d more", n-longestListing)
	}
	return text + strings.Join(before, ", ")
}

func ordinal(n int) string {
	suffix := "th"
	if n%100 < 11 || n%100 > 13 {
		suffix = map[int]string{1: "st", 2: "nd", 3: "rd"}[n%10]
	}
	if suffix == "" {
		suffix = "th"
	}
	return fmt.Sprint(n) + suffix
}

// place is a build's position: 0 if it does not wait.
func (q *buildQueue) place(t *turn) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Index(q.waiting, t) + 1
}

func (q *buildQueue) sizes() (running, waiting int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.running), len(q.waiting)
}
