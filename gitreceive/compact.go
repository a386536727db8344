package gitreceive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"paas/gitreceive/pack"
	"paas/platform"
)

// maxPacks is how many packs a repository has before they become one: every push brings one, and every
// one is opened to find an object.
const maxPacks = 50

// compact makes one pack of what the refs reach, once there are many, and drops the others with what only
// they have, such as histories that were pushed over. It holds the app's lane, so that no push relies on
// what goes; a clone that has the old packs open goes on reading them.
func (r *Repos) compact(ctx context.Context, app platform.App) error {
	repo := &repo{dir: r.path(app)}
	leave, err := r.lane(app).enter(ctx, "the tidying of "+string(app.Name)+"'s repository", nil)
	if err != nil {
		return err
	}
	defer leave()
	old, err := repo.packs()
	if err != nil || len(old) <= r.maxPacks {
		return err
	}
	q, err := r.quarantine()
	if err != nil {
		return err
	}
	defer q.remove()
	made, err := repo.gather(ctx, q)
	if err != nil {
		return fmt.Errorf("compact repository of %s: %w", app.Name, err)
	}
	if err := repo.admit(q, made); err != nil {
		return err
	}
	return repo.drop(old, made.Name)
}

// packs is the names of the packs that are complete, "pack-<checksum>".
func (r *repo) packs() (names []string, err error) {
	found, err := filepath.Glob(filepath.Join(r.objects(), "pack", "*.idx"))
	for _, path := range found {
		name := filepath.Base(path)
		names = append(names, name[:len(name)-len(".idx")])
	}
	return names, err
}

// gather writes a pack of all that the refs reach into the quarantine. It goes through the same checks as
// one that is pushed.
func (r *repo) gather(ctx context.Context, q *quarantine) (*pack.Received, error) {
	store, err := pack.OpenStore(q.dir, r.objects())
	if err != nil {
		return nil, err
	}
	defer func() { _ = store.Close() }()
	refs, err := r.refs()
	if err != nil {
		return nil, err
	}
	var wish pack.Wish
	for _, id := range refs {
		wish.Wants = append(wish.Wants, id)
	}
	sel, err := store.Select(ctx, wish)
	if err != nil {
		return nil, err
	}
	in, out := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := store.Write(ctx, out, sel.Objects, true)
		written <- err
		_ = out.CloseWithError(err) // never fails (io.Pipe)
	}()
	made, err := pack.Receive(ctx, in, q.packs(), pack.Limits{Bytes: 1 << 50, Objects: len(sel.Objects), Object: 1 << 50})
	_ = in.Close() // ends the writing if it still goes on
	if err := errors.Join(err, <-written); err != nil {
		return nil, err
	}
	return made, made.Missing(func(pack.ID) bool { return false })
}

// drop removes packs, index first: without it nobody looks for the pack.
func (r *repo) drop(old []string, keep string) error {
	for _, name := range old {
		if name == keep {
			continue
		}
		path := filepath.Join(r.objects(), "pack", name)
		for _, suffix := range []string{".idx", ".pack"} {
			if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("drop old pack: %w", err)
			}
		}
	}
	return syncDir(filepath.Join(r.objects(), "pack"))
}

// tidy compacts an app's repository while nobody waits for it. Shutdown waits, or cancels it.
func (d *Server) tidy(app platform.App) {
	if !d.begin() {
		return
	}
	go func() {
		defer d.sessions.Done()
		err := d.options.Repos.compact(d.ctx, app)
		if err != nil && d.ctx.Err() == nil {
			d.options.Log.Error("tidy repository", "app", app.Name, "err", err)
		}
	}()
}
