package image

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"paas/platform"
)

// Shrink removes layers that need says nobody needs, those worth least first, then, if the goal allows,
// those that only the next builds need. It stops when the goal's bytes are free. What somebody holds a
// lease on, or has used within the goal's MinAge, stays whatever need says. It must say Needed of every
// layer of a running container: deleting below a mounted overlay is undefined.
//
// It goes on after an error and returns all of them; it blocks on the disk. A crash leaves whole layers
// and what the next Open removes.
func (s *Store) Shrink(need func(layer string) platform.Need, goal platform.Goal) ([]platform.LayerUsage, error) {
	victims, err := s.victims(need, goal)
	if err != nil {
		return nil, fmt.Errorf("shrink content store: %w", err)
	}
	if goal.DryRun {
		return victims, nil
	}
	return s.remove(victims, goal.MinAge)
}

// Remove removes layers, but for those that somebody holds a lease on or has used within age, and returns
// those that are gone by it. What is said of Shrink holds.
func (s *Store) Remove(layers []string, age time.Duration) ([]platform.LayerUsage, error) {
	var list []platform.LayerUsage
	for _, layer := range layers {
		u, err := s.usage(layer)
		if errors.Is(err, fs.ErrNotExist) {
			continue // collected meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("measure layer %s: %w", layer, err)
		}
		list = append(list, u)
	}
	return s.remove(list, age)
}

func (s *Store) remove(victims []platform.LayerUsage, age time.Duration) ([]platform.LayerUsage, error) {
	gone, err := s.retireAll(victims, age)
	err = errors.Join(err, s.sweepDrafts(), s.sweepShifted(), s.sweepNotes(), s.emptyTrash())
	if err != nil {
		return gone, fmt.Errorf("shrink content store: %w", err)
	}
	return gone, nil
}

// victims are the layers to remove, in order.
func (s *Store) victims(need func(layer string) platform.Need, goal platform.Goal) (list []platform.LayerUsage, err error) {
	all, err := s.Usage()
	if err != nil {
		return nil, err
	}
	held, err := s.Held()
	if err != nil {
		return nil, err
	}
	needs := map[string]platform.Need{}
	for _, u := range all {
		n := need(u.Layer)
		needs[u.Layer] = n
		if n == platform.Needed || n == platform.Cached && !goal.Caches || held[u.Layer] || s.now().Sub(u.Used) < goal.MinAge {
			continue
		}
		list = append(list, u)
	}
	now := s.now()
	slices.SortFunc(list, func(a, b platform.LayerUsage) int {
		return cmp.Or(cmp.Compare(needs[a.Layer], needs[b.Layer]), cmp.Compare(a.Worth(now), b.Worth(now)), cmp.Compare(a.Layer, b.Layer))
	})
	return enough(list, goal.Bytes), nil
}

// enough is the start of a list that sums up to so many bytes; all of it for 0.
func enough(list []platform.LayerUsage, bytes int64) []platform.LayerUsage {
	if bytes == 0 {
		return list
	}
	for i, u := range list {
		if bytes -= u.Bytes; bytes <= 0 {
			return list[:i+1]
		}
	}
	return list
}

// Held are the layers that somebody holds a lease on now, in whatever process.
func (s *Store) Held() (map[string]bool, error) {
	lock, err := s.lock(unix.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer func() { _ = lock.Close() }()
	return s.held()
}

// retireAll takes the victims' names away and returns those that were. Leases are looked at under the lock:
// one may have been made since the victims were chosen.
func (s *Store) retireAll(victims []platform.LayerUsage, age time.Duration) (gone []platform.LayerUsage, err error) {
	lock, err := s.lock(unix.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer func() { _ = lock.Close() }()
	held, err := s.held()
	if err != nil {
		return nil, err
	}
	for _, u := range victims {
		if held[u.Layer] {
			continue
		}
		taken, e := s.retire(u.Layer, age)
		if e != nil {
			err = errors.Join(err, fmt.Errorf("layer %s: %w", u.Layer, e))
		}
		if taken && e == nil {
			gone = append(gone, u)
		}
	}
	return gone, err
}

// retire takes a layer's name away, unless it was used a moment ago.
func (s *Store) retire(layer string, age time.Duration) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if used, ok := s.used[layer]; ok && s.now().Sub(used) < age {
		return false, nil
	}
	err := os.Rename(s.Dir(layer), filepath.Join(s.dir, "trash", newID()))
	if err != nil {
		return false, ignoreMissing(err) // another process was faster
	}
	delete(s.used, layer)
	delete(s.marked, layer)
	delete(s.size, layer)
	return true, ignoreMissing(os.Remove(s.notePath(layer)))
}

// sweepNotes removes the notes of layers that are gone. A draft that is being committed has its note
// before its name: young notes stay.
func (s *Store) sweepNotes() error {
	names, err := s.names("notes")
	for _, name := range names {
		if strings.HasPrefix(name, ".") { // one that is being written; its time is the kernel's
			if time.Since(s.touched(name)) > Grace {
				err = errors.Join(err, ignoreMissing(os.Remove(s.notePath(name))))
			}
			continue
		}
		there, e := exists(filepath.Join(s.dir, "layers", name))
		if e == nil && !there && s.now().Sub(s.touched(name)) > Grace {
			e = ignoreMissing(os.Remove(s.notePath(name)))
		}
		err = errors.Join(err, e)
	}
	return err
}
