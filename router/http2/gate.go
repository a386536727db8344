package http2

import "sync"

// gate is where goroutines wait for something to change under a lock. Opening it costs nothing while nobody waits,
// which is nearly always.
type gate struct {
	cond    sync.Cond
	waiting int
}

func (g *gate) under(mu *sync.Mutex) { g.cond.L = mu }

// wait lets go of the lock until somebody opens.
func (g *gate) wait() {
	g.waiting++
	g.cond.Wait()
	g.waiting--
}

// open wakes everybody. The lock is held.
func (g *gate) open() {
	if g.waiting > 0 {
		g.cond.Broadcast()
	}
}
