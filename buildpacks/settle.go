package buildpacks

import (
	"context"

	"paas/runtime/image"
)

// settling is layer that does not wait until the disk has all of a step's files: that happens beside the next step, or
// beside the app's start. Images.Durable is who waits.
func (b *build) settling(ctx context.Context, p product, fill func(dir string) error) error {
	return b.draft(ctx, b.req.Story, p, func(draft *image.Draft) error {
		draft.Announce(p.key)
		if err := fill(draft.Dir); err != nil {
			return err
		}
		b.holding.note(p.key, b.now())
		settle, err := draft.CommitSoon(p.key)
		if err == nil {
			b.settles = append(b.settles, settle)
		}
		return err
	})
}

// settle begins to put on the disk what waits for it. Not earlier than something else takes long: who syncs few files
// meanwhile waits for all of them.
func (b *build) settle() {
	todo := b.settles
	b.settles = nil
	if len(todo) == 0 {
		return
	}
	b.sweeps.Go(func() {
		for _, settle := range todo {
			if err := settle(); err != nil {
				b.Log.Error("settle the layers of a build", "app", b.req.App.Name, "err", err)
			}
		}
	})
}
