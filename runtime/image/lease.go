package image

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"paas/platform"
)

// Lease keeps layers from being collected while somebody works with them, in whatever process. It is a
// file of layer names that its holder has a flock on, so a crash ends it.
type Lease struct {
	store *Store
	path  string

	mu   sync.Mutex
	file *os.File        // nil after Close
	have map[string]bool // what is in it
}

// Lease makes a lease that holds nothing yet. Whoever makes one defers Close.
func (s *Store) Lease() (*Lease, error) {
	l := &Lease{store: s, path: filepath.Join(s.dir, "leases", newID()), have: map[string]bool{}}
	if err := l.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("make lease: %w", err), l.Close())
	}
	return l, nil
}

// open holds the store's lock, since between creation and flock the lease looks abandoned.
func (l *Lease) open() error {
	lock, err := l.store.lock(unix.LOCK_SH)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	if l.file, err = os.OpenFile(l.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return err
	}
	return flock(l.file, unix.LOCK_EX|unix.LOCK_NB)
}

// Hold adds layers, which need not exist yet: one that is there when Hold returns, or comes later, stays
// until Close.
func (l *Lease) Hold(layers ...string) error {
	for _, layer := range layers {
		if !layerName.MatchString(layer) {
			return fmt.Errorf("hold layer %q: %w", layer, ErrLayerName)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return errors.New("hold layers: the lease is over")
	}
	layers = slices.DeleteFunc(slices.Clone(layers), func(layer string) bool { return l.have[layer] })
	if len(layers) == 0 {
		return nil
	}
	if err := l.add(layers); err != nil {
		return fmt.Errorf("hold layers: %w", err)
	}
	return nil
}

// add holds the store's lock, so that a collection sees all of it or none.
func (l *Lease) add(layers []string) error {
	lock, err := l.store.lock(unix.LOCK_SH)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	if _, err := l.file.WriteString(strings.Join(layers, "\n") + "\n"); err != nil {
		return err
	}
	for _, layer := range layers {
		l.have[layer] = true
	}
	return nil
}

// Close ends the lease; its layers count as used until now. A second Close does nothing.
func (l *Lease) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	file := l.file
	l.file = nil
	if file == nil {
		return nil
	}
	for _, layer := range slices.Sorted(maps.Keys(l.have)) {
		l.store.use(layer)
	}
	return errors.Join(os.Remove(l.path), file.Close())
}

// Hold keeps layers that must be there from being collected until drop is called. It fails with kind
// NotFound when one of them is not there.
func (s *Store) Hold(layers []string) (drop func(), err error) {
	l, err := s.Lease()
	if err != nil {
		return nil, err
	}
	if err := l.holdAll(layers); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return func() { _ = l.Close() }, nil
}

func (l *Lease) holdAll(layers []string) error {
	if err := l.Hold(layers...); err != nil {
		return err
	}
	for _, layer := range layers {
		if !l.store.Has(layer) {
			return platform.Errorf(platform.NotFound, "layer %s is not in the store", layer)
		}
	}
	return nil
}

// held lists the layers of all leases that live, and removes the others. The caller has the store's
// lock alone, so none is made or added to meanwhile.
func (s *Store) held() (map[string]bool, error) {
	ids, err := s.names("leases")
	all := map[string]bool{}
	for _, id := range ids {
		names, e := s.readLease(filepath.Join(s.dir, "leases", id))
		err = errors.Join(err, e)
		for _, name := range names {
			all[name] = true
		}
	}
	return all, err
}

func (s *Store) readLease(path string) ([]string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // just closed
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	err = flock(f, unix.LOCK_SH|unix.LOCK_NB)
	if err == nil {
		return nil, ignoreMissing(os.Remove(path)) // its holder is gone
	}
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return nil, err
	}
	text, err := os.ReadFile(path)
	return strings.Fields(string(text)), ignoreMissing(err)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
