package certs

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
)

// Vault keeps keys and certificates, for this process and for others that share it. Keys look like paths.
type Vault interface {
	// Put stores a value; it is durable when it returns.
	Put(ctx context.Context, key string, value []byte) error
	// Fetch returns a value and when it was stored. A missing one is fs.ErrNotExist.
	Fetch(ctx context.Context, key string) ([]byte, time.Time, error)
	// Drop removes a key and all below it. Missing ones are no error.
	Drop(ctx context.Context, key string) error
	// Keys lists all keys below a path, in order.
	Keys(ctx context.Context, path string) ([]string, error)
	// Claim takes a lock for a holder, or prolongs it, if nobody else has it. It does not wait.
	Claim(ctx context.Context, lock, holder string, lease time.Duration) (bool, error)
	// Release gives a lock back that the holder has.
	Release(ctx context.Context, lock, holder string) error
}

// A lock's holder renews its lease three times before others may take it. One that was killed holds up the
// others for as long as a lease lasts.
const (
	lockLease = 30 * time.Second
	lockRetry = 250 * time.Millisecond
)

// storage makes a Vault what certmagic asks for.
type storage struct {
	vault  Vault
	holder string // of locks; another for every process

	mu   sync.Mutex
	held map[string]*heldLock
}

// heldLock is a lock of this process.
type heldLock struct {
	end   context.CancelFunc
	ended chan struct{}
}

func newStorage(v Vault) *storage {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	return &storage{vault: v, holder: hex.EncodeToString(id[:]), held: map[string]*heldLock{}}
}

// String keeps certmagic's logs short.
func (s *storage) String() string { return "store" }

// Store implements certmagic.Storage.
func (s *storage) Store(ctx context.Context, key string, value []byte) error {
	return s.vault.Put(ctx, key, value)
}

// Load implements certmagic.Storage.
func (s *storage) Load(ctx context.Context, key string) ([]byte, error) {
	value, _, err := s.vault.Fetch(ctx, key)
	return value, err
}

// Delete implements certmagic.Storage.
func (s *storage) Delete(ctx context.Context, key string) error { return s.vault.Drop(ctx, key) }

// Exists implements certmagic.Storage.
func (s *storage) Exists(ctx context.Context, key string) bool {
	_, err := s.Stat(ctx, key)
	return err == nil
}

// List implements certmagic.Storage.
func (s *storage) List(ctx context.Context, path string, recursive bool) ([]string, error) {
	keys, err := s.vault.Keys(ctx, path)
	if err != nil || recursive {
		return keys, err
	}
	var list []string
	prefix := ""
	if path != "" {
		prefix = strings.TrimSuffix(path, "/") + "/"
	}
	for _, key := range keys {
		first, _, _ := strings.Cut(strings.TrimPrefix(key, prefix), "/")
		if name := prefix + first; len(list) == 0 || list[len(list)-1] != name {
			list = append(list, name)
		}
	}
	return list, nil
}

// Stat implements certmagic.Storage.
func (s *storage) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	value, at, err := s.vault.Fetch(ctx, key)
	if err == nil {
		return certmagic.KeyInfo{Key: key, Modified: at, Size: int64(len(value)), IsTerminal: true}, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return certmagic.KeyInfo{}, err
	}
	below, err := s.vault.Keys(ctx, key)
	if err == nil && len(below) == 0 {
		err = fs.ErrNotExist
	}
	return certmagic.KeyInfo{Key: key}, err
}

// Lock implements certmagic.Locker. It waits for others of this process and of other ones, until ctx ends.
func (s *storage) Lock(ctx context.Context, name string) error {
	for {
		took, err := s.TryLock(ctx, name)
		if err != nil {
			return fmt.Errorf("lock %s: %w", name, err)
		}
		if took {
			return nil
		}
		select {
		case <-time.After(lockRetry):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// TryLock implements certmagic.TryLocker.
func (s *storage) TryLock(ctx context.Context, name string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[name] != nil {
		return false, nil
	}
	took, err := s.vault.Claim(ctx, name, s.holder, lockLease)
	if err != nil || !took {
		return false, err
	}
	keeping, end := context.WithCancel(context.Background())
	l := &heldLock{end: end, ended: make(chan struct{})}
	s.held[name] = l
	go func() {
		defer close(l.ended)
		s.prolong(keeping, name)
	}()
	return true, nil
}

// prolong keeps a lock until ctx ends. A lease that could not be renewed is tried again: only another holder
// may have come in between, and certmagic looks again at what there is before it acts.
func (s *storage) prolong(ctx context.Context, name string) {
	tick := time.NewTicker(lockLease / 3)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_, _ = s.vault.Claim(ctx, name, s.holder, lockLease)
		case <-ctx.Done():
			return
		}
	}
}

// RenewLockLease implements certmagic.LockLeaseRenewer. Leases renew themselves for as long as this process lives.
func (s *storage) RenewLockLease(context.Context, string, time.Duration) error { return nil }

// Unlock implements certmagic.Locker.
func (s *storage) Unlock(ctx context.Context, name string) error {
	s.mu.Lock()
	l := s.held[name]
	delete(s.held, name)
	s.mu.Unlock()
	if l == nil {
		return nil
	}
	l.end()
	<-l.ended
	return s.vault.Release(ctx, name, s.holder)
}

// locked runs f while nobody else, here or elsewhere, runs something under the same name.
func (s *storage) locked(ctx context.Context, name string, f func() error) error {
	if err := s.Lock(ctx, name); err != nil {
		return err
	}
	return errors.Join(f(), s.Unlock(context.WithoutCancel(ctx), name))
}
