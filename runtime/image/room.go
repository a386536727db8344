package image

import (
	"fmt"

	"golang.org/x/sys/unix"

	"paas/platform"
)

// The reserve of a store whose options name none: a twentieth of the file system, at most 2 GiB.
const (
	reservePart = 20
	reserveMost = 2 << 30
)

// Space tells how full the store's file system is, and what the store's own bounds are. Used is what
// Usage sums up: the first call reads every layer's tree.
func (s *Store) Space() (platform.Space, error) {
	space, err := s.Bounds()
	if err != nil {
		return space, err
	}
	layers, err := s.Usage()
	for _, l := range layers {
		space.Used += l.Bytes
	}
	return space, err
}

// Bounds is Space without Used, at the price of one system call.
func (s *Store) Bounds() (platform.Space, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(s.dir, &st); err != nil {
		return platform.Space{}, fmt.Errorf("ask %s for room: %w", s.dir, err)
	}
	block := st.Frsize
	if block == 0 {
		block = st.Bsize
	}
	space := platform.Space{
		Total: int64(st.Blocks) * block, Free: int64(st.Bavail) * block, //nolint:gosec // no disk has 8 EiB
		Budget: s.budget, Reserve: s.reserve,
	}
	if space.Reserve == 0 {
		space.Reserve = min(space.Total/reservePart, reserveMost)
	}
	return space, nil
}

// Room fails with a sentence for people when writing on would take from the reserve.
func (s *Store) Room() error {
	space, err := s.Bounds()
	if err != nil {
		return err
	}
	return space.Check(0)
}

// Left is how many bytes may be written before the reserve is touched, 0 if it is.
func (s *Store) Left() (int64, error) {
	space, err := s.Bounds()
	return max(space.Free-space.Reserve, 0), err
}
