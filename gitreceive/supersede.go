package gitreceive

import (
	"context"

	"paas/platform"
)

// enterNewest is enter for a push that deploys. Of those that wait for an app the newest stays: what it brings is what
// shall run in the end, and the others are told so. One that has begun is not touched.
func (l *lane) enterNewest(ctx context.Context, who string, told func(holder string)) (leave func(), err error) {
	waiting, settle := l.standIn(ctx, who)
	defer settle()
	leave, err = l.enter(waiting, who, told)
	if err != nil {
		return nil, context.Cause(waiting)
	}
	return leave, nil
}

// standIn takes the place of who waits, if anybody does. settle is to be called when the waiting is over.
func (l *lane) standIn(ctx context.Context, who string) (waiting context.Context, settle func()) {
	waiting, cancel := context.WithCancelCause(ctx)
	mine := &waiter{cancel}
	l.mu.Lock()
	before := l.newest
	l.newest = mine
	l.mu.Unlock()
	if before != nil {
		before.cancel(platform.Errorf(platform.Conflict, "superseded: %s is newer, and waited for now instead of this one", who).
			WithHint("nothing changed; if yours is still wanted, fetch what is newer, merge it, and push again"))
	}
	return waiting, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.newest == mine {
			l.newest = nil
		}
		cancel(nil)
	}
}

// waiter is a push that waits to deploy.
type waiter struct{ cancel context.CancelCauseFunc }
