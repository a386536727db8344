package dockerfile

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/core/snapshots/storage"
	"github.com/containerd/errdefs"
	bolt "go.etcd.io/bbolt"

	"paas/runtime/image"
)

// shelf implements containerd's Snapshotter over our content store: a snapshot that is written to is a
// directory here, and a committed one is a layer of the store, where it got by a rename. So a result runs
// where it lies, and layers that were in the store before, those of base images, are snapshots at no cost.
//
//	DIR/active/ID/{fs,work}  a snapshot that is written to; cache mounts stay such for ever
//	DIR/kept/ID              a symlink: the name of the layer that committed snapshot ID is
//
// The layers in kept are what the garbage collector calls cached. While the builder runs a lease holds them
// all. It may remove any of them while the builder does not run: Stat does not know them then, and what was
// built upon them is forgotten when the builder starts (builder.forget).
type shelf struct {
	dir   string
	store *image.Store
	lease *image.Lease
	ms    *storage.MetaStore
	wrote func() error // called before the first layer since the last sync gets its name
	torn  bool         // the collector has removed layers since the last time

	mu     sync.Mutex
	layers map[string]string // id -> layer
	claims map[string]string // id of an active snapshot -> layer that it is to be
}

func openShelf(dir string, store *image.Store, lease *image.Lease, wrote func() error) (*shelf, error) {
	for _, sub := range []string{"active", "kept"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, err
		}
	}
	ms, err := storage.NewMetaStore(filepath.Join(dir, "snapshots.db"), func(o *bolt.Options) error {
		*o = boltOptions()
		return nil
	})
	if err != nil {
		return nil, err
	}
	s := &shelf{dir: dir, store: store, lease: lease, ms: ms, wrote: wrote, layers: map[string]string{}, claims: map[string]string{}}
	return s, errors.Join(s.load(), s.sweep())
}

// boltOptions do without syncing: after the machine went down in the middle of things all of it is made anew
// (see builder.begin).
func boltOptions() bolt.Options {
	return bolt.Options{NoSync: true, NoGrowSync: true, FreelistType: bolt.FreelistMapType}
}

func (s *shelf) load() error {
	links, err := os.ReadDir(filepath.Join(s.dir, "kept"))
	if err != nil {
		return err
	}
	for _, link := range links { // held first, looked for then: nothing goes in between
		layer, err := os.Readlink(filepath.Join(s.dir, "kept", link.Name()))
		if err != nil {
			return err
		}
		if err := s.lease.Hold(layer); err != nil {
			return err
		}
		s.layers[link.Name()] = layer
		s.torn = s.torn || !s.store.Has(layer)
	}
	return nil
}

