package http2

import (
	"sync"
	"time"
)

const (
	// crewMost bounds the goroutines that wait for work: a server with more requests at a time starts the others
	// anew each time.
	crewMost = 1024
	// crewPatience is how long one of them may wait in vain.
	crewPatience = 5 * time.Second
)

// crew is the goroutines that run handlers. They are used again, the last one first: a new one would have to grow
// its stack for every request, which costs as much as reading it.
type crew struct {
	mu     sync.Mutex
	idle   []*worker
	spare  int // the fewest that were idle since the last look: these were not needed
	timer  *time.Timer
	closed bool
}

type worker struct{ next chan *exchange }

// run has e served. It does not block.
func (c *crew) run(e *exchange) {
	c.mu.Lock()
	n := len(c.idle) - 1
	if n < 0 {
		c.mu.Unlock()
		go c.work(&worker{next: make(chan *exchange, 1)}, e)
		return
	}
	w := c.idle[n]
	c.idle[n], c.idle = nil, c.idle[:n]
	c.spare = min(c.spare, n)
	c.mu.Unlock()
	w.next <- e
}

func (c *crew) work(w *worker, e *exchange) {
	for e != nil {
		e.serve()
		if !c.rest(w) {
			return
		}
		e = <-w.next
	}
}

// rest lets a worker wait for the next request, or go.
func (c *crew) rest(w *worker) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.idle) >= crewMost {
		return false
	}
	c.idle = append(c.idle, w)
	if c.timer == nil {
		c.timer = time.AfterFunc(crewPatience, c.thin)
	}
	return true
}

// thin sends those home that were not needed.
func (c *crew) thin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.dismiss(c.spare)
	c.spare, c.timer = len(c.idle), nil
	if len(c.idle) > 0 {
		c.timer = time.AfterFunc(crewPatience, c.thin)
	}
}

// dismiss ends the n that wait longest. The lock is held.
func (c *crew) dismiss(n int) {
	for _, w := range c.idle[:n] {
		close(w.next)
	}
	c.idle = append(c.idle[:0], c.idle[n:]...)
	clear(c.idle[len(c.idle):cap(c.idle)])
}

// close ends all. Those at work end after it.
func (c *crew) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.dismiss(len(c.idle))
	if c.timer != nil {
		c.timer.Stop()
	}
}
