package platform

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"
)

// guardEvery is how often a build under way is asked whether it takes from the reserve: what a disk writes
// meanwhile should be less than that.
const guardEvery = 100 * time.Millisecond

// packRoom is how many bytes a pack finds free when what can go makes that possible: how big one is shows
// only when it has come.
const packRoom = 64 << 20

// makeRoom makes sure that so many bytes can be written: when that would take from the reserve, what can
// go goes. When all of it is not enough nothing goes, and it fails with a sentence and the table of what
// takes the disk. freed is in bytes.
func (p *Platform) makeRoom(ctx context.Context, bytes int64) (freed int64, err error) {
	if left, err := p.Images.Left(); err != nil || p.Images.Room() == nil && left >= bytes {
		return 0, err
	}
	gone, err := p.shrinkToFit(ctx, bytes, true)
	if err != nil {
		return sumOf(gone), err
	}
	if err = p.Images.Room(); err == nil {
		space, spaceErr := p.Images.Space()
		err = cmp.Or(spaceErr, space.Check(bytes))
	}
	return sumOf(gone), p.ExplainRoom(ctx, err)
}

// refusedRows is how much of the table a refusal shows.
const refusedRows = 10

// ExplainRoom adds to a refusal for want of room what takes the disk, and what of that a command frees.
// Other errors it returns as they are.
func (p *Platform) ExplainRoom(ctx context.Context, err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	r, reportErr := p.diskReport(ctx, "")
	if reportErr != nil {
		return err // the sentence alone will do
	}
	var text strings.Builder
	if table(&text, []string{"APP", "WHAT", "SIZE", "FREED BY"}, r.rows(refusedRows)) != nil {
		return err
	}
	told := *e
	told.Table = append(strings.Split(strings.TrimSpace(text.String()), "\n"), r.summary()...)
	told.Hint = r.advice()
	told.Cause = errors.Join(errRoom, e.Cause)
	return &told
}

// advice is what to type when a push does not fit: the mildest that frees something.
func (r DiskReport) advice() string {
	switch {
	case r.WithAll > 0:
		return fmt.Sprintf("free %s: ssh paas builds:prune --all; see what takes the disk: ssh paas disk", Bytes(r.WithAll))
	case r.WithOld > 0:
		return fmt.Sprintf("free %s by giving up rollbacks: ssh paas builds:prune --all --keep 1; see what takes the disk: ssh paas disk", Bytes(r.WithOld))
	}
	return "nothing kept can be freed: see what takes the disk with ssh paas disk, and give the server more of it"
}

// RoomForPush makes room for an app's next push, as far as the last one lets it be known, and tells how many
// bytes may come in before the reserve is touched. It fails with kind Failed, a sentence and the table of
// what takes the disk when the push cannot fit. A zero app is one that is not there yet.
func (p *Platform) RoomForPush(ctx context.Context, app App) (room int64, err error) {
	more := p.Images.Expected(app)
	if _, err := p.makeRoom(ctx, more); err != nil {
		p.noteRefusal(app, err)
		return 0, err
	}
	left, err := p.Images.Left()
	if err == nil && left < more+packRoom {
		if _, err = p.shrinkToFit(ctx, more+packRoom, false); err != nil {
			return 0, err
		}
		left, err = p.Images.Left()
	}
	return max(left-more, 0), err
}

// toldEstimate is from how many bytes on people are told of an estimate.
const toldEstimate = 256 << 20

// roomForBuild is makeRoom for a build, which tells what went. What a first build writes is estimated.
func (p *Platform) roomForBuild(ctx context.Context, req BuildRequest) error {
	more := p.Images.Expected(req.App)
	if more == 0 {
		var what string
		var err error
		if more, what, err = p.Images.Estimate(ctx, req); err != nil {
			return fmt.Errorf("estimate the first build of %s: %w", req.App.Name, err)
		}
		if more >= toldEstimate {
			req.Story.Line("%s takes about %s of disk", what, Bytes(more))
		}
	}
	freed, err := p.makeRoom(ctx, more)
	if freed > 0 {
		req.Story.Line("The disk was nearly full: removed %s of layers and caches that nobody needs", Bytes(freed))
	}
	return err
}

// guard ends the returned context, with the sentence as its cause, when the reserve is touched.
func (p *Platform) guard(ctx context.Context) (guarded context.Context, cancel context.CancelCauseFunc) {
	ctx, cancel = context.WithCancelCause(ctx)
	go func() {
		tick := time.NewTicker(guardEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			if err := p.Images.Room(); KindOf(err) == Failed {
				cancel(p.ExplainRoom(ctx, err))
			}
		}
	}()
	return ctx, cancel
}

// build builds inside the disk's bounds and the build's time. The image's layers are kept until drop is called.
func (p *Platform) build(ctx context.Context, b *building, req BuildRequest) (image Image, drop func(), err error) {
	if err := p.roomForBuild(ctx, req); err != nil {
		return Image{}, nil, err
	}
	if req.Config, err = p.whole(ctx, req.Config); err != nil {
		return Image{}, nil, err
	}
	req.Story.Hide(req.Config)
	guarded, cancel := p.guard(ctx)
	defer cancel(nil)
	b.begun(cancel)
	defer b.built()
	if req.Stack, err = p.stackOf(guarded, req.App, req.Story); err != nil {
		return Image{}, nil, err
	}
	image, err = p.Builder.Build(guarded, req)
	if cause := context.Cause(guarded); err != nil && ctx.Err() == nil && KindOf(cause) == Failed {
		err = cause
	} else if errors.Is(err, syscall.ENOSPC) { // faster than the guard
		err = p.ExplainRoom(ctx, Errorf(Failed, "the build filled the server's disk").Because(err))
	}
	if err != nil {
		return image, nil, fmt.Errorf("build %s: %w", req.App.Name, err)
	}
	drop, err = p.Images.Hold(image.Layers)
	p.keepBudgetSoon()
	return image, drop, err
}

// budgetEvery is how often at most builds lead to a look at the budget.
const budgetEvery = time.Minute

// keepBudgetSoon removes what is over the budget, without keeping a push waiting.
func (p *Platform) keepBudgetSoon() {
	p.mu.Lock()
	due := p.Now().Sub(p.budgeted) >= budgetEvery
	if due {
		p.budgeted = p.Now()
	}
	p.mu.Unlock()
	if !due {
		return
	}
	p.spawn(func(ctx context.Context) {
		if _, err := p.shrinkToFit(ctx, 0, false); err != nil && KindOf(err) != Conflict && ctx.Err() == nil {
			p.Log.Warn("keep the disk's budget", "err", err)
		}
	})
}
