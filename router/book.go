package router

import (
	"sync"
	"time"

	"paas/platform"
)

// The access log is gathered per app and handed over in batches, by a goroutine of its own: no request waits for a
// disk. Lines stay in order, since one page is handed over at a time, and the next is filled meanwhile.
const (
	accessBatch = 64 << 10 // bytes
	accessMost  = 1 << 20  // bytes that are kept for a disk that is slow; beyond it requests wait
	accessDelay = 500 * time.Millisecond
)

// accessBook gathers an app's lines.
type accessBook struct {
	mu     sync.Mutex
	page   accessPage    // is filled
	spare  accessPage    // memory for the next
	giving chan struct{} // closed when a page was handed over; nil while none is
	timer  *time.Timer   // nil while there is nothing, or somebody hands over
	ended  bool          // the app is gone, its log too
}

// accessPage is lines one behind the other.
type accessPage struct {
	text  []byte
	lines []platform.AccessLine // Text is set when they are handed over
	ends  []int                 // of the lines in text
}

// add writes a request's line. It blocks only while accessMost bytes wait for the disk.
func (b *accessBook) add(f *flight, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.page.text) >= accessMost && b.giving != nil {
		b.wait()
	}
	if b.ended {
		return
	}
	b.page.add(f, now)
	switch {
	case b.giving != nil: // who hands over looks at this one then
	case len(b.page.text) >= accessBatch:
		b.turn(f.r, f.rt.app)
	case b.timer == nil:
		b.later(f.r, f.rt.app)
	}
}

func (p *accessPage) add(f *flight, now time.Time) {
	if f.info.Traffic.Access == platform.AccessJSON {
		p.text = f.appendJSON(p.text, now)
	} else {
		p.text = f.appendLine(p.text, now)
	}
	p.lines = append(p.lines, platform.AccessLine{At: f.start})
	p.ends = append(p.ends, len(p.text))
}

// later hands over a page that is not full.
func (b *accessBook) later(r *Router, app platform.AppName) {
	b.timer = time.AfterFunc(accessDelay, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.turn(r, app)
	})
}

// turn begins to hand over what there is. Who does so already goes on by itself when the next page is full.
func (b *accessBook) turn(r *Router, app platform.AppName) {
	if b.giving != nil || len(b.page.lines) == 0 {
		return
	}
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
	b.giving = make(chan struct{})
	go b.hand(r, app)
}

func (b *accessBook) hand(r *Router, app platform.AppName) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for full := true; full; full = len(b.page.text) >= accessBatch {
		close(b.giving)
		b.giving = make(chan struct{})
		p := b.page
		b.page, b.spare = b.spare, accessPage{}
		b.mu.Unlock()
		p.give(r, app)
		b.mu.Lock()
		b.spare = p.emptied()
	}
	close(b.giving)
	b.giving = nil
	if len(b.page.lines) > 0 && !b.ended {
		b.later(r, app)
	}
}

// wait blocks, without the lock, until something was handed over.
func (b *accessBook) wait() {
	giving := b.giving
	b.mu.Unlock()
	<-giving
	b.mu.Lock()
}

func (p *accessPage) give(r *Router, app platform.AppName) {
	from := 0
	for i, end := range p.ends {
		p.lines[i].Text = p.text[from:end]
		from = end
	}
	r.access(app, p.lines)
}

// emptied keeps the memory of an app that fills pages. There may be thousands that do not.
func (p *accessPage) emptied() accessPage {
	if len(p.text) < accessBatch || cap(p.text) > 4*accessBatch {
		return accessPage{}
	}
	return accessPage{text: p.text[:0], lines: p.lines[:0], ends: p.ends[:0]}
}

// flush hands over all there is and blocks until that is done.
func (b *accessBook) flush(r *Router, app platform.AppName) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.giving != nil || len(b.page.lines) > 0 {
		b.turn(r, app)
		b.wait()
	}
}

// end hands over what there is; nothing follows once it returns.
func (b *accessBook) end(r *Router, app platform.AppName) {
	b.mu.Lock()
	b.ended = true
	b.mu.Unlock()
	b.flush(r, app)
}
