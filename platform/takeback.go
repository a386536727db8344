package platform

import "context"

// What a frozen app holds is taken back in a second step, when it has slept for a while or memory is short: at
// once it would cost the next visitor what the kernel then must read again, and most naps are short.

// takeBack begins to take the memory of a frozen app; false if that was done, or cannot be now.
func (p *Platform) takeBack(name AppName) bool {
	l := p.lane(name)
	ctx, cancel := context.WithCancel(p.life)
	l.mu.Lock()
	due := l.nap.Depth == Frozen && l.nap.slept && !l.nap.reclaimed && l.nap.waking == nil
	who := l.nap.frozen
	if due {
		l.nap.reclaim, l.nap.reclaimed = cancel, true
	}
	l.mu.Unlock()
	if !due {
		cancel()
		return false
	}
	return p.spawned(func(context.Context) {
		defer cancel()
		p.takeMemory(ctx, l, name, who)
	})
}

// takeMemory asks the kernel to take back what the frozen instances hold, as far as it can: page cache, and
// the rest where there is swap. A wake ends it.
func (p *Platform) takeMemory(ctx context.Context, l *lane, name AppName, who []Instance) {
	for _, i := range who {
		point, err := p.Runner.Reclaim(ctx, i.ID)
		if ctx.Err() != nil {
			return
		}
		if err != nil && KindOf(err) != NotFound && KindOf(err) != Conflict {
			p.Log.Error("take memory back", "app", name, "instance", i.ID, "err", err)
		}
		l.addGiven(ctx, max(point.Before-point.After, 0))
	}
	p.noteSleep(name)
}

// addGiven counts only for the sleep that it was given in.
func (l *lane) addGiven(ctx context.Context, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ctx.Err() == nil && l.nap.Depth == Frozen {
		l.nap.Given += bytes
	}
}

// heldBy is the memory that the frozen instances still hold, in bytes.
func (p *Platform) heldBy(ctx context.Context, l *lane) (sum int64) {
	l.mu.Lock()
	frozen := l.nap.frozen
	l.mu.Unlock()
	for _, i := range frozen {
		if s, err := p.Runner.Stats(ctx, i.ID); err == nil {
			sum += max(s.Memory, 0)
		}
	}
	return sum
}
