package platform

import (
	"context"
	"time"
)

// recallLimit is how long an instance that was kept may take to prove healthy; then a fresh one is faster.
const recallLimit = 10 * time.Second

// fill puts an instance into a place: the one that was kept for it, if it is healthy, or else a fresh one.
func (p *Platform) fill(ctx context.Context, w want, s slot, story *Story) (Instance, error) {
	i, kept := p.lane(w.app.Name).takeKept(w, s)
	if !kept {
		return p.startHealthy(ctx, w, s, story)
	}
	was := i.Release
	i, err := p.goOn(ctx, w, i, story)
	if err == nil {
		w.recall.used.Store(true)
		p.sayOf(EventResumed, i, "", "%s of v%d goes on as v%d's", i.Name(), was, i.Release)
		p.tend(w, i)
		return i, nil
	}
	p.markRetiring(w.app.Name, []Instance{i})
	p.spawn(func(ctx context.Context) { p.stop(ctx, i) })
	if ctx.Err() != nil {
		return i, err
	}
	p.sayOf(EventUnhealthy, i, "", "%s of v%d was kept, but cannot go on: %s", i.Name(), was, sentence(err))
	return p.startHealthy(ctx, w, s, story)
}

// goOn makes a kept instance one of w's release, and waits for its checks.
func (p *Platform) goOn(ctx context.Context, w want, i Instance, story *Story) (Instance, error) {
	err := p.Runner.Recall(ctx, i.ID, w.release.Number)
	if err != nil {
		return i, err
	}
	i.Release, i.Kept, i.Paused = w.release.Number, time.Time{}, false
	l := p.lane(w.app.Name)
	l.mu.Lock()
	delete(l.retiring, i.ID)
	l.mu.Unlock()
	limited, cancel := context.WithTimeout(ctx, recallLimit)
	defer cancel()
	return i, p.passes(limited, w, i, w.checksAgain(i.Type), story)
}

// checksAgain are the checks that tell whether an instance that was healthy still is. Each has one attempt.
func (w want) checksAgain(t ProcessType) (list []Check) {
	for _, c := range w.release.Image.Checks[t] {
		if c.Type != Liveness && c.Uptime == 0 {
			c.InitialDelay, c.Attempts = 0, 1
			list = append(list, c)
		}
	}
	if len(list) == 0 && w.serves(t) {
		list = []Check{{Listening: true, Attempts: 1, Timeout: recallLimit}}
	}
	return list
}
