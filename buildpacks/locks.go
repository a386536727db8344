package buildpacks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// keyed is a lock for each key: two builds that need the same layer make it once.
type keyed struct {
	mu   sync.Mutex
	held map[string]*turn
}

type turn struct {
	free  chan struct{} // holds one token while nobody has the lock
	users int           // who has it or waits for it
}

// lock waits for the key until ctx ends. Without an error unlock must be called.
func (k *keyed) lock(ctx context.Context, key string) (unlock func(), err error) {
	t := k.join(key)
	select {
	case <-t.free:
		return func() { t.free <- struct{}{}; k.leave(key) }, nil
	case <-ctx.Done():
		k.leave(key)
		return nil, ctx.Err()
	}
}

func (k *keyed) join(key string) *turn {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.held == nil {
		k.held = map[string]*turn{}
	}
	t := k.held[key]
	if t == nil {
		t = &turn{free: make(chan struct{}, 1)}
		t.free <- struct{}{}
		k.held[key] = t
	}
	t.users++
	return t
}

func (k *keyed) leave(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.held[key].users--; k.held[key].users == 0 {
		delete(k.held, key)
	}
}

// lockHost is for what must not happen twice on the host, whatever process does it: the base image, apt.
// The kernel lets go of it when the process ends.
func (e *Engine) lockHost(ctx context.Context, name string) (unlock func(), err error) {
	leave, err := e.locks.lock(ctx, "host "+name)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(e.Dir, "locks", name), os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = flock(ctx, f)
	}
	if err != nil {
		leave()
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return func() { _ = f.Close(); leave() }, nil
}

// flock asks again and again, since a blocking flock(2) would not hear ctx. It closes f on failure.
func flock(ctx context.Context, f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return nil
		}
		if err != unix.EWOULDBLOCK && err != unix.EINTR {
			return errors.Join(err, f.Close())
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), f.Close())
		case <-time.After(100 * time.Millisecond):
		}
	}
}
