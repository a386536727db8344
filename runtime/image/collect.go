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
)

// LayerUsage is what one layer costs.
type LayerUsage struct {
	Layer     string
	Bytes     int64     // blocks on the disk; a file with several names counts once
	Committed time.Time // when it got its name
	Used      time.Time // when Has last found it in this process, else Committed
}

// Usage measures every layer, by name. It reads each new layer's whole tree once.
func (s *Store) Usage() ([]LayerUsage, error) {
	layers, err := s.names("layers")
	if err != nil {
		return nil, fmt.Errorf("measure content store: %w", err)
	}
	all := make([]LayerUsage, 0, len(layers))
	for _, layer := range layers {
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
		if size, err = treeBytes(s.Dir(layer)); err != nil {
			return LayerUsage{}, err
		}
		s.mu.Lock()
		s.size[layer] = size
		s.mu.Unlock()
	}
	if used.Before(committed) {
		used = committed
	}
	return LayerUsage{Layer: layer, Bytes: size, Committed: committed, Used: used}, nil
}

// Collect removes the layers that keep answers false for, and what crashed predecessors left. It
// never removes a layer committed or found by Has within Grace, nor a draft of a live process. keep
// must answer true for every layer of a running container: deleting below a mounted overlay is
// undefined. freed is in bytes. It goes on after an error and returns all of them; it blocks on the disk.
func (s *Store) Collect(keep func(layer string) bool) (freed int64, err error) {
	layers, err := s.names("layers")
	if err != nil {
		return 0, fmt.Errorf("collect garbage: %w", err)
	}
	for _, layer := range layers {
		if !layerName.MatchString(layer) || keep(layer) {
			continue
		}
		n, e := s.collect(layer)
		freed, err = freed+n, errors.Join(err, e)
	}
	return freed, errors.Join(err, s.sweepDrafts(), s.emptyTrash())
}

func (s *Store) collect(layer string) (freed int64, err error) {
	u, err := s.usage(layer)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err == nil {
		var taken bool
		taken, err = s.retire(u)
		if !taken && err == nil {
			return 0, nil
		}
	}
	if err != nil {
		return 0, fmt.Errorf("collect layer %s: %w", layer, err)
	}
	return u.Bytes, nil
}

// retire takes an old layer's name away, unless Has finds it first.
func (s *Store) retire(u LayerUsage) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := u.Committed
	if used := s.used[u.Layer]; used.After(last) {
		last = used
	}
	if s.now().Sub(last) < Grace {
		return false, nil
	}
	delete(s.used, u.Layer)
	delete(s.size, u.Layer)
	return true, os.Rename(s.Dir(u.Layer), filepath.Join(s.dir, "trash", newID()))
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
