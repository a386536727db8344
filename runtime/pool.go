package runtime

import (
	"errors"
	goruntime "runtime"
	"sync"
	"time"
)

// How many shells wait in each pool. A shell takes about half a megabyte.
const (
	appsPool   = 8               // when nothing happens: the first instances of a boot or a deploy find theirs
	smallPool  = 3               // of jobs and of builds
	poolRush   = 2               // for each processor, while containers start faster than shells are made
	poolQuiet  = 2 * time.Second // without a start until the rush is over
	refillRest = 15 * time.Millisecond
)

// pool keeps shells of one group ready, from the first that was asked for on.
//
// Much of the time that a shell takes is waiting for the kernel, so several are made at once in a rush; more than
// a few on each processor only keep those waiting that are wanted now, so a rush is served first and the pool filled
// after it. A single start is left alone first: making a shell keeps others from forking on cgroup v1.
type pool struct {
	runtime *Runtime
	group   string
	size    int // when nothing happens

	mu      sync.Mutex
	ready   []*shell
	waiting []chan made // who takes the next ones, oldest first
	making  int
	last    time.Time // somebody took one
	calm    *time.Timer
	closed  bool
	work    sync.WaitGroup
}

// made is a shell or why there is none.
type made struct {
	shell *shell
	err   error
}

// take gives a shell. It blocks while one is made if none is ready.
func (p *pool) take() (*shell, error) {
	for {
		next := p.claim()
		m := <-next
		if m.err != nil || m.shell.alive() {
			return m.shell, m.err
		}
		p.runtime.janitor.do(func() error { return p.runtime.dropShell(m.shell) }) // something killed it
	}
}

func (p *pool) claim() <-chan made {
	next := make(chan made, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	rush := p.runtime.now().Sub(p.last) < poolQuiet && len(p.ready) == 0
	p.last = p.runtime.now()
	if len(p.ready) > 0 {
		next <- made{shell: p.ready[0]}
		p.ready = p.ready[1:]
	} else {
		p.waiting = append(p.waiting, next)
	}
	p.order(rush)
	if rush {
		p.calmLater()
	}
	return next
}

// order has as many shells made as are wanted. The caller holds mu.
func (p *pool) order(rush bool) {
	want := p.size
	if rush {
		want = poolRush * goruntime.NumCPU()
	}
	for !p.closed && len(p.ready)+p.making < want+len(p.waiting) {
		rest := refillRest
		if p.making < len(p.waiting) {
			rest = 0
		}
		p.making++
		p.work.Go(func() { time.Sleep(rest); p.fill() })
	}
	if p.closed && p.making == 0 {
		p.refuse()
	}
}

// refuse answers who waits when nothing is made any more.
func (p *pool) refuse() {
	for _, w := range p.waiting {
		w <- made{err: errors.New("the runtime is closed")}
	}
	p.waiting = nil
}

func (p *pool) fill() {
	s, err := p.runtime.newShell(p.group)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.making--
	switch {
	case len(p.waiting) > 0:
		p.waiting[0] <- made{s, err}
		p.waiting = p.waiting[1:]
	case err != nil:
		p.runtime.log.Error("make an empty container ahead", "error", err)
	default:
		p.ready = append(p.ready, s)
	}
	if p.closed && p.making == 0 {
		p.refuse()
	}
}

// calmLater ends a rush some time after the last start. The caller holds mu.
func (p *pool) calmLater() {
	if p.closed {
		return
	}
	if p.calm != nil {
		p.calm.Stop()
	}
	p.calm = time.AfterFunc(poolQuiet, p.calmDown)
}

func (p *pool) calmDown() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.ready) > p.size && !p.closed {
		s := p.ready[0]
		p.ready = p.ready[1:]
		p.runtime.janitor.do(func() error { return p.runtime.dropShell(s) })
	}
	p.order(false)
}

// close removes what was not used.
func (p *pool) close() error {
	p.mu.Lock()
	p.closed = true
	if p.calm != nil {
		p.calm.Stop()
	}
	p.mu.Unlock()
	return p.drain()
}

func (p *pool) drain() error {
	p.work.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, s := range p.ready {
		errs = append(errs, p.runtime.dropShell(s))
	}
	p.ready = nil
	return errors.Join(errs...)
}
