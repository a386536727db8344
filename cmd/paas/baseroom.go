package main

import (
	"context"
	"slices"
	"strings"

	"paas/platform"
)

// room is how many bytes bringing what a FROM names takes at least; 0 if it is here or nobody tells, since an
// estimate is no reason to fail.
func (b *bases) room(ctx context.Context, name string, story *platform.Story) int64 {
	if target, mapped := b.target(name); mapped {
		if strings.HasPrefix(target, "/") {
			return 0 // a layout of this disk
		}
		name = target
	}
	if slices.Contains([]string{"paas/run", "paas/build"}, strings.TrimSuffix(familiar(name), ":latest")) {
		return 0 // a stack
	}
	for _, own := range ownNames(name) {
		n, err := b.ownRoom(ctx, own, story)
		if err == nil || platform.KindOf(err) != platform.NotFound {
			return n // the build says what is wrong with it
		}
	}
	return b.pullRoom(ctx, name)
}

func (b *bases) ownRoom(ctx context.Context, reference string, story *platform.Story) (int64, error) {
	repo, ref, err := ownReference(reference, story)
	if err != nil {
		return 0, err
	}
	if platform.ReleaseTag(ref) != 0 && string(repo.App()) == string(repo) {
		_, err := b.release(ctx, repo.App(), platform.ReleaseTag(ref))
		return 0, err
	}
	return b.exchange.PushedRoom(ctx, repo, ref)
}

// pullRoom asks the registry.
func (b *bases) pullRoom(ctx context.Context, name string) int64 {
	logins, err := b.store.Logins(ctx)
	if err != nil {
		return 0
	}
	n, err := b.exchange.PullRoom(ctx, name, platform.Transfer{Logins: logins, Say: func(string) {}})
	if err != nil {
		return 0
	}
	return n
}
