package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"paas/platform"
)

// Builds and images leave the disk's reserve alone; what running apps write does not ask. So a part of the
// reserve is a real file: when apps have filled all the rest, it goes, and the database, a rollback, a backup
// and certificates have room. At the same moment the process that has written most is started afresh, which
// frees what it wrote; when there is room again the file comes back.

const (
	ballastName = "reserve"
	ballastPart = 8         // of the reserve
	ballastMost = 256 << 20 // bytes
	// ballastEvery is how often the disk is looked at: one system call.
	ballastEvery = 2 * time.Second
)

// ballast is the file, of so many bytes when it is whole.
type ballast struct {
	path string
	size int64
}

func newBallast(data string, reserve int64) ballast {
	return ballast{filepath.Join(data, ballastName), min(reserve/ballastPart, ballastMost)}
}

// fill makes the file whole, without leaving half of it when there is no room.
func (b ballast) fill() error {
	f, err := os.OpenFile(b.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("fill the reserve: %w", err)
	}
	err = unix.Fallocate(int(f.Fd()), 0, 0, b.size)
	if errors.Is(err, unix.EOPNOTSUPP) || b.size == 0 { // a file system that cannot promise room
		err = nil
	}
	if err != nil {
		err = errors.Join(err, f.Truncate(0))
	}
	return errors.Join(err, f.Close())
}

// drop frees the file's room.
func (b ballast) drop() error {
	if err := os.Truncate(b.path, 0); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("free the reserve: %w", err)
	}
	return nil
}

// whole tells whether the file has its room.
func (b ballast) whole() bool {
	info, err := os.Stat(b.path)
	return err == nil && info.Size() >= b.size
}

// step does what the room that is left asks for, and tells whether the disk is full.
func (b ballast) step(free, reserve int64) (full bool, err error) {
	switch whole := b.whole(); {
	case free < b.size/2:
		return true, b.drop()
	case !whole && free >= reserve+b.size:
		return false, b.fill()
	}
	return false, nil
}

// leastForStart is what opening the database and the rooms takes, with room to spare.
const leastForStart = 8 << 20

// freeForStart drops the file when the daemon would not find the room to start.
func freeForStart(data string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(data, &st); err != nil {
		return fmt.Errorf("ask %s for room: %w", data, err)
	}
	if int64(st.Bavail)*st.Frsize >= leastForStart { //nolint:gosec // no disk has 8 EiB
		return nil
	}
	return ballast{path: filepath.Join(data, ballastName)}.drop()
}

// keepReserve holds the reserve's file until ctx ends.
func (r *reign) keepReserve(ctx context.Context, p *platform.Platform) {
	space, err := r.rooms.images.Bounds()
	if err != nil {
		r.log.Error("keep the disk's reserve", "err", err)
		return
	}
	b := newBallast(r.settings.Data, space.Reserve)
	tick := time.NewTicker(ballastEvery)
	defer tick.Stop()
	for {
		if err := r.lookAtReserve(ctx, p, b); err != nil && ctx.Err() == nil {
			r.log.Error("keep the disk's reserve", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (r *reign) lookAtReserve(ctx context.Context, p *platform.Platform, b ballast) error {
	space, err := r.rooms.images.Bounds()
	if err != nil {
		return err
	}
	full, err := b.step(space.Free, space.Reserve)
	if err != nil || !full {
		return err
	}
	return p.RelieveDisk(ctx)
}
