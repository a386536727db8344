package gitreceive

import (
	"context"
	"sync"

	"paas/platform"
)

// A lane is one app's pushes, one at a time: the branch a push was checked against is the one it moves.
type lane struct {
	mu     sync.Mutex
	holder string // "alice's push"; empty when free
	free   chan struct{}
	newest *waiter // of the pushes that wait to deploy; nil: none does
}

func (r *Repos) lane(app platform.App) *lane {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.lanes[app.ID]
	if l == nil {
		l = &lane{}
		r.lanes[app.ID] = l
	}
	return l
}

// enter waits until the lane is free and takes it. told, if not nil, is called once with the holder when
// it has to wait. The error is ctx's.
func (l *lane) enter(ctx context.Context, who string, told func(holder string)) (leave func(), err error) {
	for {
		holder, free := l.take(who)
		if free == nil {
			return l.leave, nil
		}
		if told != nil {
			told(holder)
			told = nil
		}
		select {
		case <-free:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// take takes a free lane, or says who has it and what to wait for.
func (l *lane) take(who string) (holder string, free <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holder != "" {
		return l.holder, l.free
	}
	l.holder, l.free = who, make(chan struct{})
	return "", nil
}

func (l *lane) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.holder = ""
	close(l.free)
}
