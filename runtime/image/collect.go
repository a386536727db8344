package image

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"paas/platform"
)

// LayerUsage is what one layer costs.
type LayerUsage = platform.LayerUsage

// Usage measures every layer, by name. It reads each new layer's whole tree once.
func (s *Store) Usage() ([]LayerUsage, error) {
	layers, err := s.names("layers")
	if err != nil {
		return nil, fmt.Errorf("measure content store: %w", err)
	}
	all := make([]LayerUsage, 0, len(layers))
	for _, layer := range layers {
		if !layerName.MatchString(layer) {
			continue // not ours
		}
		u, err := s.usage(layer)
		if errors.Is(err, fs.ErrNotExist) {
			continue // collected meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("measure layer %s: %w", layer, err)
		}
		all = append(all, u)
	}
	slices.SortFunc(all, func(a, b LayerUsage) int { return cmp.Compare(a.Layer, b.Layer) })
	return all, nil
}

func (s *Store) usage(layer string) (LayerUsage, error) {
	committed, err := committedAt(s.Dir(layer))
	if err != nil {
		return LayerUsage{}, err
	}
	s.mu.Lock()
	used := s.used[layer]
	size, known := s.size[layer]
	s.mu.Unlock()
	if !known {
		if size, err = s.layerBytes(layer); err != nil {
			return LayerUsage{}, err
		}
		s.mu.Lock()
		s.size[layer] = size
		s.mu.Unlock()
	}
	for _, at := range []time.Time{committed, s.touched(layer)} {
		if used.Before(at) {
			used = at
		}
	}
	n := s.note(layer)
	return LayerUsage{
		Layer: layer, Bytes: size, Committed: committed, Used: used, Note: n.text,
		Made: n.made, Took: n.took, Uses: max(n.uses, 1),
	}, nil
}

// clockGrain is how far behind the kernel's clock for files may be (its tick, at most 10 ms).
const clockGrain = 10 * time.Millisecond

// BytesSince measures those of the layers that got their names since then. Missing ones count for nothing.
func (s *Store) BytesSince(layers []string, since time.Time) (sum int64) {
	for _, layer := range layers {
		if !layerName.MatchString(layer) {
			continue
		}
		at, err := committedAt(s.Dir(layer))
		if err != nil || at.Before(since.Add(-clockGrain)) {
			continue
		}
		if u, err := s.usage(layer); err == nil {
			sum += u.Bytes
		}
	}
	return sum
}

// KnownBytes sums up the layers that were measured already. It does not block.
func (s *Store) KnownBytes(layers []string) (sum int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, layer := range layers {
		sum += s.size[layer]
	}
	return sum
}

// Collect removes the layers that keep answers false for, and what crashed predecessors left. It
// never removes a layer committed or found by Has within Grace, nor one that somebody holds a lease on,
// nor a draft of a live process. keep must answer true for every layer of a running container. freed is
// in bytes. It goes on after an error and returns all of them; it blocks on the disk.
func (s *Store) Collect(keep func(layer string) bool) (freed int64, err error) {
	need := func(layer string) platform.Need {
		if keep(layer) {
			return platform.Needed
		}
		return platform.Unneeded
	}
	gone, err := s.Shrink(need, platform.Goal{MinAge: Grace})
	for _, u := range gone {
		freed += u.Bytes
	}
	return freed, err
}

// layerBytes is what a layer takes with its shifted copies.
func (s *Store) layerBytes(layer string) (sum int64, err error) {
	dirs, err := s.copies(layer)
	for _, dir := range append(dirs, s.Dir(layer)) {
		n, e := treeBytes(dir)
		sum, err = sum+n, errors.Join(err, e)
	}
	return sum, err
}

// throwAway removes a tree of the store so that half of it never keeps its old place.
func (s *Store) throwAway(path string) error {
	bin := filepath.Join(s.dir, "trash", newID())
	if err := os.Rename(path, bin); err != nil {
		return err
	}
	return os.RemoveAll(bin)
}

// emptyTrash deletes what was thrown away, also what another call is deleting.
func (s *Store) emptyTrash() error {
	ids, err := s.names("trash")
	for _, id := range ids {
		err = errors.Join(err, os.RemoveAll(filepath.Join(s.dir, "trash", id)))
	}
	return err
}

// committedAt is the inode's change time: Commit's rename set it (ext4, XFS and btrfs all do), and
// nothing touches a layer later.
func committedAt(layer string) (time.Time, error) {
	fi, err := os.Lstat(layer)
	if err != nil {
		return time.Time{}, err
	}
	return time.Unix(fi.Sys().(*syscall.Stat_t).Ctim.Unix()), nil
}

// treeBytes sums the blocks of a tree.
func treeBytes(root string) (sum int64, err error) {
	seen := map[uint64]bool{} // inodes with several names
	err = filepath.WalkDir(root, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		st := fi.Sys().(*syscall.Stat_t)
		if !fi.IsDir() && st.Nlink > 1 {
			if seen[st.Ino] {
				return nil
			}
			seen[st.Ino] = true
		}
		sum += st.Blocks * 512
		return nil
	})
	return sum, err
}
