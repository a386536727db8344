package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Where a mount cannot map ids (overlayfs before Linux 5.19, file systems without support for it), an
// app's range gets copies of the layers with its owners, made once and shared by the app's instances.
// It costs disk and time, so it is said: Reduced tells why.

// Root is the root file system of a container.
type Root struct {
	Layers      []string // names, bottom first
	Upper, Work string   // as in MountSpec
	IDs         IDRange
}

// IDRange is a range of ids: 0 to Size-1 inside are Base and up outside.
type IDRange struct {
	Base, Size uint32   // Base is at least Size, so that one sees whether an id is shifted already
	UserNS     *os.File // which maps the same
}

// Mount mounts a container's layers like Overlay. In reduced mode it makes the copies that are missing
// first, and gives what is in Upper to the range; Unshift takes that back.
func (s *Store) Mount(ctx context.Context, r Root) (*os.File, error) {
	m := MountSpec{Upper: r.Upper, Work: r.Work, UserNS: r.IDs.UserNS}
	why, err := s.Reduced()
	if err != nil {
		return nil, err
	}
	if why == "" {
		for _, layer := range r.Layers {
			m.Lowers = append(m.Lowers, s.Dir(layer))
		}
		return Overlay(m)
	}
	m.UserNS = nil
	if m.Lowers, err = s.shiftedAll(ctx, r); err != nil {
		return nil, err
	}
	for _, dir := range []string{r.Upper, r.Work} {
		if dir == "" {
			continue
		}
		if err := shift(dir, r.IDs.shift()); err != nil {
			return nil, fmt.Errorf("shift owners of %s: %w", dir, err)
		}
	}
	return Overlay(m)
}

// Bind is the function Bind; in reduced mode it gives a source that may be written to the range.
func (s *Store) Bind(source string, readOnly bool, ids IDRange) (*os.File, error) {
	why, err := s.Reduced()
	if err != nil {
		return nil, err
	}
	if why == "" {
		return Bind(source, readOnly, ids.UserNS)
	}
	if !readOnly {
		if err := shift(source, ids.shift()); err != nil {
			return nil, fmt.Errorf("shift owners of %s: %w", source, err)
		}
	}
	return Bind(source, readOnly, nil)
}

// Unshift gives a directory that was Upper of a Mount the owners it has elsewhere, those seen inside.
// Without reduced mode it does nothing.
func (s *Store) Unshift(dir string, ids IDRange) error {
	why, err := s.Reduced()
	if err != nil || why == "" {
		return err
	}
	if err := shift(dir, ids.unshift()); err != nil {
		return fmt.Errorf("unshift owners of %s: %w", dir, err)
	}
	return nil
}

// Reduced tells why owners are shifted by copying, "" where mounts map them. The first call tries it.
func (s *Store) Reduced() (why string, err error) {
	s.probe.Do(func() {
		if s.reduced != "" {
			return // the options have said so
		}
		err := s.tryIDMap()
		if errors.Is(err, ErrNoIDMap) {
			s.reduced = err.Error()
			err = nil
		}
		s.probed = err
	})
	if s.probed != nil {
		return "", fmt.Errorf("try an id-mapped mount: %w", s.probed)
	}
	return s.reduced, nil
}

// tryIDMap mounts what a container would.
func (s *Store) tryIDMap() (err error) {
	const base, size = 1 << 20, 1 << 16
	ns, err := UserNS(base, size)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ns.Close()) }()
	lower, err := s.Draft()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lower.Discard()) }()
	upper, err := s.Draft()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, upper.Discard()) }()
	f, err := Overlay(MountSpec{Lowers: []string{lower.Dir}, Upper: upper.Dir, Work: upper.Work, UserNS: ns})
	if err != nil {
		return err
	}
	return f.Close()
}

func (s *Store) shiftedAll(ctx context.Context, r Root) (dirs []string, err error) {
	if r.IDs.Base < r.IDs.Size {
		return nil, fmt.Errorf("the id range %d+%d overlaps the ids inside", r.IDs.Base, r.IDs.Size)
	}
	for _, layer := range r.Layers {
		dir, err := s.shifted(ctx, layer, r.IDs)
		if err != nil {
			return nil, fmt.Errorf("copy layer %s for ids from %d: %w", layer, r.IDs.Base, err)
		}
		dirs = append(dirs, dir)
	}
	return dirs, nil
}

// shifted finds or makes a layer's copy for a range. Like a layer it is whole from the moment it has its
// name; a crash leaves a draft.
func (s *Store) shifted(ctx context.Context, layer string, ids IDRange) (string, error) {
	from := s.Dir(layer)
	dir := filepath.Join(s.dir, "shifted", strconv.FormatUint(uint64(ids.Base), 10), layer)
	leave, err := s.making.enter(ctx, dir)
	if err != nil {
		return "", err
	}
	defer leave()
	if there, err := exists(dir); there || err != nil {
		return dir, err
	}
	if err := s.Room(); err != nil {
		return "", err
	}
	draft, err := s.Draft()
	if err != nil {
		return "", err
	}
	if err := copyShifted(ctx, from, draft.Dir, ids.shift()); err != nil {
		return "", errors.Join(err, draft.Discard())
	}
	err = draft.place(dir)
	s.mu.Lock()
	delete(s.size, layer) // it costs more now
	s.mu.Unlock()
	return dir, errors.Join(err, draft.Discard())
}

// place moves the draft where it belongs, on the disk.
func (d *Draft) place(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	if err := syncTree(d.Dir); err != nil {
		return err
	}
	err := unix.Renameat2(unix.AT_FDCWD, d.Dir, unix.AT_FDCWD, dir, unix.RENAME_NOREPLACE)
	if err != nil && !errors.Is(err, unix.EEXIST) { // another process was faster
		return err
	}
	return syncPath(filepath.Dir(dir))
}

// copies lists a layer's shifted copies.
func (s *Store) copies(layer string) ([]string, error) {
	return filepath.Glob(filepath.Join(s.dir, "shifted", "*", layer))
}

// sweepShifted throws away the copies of layers that are gone.
func (s *Store) sweepShifted() error {
	all, err := s.copies("*")
	for _, dir := range all {
		there, e := exists(filepath.Join(s.dir, "layers", filepath.Base(dir)))
		if e == nil && !there {
			e = ignoreMissing(os.Rename(dir, filepath.Join(s.dir, "trash", newID())))
		}
		err = errors.Join(err, e)
	}
	return err
}