// sweep removes what the database does not know: a crash came between the two.
func (s *shelf) sweep() error {
	return s.ms.WithTransaction(context.Background(), true, func(ctx context.Context) error {
		ids, err := storage.IDMap(ctx)
		if err != nil {
			return nil //nolint:nilerr // a new database has no snapshots
		}
		for _, sub := range []string{"active", "kept"} {
			entries, err := os.ReadDir(filepath.Join(s.dir, sub))
			if err != nil {
				return err
			}
			for _, e := range entries {
				if _, known := ids[e.Name()]; known {
					continue
				}
				delete(s.layers, e.Name())
				if err := os.RemoveAll(filepath.Join(s.dir, sub, e.Name())); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (s *shelf) upper(id string) string { return filepath.Join(s.dir, "active", id, "fs") }

// holds tells whether a directory is that of an active snapshot.
func (s *shelf) holds(upper string) bool { return upper == s.upper(filepath.Base(filepath.Dir(upper))) }

// path is where the files of a snapshot are.
func (s *shelf) path(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if layer, ok := s.layers[id]; ok {
		return s.store.Dir(layer)
	}
	return s.upper(id)
}

// Stat implements snapshots.Snapshotter. A snapshot whose layer was collected does not exist.
func (s *shelf) Stat(ctx context.Context, key string) (info snapshots.Info, err error) {
	err = s.ms.WithTransaction(ctx, false, func(ctx context.Context) error {
		var id string
		if id, info, _, err = storage.GetInfo(ctx, key); err != nil {
			return err
		}
		if info.Kind == snapshots.KindView {
			return nil
		}
		if _, err := os.Lstat(s.path(id)); err != nil {
			return fmt.Errorf("snapshot %s: %w", key, errdefs.ErrNotFound)
		}
		return nil
	})
	return info, err
}

// Update implements snapshots.Snapshotter.
func (s *shelf) Update(ctx context.Context, info snapshots.Info, fields ...string) (out snapshots.Info, err error) {
	err = s.ms.WithTransaction(ctx, true, func(ctx context.Context) error {
		out, err = storage.UpdateInfo(ctx, info, fields...)
		return err
	})
	return out, err
}

// Usage implements snapshots.Snapshotter. Committed snapshots cost nothing here: the store counts layers.
func (s *shelf) Usage(ctx context.Context, key string) (usage snapshots.Usage, err error) {
	var id string
	var info snapshots.Info
	err = s.ms.WithTransaction(ctx, false, func(ctx context.Context) error {
		id, info, _, err = storage.GetInfo(ctx, key)
		return err
	})
	if err != nil || info.Kind != snapshots.KindActive {
		return usage, err
	}
	usage.Size = bytesBelow(s.upper(id))
	return usage, nil
}

// Prepare implements snapshots.Snapshotter.
func (s *shelf) Prepare(ctx context.Context, key, parent string, opts ...snapshots.Opt) ([]mount.Mount, error) {
	return s.create(ctx, snapshots.KindActive, key, parent, opts)
}

// View implements snapshots.Snapshotter.
func (s *shelf) View(ctx context.Context, key, parent string, opts ...snapshots.Opt) ([]mount.Mount, error) {
	return s.create(ctx, snapshots.KindView, key, parent, opts)
}

func (s *shelf) create(ctx context.Context, kind snapshots.Kind, key, parent string, opts []snapshots.Opt) (mounts []mount.Mount, err error) {
	err = s.ms.WithTransaction(ctx, true, func(ctx context.Context) error {
		snap, err := storage.CreateSnapshot(ctx, kind, key, parent, opts...)
		if err != nil {
			return err
		}
		if kind == snapshots.KindActive || len(snap.ParentIDs) == 0 {
			if err := s.makeActive(snap.ID); err != nil {
				return err
			}
		}
		mounts = s.mounts(snap)
		return nil
	})
	return mounts, err
}

// makeActive makes the directories; whatever is there is left of a transaction that came to nothing.
func (s *shelf) makeActive(id string) error {
	home := filepath.Join(s.dir, "active", id)
	if err := os.RemoveAll(home); err != nil {
		return err
	}
	if err := os.Mkdir(home, 0o700); err != nil {
		return err
	}
	for _, sub := range []string{"fs", "work"} {
		dir := filepath.Join(home, sub)
		if err := errors.Join(os.Mkdir(dir, 0o755), os.Chmod(dir, 0o755)); err != nil {
			return err
		}
	}
	return nil
}

// Mounts implements snapshots.Snapshotter.
func (s *shelf) Mounts(ctx context.Context, key string) (mounts []mount.Mount, err error) {
	err = s.ms.WithTransaction(ctx, false, func(ctx context.Context) error {
		snap, err := storage.GetSnapshot(ctx, key)
		if err != nil {
			return err
		}
		mounts = s.mounts(snap)
		return nil
	})
	return mounts, err
}

// mounts describes a snapshot as containerd's overlay snapshotter does, which BuildKit reads.
func (s *shelf) mounts(snap storage.Snapshot) []mount.Mount {
	access := "rw"
	if snap.Kind == snapshots.KindView {
		access = "ro"
	}
	if len(snap.ParentIDs) == 0 {
		return []mount.Mount{{Type: "bind", Source: s.upper(snap.ID), Options: []string{access, "rbind"}}}
	}
	var lowers []string
	for _, id := range snap.ParentIDs {
		lowers = append(lowers, s.path(id))
	}
	if snap.Kind == snapshots.KindView && len(lowers) == 1 {
		return []mount.Mount{{Type: "bind", Source: lowers[0], Options: []string{access, "rbind"}}}
	}
	options := []string{"index=off", "redirect_dir=nofollow", "lowerdir=" + strings.Join(lowers, ":")}
	if snap.Kind == snapshots.KindActive {
		work := filepath.Join(s.dir, "active", snap.ID, "work")
		// Without volatile the kernel writes the whole disk out at each unmount; see builder.begin.
		options = append(options, "volatile", "upperdir="+s.upper(snap.ID), "workdir="+work)
	}
	return []mount.Mount{{Type: "overlay", Source: "overlay", Options: options}}
}

// claim makes an active snapshot, which nothing was written to, one that becomes a layer that is there.
func (s *shelf) claim(upper, layer string) error {
	id := filepath.Base(filepath.Dir(upper))
	if !s.holds(upper) {
		return fmt.Errorf("%s is no snapshot", upper)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claims[id] = layer
	return nil
}

// Commit implements snapshots.Snapshotter.
func (s *shelf) Commit(ctx context.Context, name, key string, opts ...snapshots.Opt) error {
	return s.ms.WithTransaction(ctx, true, func(ctx context.Context) error {
		id, err := storage.CommitActive(ctx, key, name, snapshots.Usage{}, opts...)
		if err != nil {
			return err
		}
		return s.commit(id)
	})
}

func (s *shelf) commit(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	layer, claimed := s.claims[id]
	if !claimed {
		layer = "docker-" + strings.ToLower(rand.Text()[:20])
	}
	if err := s.lease.Hold(layer); err != nil {
		return err
	}
	if !claimed {
		if err := errors.Join(s.wrote(), s.store.Adopt(s.upper(id), layer)); err != nil {
			return err
		}
	}
	link := filepath.Join(s.dir, "kept", id)
	if err := errors.Join(ignoreMissing(os.Remove(link)), os.Symlink(layer, link)); err != nil {
		return err
	}
	delete(s.claims, id)
	s.layers[id] = layer
	return os.RemoveAll(filepath.Join(s.dir, "active", id))
}

// Remove implements snapshots.Snapshotter. The layer is the garbage collector's from then on: a release may
// need it.
func (s *shelf) Remove(ctx context.Context, key string) error {
	var id string
	err := s.ms.WithTransaction(ctx, true, func(ctx context.Context) (err error) {
		id, _, err = storage.Remove(ctx, key)
		return err
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.layers, id)
	delete(s.claims, id)
	return errors.Join(ignoreMissing(os.Remove(filepath.Join(s.dir, "kept", id))), os.RemoveAll(filepath.Join(s.dir, "active", id)))
}

// Walk implements snapshots.Snapshotter.
func (s *shelf) Walk(ctx context.Context, fn snapshots.WalkFunc, filters ...string) error {
	return s.ms.WithTransaction(ctx, false, func(ctx context.Context) error {
		return storage.WalkInfo(ctx, fn, filters...)
	})
}

// Close implements snapshots.Snapshotter.
func (s *shelf) Close() error { return s.ms.Close() }

// Cleanup implements snapshots.Cleaner: Remove leaves nothing.
func (s *shelf) Cleanup(context.Context) error { return nil }

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// bytesBelow counts what is there while it looks.
func bytesBelow(dir string) (sum int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // it has vanished
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			sum += info.Size()
		}
		return nil
	})
	return sum
}
